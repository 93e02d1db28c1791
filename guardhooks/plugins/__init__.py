"""The host's side of pluggy: who is let in (`loading`, `checks`), asked (`facade`) and left out (`faults`)."""

from guardhooks.plugins.facade import Plugins as Plugins
