"""The mark that plugin authors put on their hook implementations."""

from typing import Final

import pluggy

hookimpl: Final = pluggy.HookimplMarker("guardhooks")
"""`@hookimpl`, `@hookimpl(trylast=True)`, `@hookimpl(wrapper=True)`: see the pluggy documentation."""
