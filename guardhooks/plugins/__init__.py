"""The host's side of pluggy: plugins are loaded (`loading`, `checks`), called (`facade`), switched off (`faults`)."""

from guardhooks.plugins.facade import Plugins as Plugins
