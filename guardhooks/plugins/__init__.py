"""The host's side of pluggy: loads plugins (`loading`, `checks`), calls them (`facade`), switches them off (`faults`)."""

from guardhooks.plugins.facade import Plugins as Plugins
