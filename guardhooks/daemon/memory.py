"""How the daemon's process handles its memory. A server that embeds the guard is left as it is."""

from __future__ import annotations

import ctypes
import gc
from typing import Final

_ARENA_MAX: Final = -8  # M_ARENA_MAX, malloc.h of glibc
_YOUNG: Final = 10_000
"""Objects that are made until garbage is searched for among the youngest. A storm makes so many in a tenth of a second,
drops them as fast, and hardly any are in cycles; Python's own 700 take 4 % of the processor then.
"""


def share_arenas() -> None:
    """Have all threads allocate from the same two pools, to be called before there are threads.

    By itself glibc gives each thread a pool of its own, and what one thread frees no other can have: with fifty jails,
    whose filters are compiled in threads, that is 15 MB. Other C libraries have no such pools.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_ARENA_MAX, 2)


def pause_gc() -> None:
    """Call it when the loading begins: no garbage collection runs until `freeze_gc`.

    Nearly all that is made meanwhile stays; a hundred thousand bans would be looked through again and again.
    """
    gc.disable()


def freeze_gc(*, search: bool = True) -> None:
    """Call it when everything has been loaded, or reloaded: later garbage collections skip it.

    A full collection stops everything, and most of what it would look at stays.

    :param search: first search for what the load left behind. At a start that is little, and a hundred thousand bans
        to look through would keep the daemon from its work for a second.
    """
    gc.unfreeze()
    if search:
        gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG)
    gc.enable()
