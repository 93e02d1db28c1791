"""The mark that plugin authors put on their hook implementations."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

import pluggy

_Function = TypeVar("_Function", bound=Callable[..., Any])
_SKIPS_NEWCOMERS: Final = "guardhooks_skips_newcomers"

hookimpl: Final = pluggy.HookimplMarker("guardhooks")
"""`@hookimpl`, `@hookimpl(trylast=True)`, `@hookimpl(wrapper=True)`: see the pluggy documentation."""


def skip_newcomers(function: _Function) -> _Function:
    """Below `@hookimpl` on a `decide_ban`: it has no opinion about newcomers, and need not be asked about them.

    A newcomer has failed fewer than `maxretry` times within findtime, is not banned in the jail, and no ban of it that
    is over is remembered in any jail. Most failures are theirs, and where all of a jail's deciders carry this mark the
    guard saves itself the question. It may ask all the same.
    """
    setattr(function, _SKIPS_NEWCOMERS, True)
    return function


def skips_newcomers(function: Callable[..., Any]) -> bool:
    """Whether an implementation carries the mark."""
    return getattr(function, _SKIPS_NEWCOMERS, False) is True
