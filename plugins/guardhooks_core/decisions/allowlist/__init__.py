"""`allowlist`: addresses that are never banned because somebody said so in the running guard.

`guardhooks ignore add` lifts their bans at once; the list survives restarts and reloads. What belongs to the
configuration stands in `ignoreip`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from guardhooks import Failure, GuardView, Ignore, Jail, Requests, hookimpl
from guardhooks_core.decisions.allowlist.entries import FILE, Allowlist
from guardhooks_core.decisions.allowlist.requests import AllowlistRequests

_lists: dict[int, tuple[GuardView, Allowlist]] = {}
"""By identity of the guard, so that several in one process stay separate."""
_of_jail: dict[int, Allowlist] = {}
"""By identity of the jail."""
_identity: Final = id
"""Hooks call an argument `id`."""


@hookimpl
def on_start(guard: GuardView) -> None:
    """Read the list at the start, and know the jails of now."""
    if id(guard) not in _lists:
        file = guard.ledger_file.with_name(FILE) if guard.ledger_file else None
        _lists[id(guard)] = guard, Allowlist(file, guard.clock)
    _know_jails()


@hookimpl
def on_stop(guard: GuardView) -> None:
    """Forget the guard."""
    _lists.pop(id(guard), None)
    _know_jails()


def _know_jails() -> None:
    _of_jail.clear()
    _of_jail.update((id(jail), found) for guard, found in _lists.values() for jail in guard.jails.values())


@hookimpl
def screen_failures(jail: Jail) -> Sequence[int] | None:
    """Nobody needs to be asked about where the list has no entry for the jail."""
    found = _of_jail.get(id(jail))
    return None if found is not None and found.may_hit(jail.name) else ()


@hookimpl(tryfirst=True)
def on_failure(jail: Jail, failure: Failure) -> Ignore | None:
    """Drop the failures of who is on the list."""
    found = _of_jail.get(id(jail))
    if found is None:
        return None
    entry = found.hit(jail.name, failure.id) or (found.hit(jail.name, failure.address) if failure.address else None)
    return Ignore("guardhooks ignore") if entry else None


@hookimpl
def refuse_ban(jail: Jail, id: str) -> Ignore | None:
    """Refuse any ban that covers somebody on the list."""
    found = _of_jail.get(_identity(jail))
    entry = found.meets(jail.name, id) if found else None
    return Ignore(f"`guardhooks ignore list` ({entry.id})") if entry else None


@hookimpl
def add_requests(requests: Requests) -> None:
    """`ignore_add`, `ignore_remove`, `ignore_list`."""
    for guard, found in _lists.values():
        for request in AllowlistRequests(guard, found).table():
            requests.add(request)
        return  # a daemon has one guard
