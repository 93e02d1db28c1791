"""The mark that plugin authors put on their hook implementations."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

import pluggy

_Function = TypeVar("_Function", bound=Callable[..., Any])
_MARK: Final = "guardhooks_skips_first_time_offenders"

hookimpl: Final = pluggy.HookimplMarker("guardhooks")
"""`@hookimpl`, `@hookimpl(trylast=True)`, `@hookimpl(wrapper=True)`: see the pluggy documentation."""


def skip_first_time_offenders(function: _Function) -> _Function:
    """Below `@hookimpl` on a `decide_ban`: it has no opinion about first-time offenders.

    A first-time offender has failed fewer than `maxretry` times within findtime, is not banned in the jail, and no
    expired ban of it is remembered in any jail. Most failures are theirs, and where all deciders of a jail carry this
    mark the guard does not call them. It may call them all the same.
    """
    setattr(function, _MARK, True)
    return function


def skips_first_time_offenders(function: Callable[..., Any]) -> bool:
    """Whether an implementation carries the mark."""
    return getattr(function, _MARK, False) is True
