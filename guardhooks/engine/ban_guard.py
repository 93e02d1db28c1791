"""The last check before the firewall: addresses that no ban may hit, whoever asks for it.

It knows what the machine itself needs: its addresses, its gateways, and the peers of the ssh sessions that started or
control the daemon. What the administrator allowlists (`ignoreip`) is known to the plugins: `refuse_ban`.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Collection
from types import MappingProxyType
from typing import Final

from guardhooks.errors import ActionError
from guardhooks.model import Ban, Jail
from guardhooks.net.prefixes import PrefixMap, key_of
from guardhooks.system.gateways import default_gateways
from guardhooks.system.interfaces import own_addresses
from guardhooks.system.ssh_sessions import Session, claims_of, sessions_of
from guardhooks.text import safe_text

OWN: Final = "this machine's own address"
GATEWAY: Final = "this machine's gateway"
SSH_PEER: Final = "where an ssh session that controls this daemon comes from"
FORCED: Final = MappingProxyType({"forced": "by hand"})
"""`notes` of a ban by hand that was made with --force."""

_AGE: Final = 60.0
"""Seconds after which the needs of the machine are read again."""
_LOOPBACK: Final = "127."
"""All of 127.0.0.0/8 is this machine, though only one address is assigned."""
_WIDEST: Final = {False: 8, True: 32}
"""Shortest prefix of a ban, for IPv4 and for IPv6."""

logger = logging.getLogger("guardhooks.actions")


class BanGuard:
    """Says what must not be banned, in microseconds; what the machine needs is read in threads.

    :param clock: seconds since the epoch.
    :param allowlist_reason: why plugins refuse to have an id banned in a jail; empty where they do not.
    """

    def __init__(self, clock: Callable[[], float], allowlist_reason: Callable[[Jail, str], str]) -> None:
        self._clock = clock
        self.allowlist_reason = allowlist_reason
        self._read_at = 0.0
        self._needed: dict[str, str] = {}
        self._map = PrefixMap()
        self._sessions: frozenset[Session] = frozenset()
        self._starters: frozenset[str] = frozenset()
        self._peers: frozenset[str] = frozenset()

    async def open(self) -> None:
        """Learn what the machine needs, and by whom this process was started."""
        self._sessions, self._starters = await asyncio.to_thread(_starters)
        await self._read()

    async def refresh(self) -> bool:
        """Read again what the machine needs, if that is due; returns whether it was."""
        is_old = not 0 <= self._clock() - self._read_at < _AGE
        if is_old:
            await self._read()
        return is_old

    async def protect_session_of(self, pid: int) -> None:
        """Protect the peers of the ssh sessions that a controlling process runs in, as long as those sessions last."""
        found = await asyncio.to_thread(sessions_of, pid)
        if not found <= self._sessions:
            self._sessions |= found
            self._update_map()

    async def _read(self) -> None:
        self._read_at = self._clock()
        self._needed, over = await asyncio.to_thread(_read, self._sessions)
        self._sessions -= over  # others may have come meanwhile
        self._update_map()

    def _update_map(self) -> None:
        self._peers = self._starters | {session.peer for session in self._sessions}
        self._map = PrefixMap([*self._needed, *self._peers])

    def check(self, jail: Jail, id: str, *, force: bool, protected: Collection[str]) -> None:
        """Check a ban by hand.

        :param force: allow everything except a whole address family.
        :param protected: further addresses that it must not hit, such as the one that asks for it.
        :raises ActionError: saying why it is refused and how to ban it anyway.
        """
        if is_everybody(id):
            raise ActionError(f"[{jail.name}] {id} is refused: it is everybody, you too; name a smaller network")
        if not force and (why := self.refusal(jail, id, protected)):
            raise ActionError(f"[{jail.name}] {safe_text(id)} is refused: {why}; add --force to ban it anyway")

    def allows(self, jail: Jail, ban: Ban) -> bool:
        """Whether a decided ban may be made; if not, the log says why and how to ban it anyway."""
        why = self.refusal(jail, ban.id)
        if why:
            remedy = f"`guardhooks ban {ban.jail} {ban.id} --force` bans it anyway"
            logger.warning("[%s] %s is not banned: %s; %s", ban.jail, safe_text(ban.id), why, safe_text(remedy))
        return not why

    def refusal(self, jail: Jail, id: str, protected: Collection[str] = ()) -> str:
        """Why `id` must not be banned, as the end of a sentence; empty if it may be."""
        if hit := self.protected_address_in(id, protected):
            return f"it {'is' if hit == id else f'covers {hit},'} {self.role_of(hit)}"
        if why := _too_wide(id):
            return why
        reason = self.allowlist_reason(jail, id)
        return f"{safe_text(reason)} exempts it" if reason else ""

    def narrow_to_address(self, jail: Jail, prefix: str, address: str) -> str:
        """`address` if its `prefix` would hit what the machine needs or what plugins allowlist, else `prefix`."""
        return address if self.protected_address_in(prefix) or self.allowlist_reason(jail, prefix) else prefix

    def unsafe_active_bans(self, find: Callable[[str], list[Ban]]) -> list[Ban]:
        """Bans in force of what the machine needs by now, except forced ones; logs the reason of each.

        :param find: gives the bans that cover an address.
        """
        found = {(ban.jail, ban.id): ban for address in self._needed for ban in find(address)}
        bans = [ban for ban in found.values() if not ban.notes.keys() >= FORCED.keys()]
        for ban in bans:
            hit = self.protected_address_in(ban.id)
            logger.warning(
                "[%s] the ban of %s is lifted: %s has become %s", ban.jail, safe_text(ban.id), hit, self.role_of(hit)
            )
        return bans

    def protected_address_in(self, id: str, protected: Collection[str] = ()) -> str:
        """An address that the machine needs and that a ban of `id` would hit; empty if there is none."""
        loopback = id if id.startswith(_LOOPBACK) and key_of(id) is not None else ""
        if "/" not in id:
            return id if id in self._needed or id in self._peers or id in protected else loopback
        found = next(self._map.inside(id), "")
        return found or next(PrefixMap(protected).inside(id), loopback)

    def role_of(self, address: str) -> str:
        """What an address is to this machine."""
        return OWN if address.startswith(_LOOPBACK) else self._needed.get(address, SSH_PEER)


def _too_wide(id: str) -> str:
    if "/" not in id or (key := key_of(id)) is None:
        return ""
    v6, host_bits, _ = key
    length, widest = (128 if v6 else 32) - host_bits, _WIDEST[v6]
    return f"it is wider than a /{widest}" if length < widest else ""


def is_everybody(id: str) -> bool:
    """Whether an id is a whole address family, `0.0.0.0/0` or `::/0`."""
    return id.endswith("/0") and key_of(id) is not None


def _read(sessions: frozenset[Session]) -> tuple[dict[str, str], frozenset[Session]]:
    """What each address is that the machine needs, and which of the sessions are over."""
    needed = {**dict.fromkeys(default_gateways(), GATEWAY), **dict.fromkeys(own_addresses(), OWN)}
    return needed, frozenset(session for session in sessions if not session.lasts)


def _starters() -> tuple[frozenset[Session], frozenset[str]]:
    """The sessions in which this process was started; where none is found, what the environment says of it."""
    sessions = sessions_of(os.getpid())
    return sessions, frozenset() if sessions else claims_of(os.getpid(), os.geteuid())
