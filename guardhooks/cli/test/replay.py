"""`test --bans`: whom the jail would have banned, by running the log through the real flow on the log's own clock."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from guardhooks.engine.configuration import LiveConfiguration
from guardhooks.engine.pipeline import Pipeline
from guardhooks.engine.resolver import Resolver
from guardhooks.ledger import Ledger
from guardhooks.model import Ban, Failure, Jail
from guardhooks.plugins import Plugins
from guardhooks.settings.model import Settings


@dataclass(frozen=True, slots=True)
class ReplayedBan:
    """A ban that would have been made, and the user names that were tried before it (sorted)."""

    ban: Ban
    users: tuple[str, ...]


@dataclass(slots=True)
class Replay:
    """Counts failures and decides bans as the daemon would, in memory. Nothing is banned and no command is run.

    `bans` are in the order of their start. `spared` counts, by id, the bans that `ignoreip` would have refused, `late`
    the failures that came while their id was banned.
    """

    plugins: Plugins
    jail: Jail
    bans: list[ReplayedBan] = field(default_factory=list)
    spared: dict[str, int] = field(default_factory=dict)
    failures: int = 0
    late: int = 0
    _now: float = -math.inf
    _users: dict[str, set[str]] = field(default_factory=dict)
    _runner: asyncio.Runner = field(default_factory=asyncio.Runner)
    _ledger: Ledger = field(init=False)
    _pipeline: Pipeline = field(init=False)

    def __post_init__(self) -> None:
        self.jail = replace(self.jail, ignorecommand="")
        self._ledger = Ledger.open(None, clock=self._clock, history_age=math.inf)
        self._pipeline = Pipeline(
            configuration=LiveConfiguration(Settings(Path(), (self.jail,)), self.plugins, observe=False),
            ledger=self._ledger,
            resolver=Resolver(clock=self._clock),
            clock=self._clock,
            executor=ThreadPoolExecutor(1),
            apply=self._apply,
            seen_again=self._seen_again,
            narrow_to_address=lambda _jail, prefix, _address: prefix,
        )

    def _clock(self) -> float:
        return self._now

    def add(self, failures: Iterable[Failure]) -> None:
        """Take failures in the order of the log; those without an id and helper lines do not count."""
        for failure in failures:
            id = failure.id or failure.resolve
            if failure.nofail or not id or not math.isfinite(failure.time):
                continue
            self.failures += 1
            self._now = max(self._now, failure.time)
            self._expire()
            if isinstance(user := failure.fields.get("user"), str):
                self._users.setdefault(id, set()).add(user)
            counted = replace(failure, jail=self.jail.name, id=id, resolve="")
            self._runner.run(self._pipeline.process([counted]))

    def _expire(self) -> None:
        end = self._ledger.next_end()
        if end is not None and end <= self._now:
            self._ledger.expire(self._now)

    def _apply(self, ban: Ban) -> Ban | None:
        if ban.jail != self.jail.name:
            return None
        self._ledger.forget(ban.jail, ban.id)
        if self.plugins.refuse_ban(self.jail, ban.id):
            self.spared[ban.id] = self.spared.get(ban.id, 0) + 1
            return None
        stored = self._ledger.add(ban)
        if stored is not None:
            address = ban.fields.get("ip4") or ban.fields.get("ip6") or ban.id
            users = self._users.pop(str(address), set()) | self._users.pop(ban.id, set())
            self.bans.append(ReplayedBan(stored, tuple(sorted(users))))
        return stored

    def _seen_again(self, _jail: Jail, _ban: Ban, _failure: Failure) -> None:
        self.late += 1

    def close(self) -> None:
        """Release the event loop."""
        self._runner.close()
