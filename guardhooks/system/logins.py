"""What systemd-logind knows of a process's session, by libsystemd; nothing where either is absent."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache

from guardhooks.net.addresses import canonical


def remote_host(pid: int) -> str:
    """The address that the session of a process came from, as sshd told logind by PAM; empty where that is not known.

    Needs no privilege: logind keeps a session's processes in a cgroup, which none of them can choose.
    sd_pid_get_session(3), sd_session_get_remote_host(3).
    """
    library = _libsystemd()
    if library is None:
        return ""
    session = _string(lambda found: library.sd_pid_get_session(pid, found))
    if not session:
        return ""
    return canonical(_string(lambda found: library.sd_session_get_remote_host(session, found)).decode(errors="replace"))


def _string(ask: Callable[[object], int]) -> bytes:
    """A string that the library allocates for its caller."""
    found = ctypes.c_void_p()
    if ask(ctypes.byref(found)) < 0 or not found.value:
        return b""
    try:
        return ctypes.string_at(found.value)
    finally:
        _free()(found)


@cache
def _libsystemd() -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL("libsystemd.so.0")
    except OSError:
        return None


@cache
def _free() -> Callable[[ctypes.c_void_p], None]:
    free = ctypes.CDLL(None).free
    free.argtypes, free.restype = (ctypes.c_void_p,), None
    return free
