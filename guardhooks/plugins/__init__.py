"""The host's side of pluggy: who is let in (`loading`, `checks`), who is asked (`facade`), who is left out (`faults`)."""

from guardhooks.plugins.facade import Plugins as Plugins
