"""An action that keeps somebody out: which of its families are started, which bans are in force, how to repair it."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

from guardhooks import ActionError, ActionSpec, Ban, Outcome, safe_text

from .invocation import Invoker
from .receipts import Done, Receipts
from .ticket import address_of

logger = logging.getLogger("guardhooks.shell")

TRIES: Final = 3
"""So often a ban or unban may fail at a time; then it is left, loudly, until the next check, so that others go on."""


class Enforcement:
    """One such action of one jail.

    A ban is *held* when its command has succeeded, *doubtful* when it failed, was killed or was cut short by a crash:
    then it is undone before it is done again, since doing it twice is not doing it once.

    :param shared: whether another action of this daemon runs this very `actionstart` too: then what it built is not
        torn down with this one.
    """

    def __init__(self, invoker: Invoker, receipts: Receipts, shared: Callable[[str], bool]) -> None:
        self.invoker = invoker
        self._commands = invoker.commands
        self._receipts = receipts
        self._shared = shared
        self._begun = False
        self._started: dict[str, str] = {}
        self._held: dict[str, Ban] = {}
        self._doubtful: dict[str, Ban] = {}
        self._tries: Counter[str] = Counter()
        self._unable: dict[str, str] = {}

    @property
    def action(self) -> ActionSpec:
        """The action that is being executed."""
        return self.invoker.action

    @property
    def start_texts(self) -> set[str]:
        """The `actionstart` of every started family."""
        return set(self._started.values())

    @property
    def note(self) -> str:
        """What `status` says."""
        failed = next(iter(self._unable.items()), None)
        if failed is None:
            return f"commands of {self.action.file or 'the jail'}"
        return f"{len(self._unable)} NOT done, tried again at each check: {safe_text(failed[0], 80)}: {failed[1]}"

    # --- the operations -----------------------------------------------------------------------------------------------

    async def start(self, bans: Sequence[Ban]) -> Outcome:
        """Make exactly `bans` be in force."""
        repaired = 0
        if self._begun:
            repaired = await self._check_families()
        else:
            await self._take_over(bans)
            self._begun = True
        if not self._commands.on_demand:
            for family in self._commands.families:
                await self._start_family(family)
        return await self._settle(bans, repaired)

    async def check(self, bans: Sequence[Ban]) -> Outcome:
        """Look whether all families still stand, repair what does not, and make exactly `bans` be in force."""
        self._tries = Counter(dict.fromkeys(self._unable, TRIES - 1))
        return await self._settle(bans, await self._check_families())

    async def reload(self, invoker: Invoker, receipts: Receipts) -> None:
        """Go on with other commands, what is in force staying as it is; `actionreload` makes the difference."""
        self.invoker, self._commands, self._receipts = invoker, invoker.commands, receipts
        for family in list(self._started):
            await invoker.demand("actionreload", family)
            self._started[family] = self._commands.text("actionstart", family)
        await asyncio.to_thread(self._write_all)

    async def _check_families(self) -> int:
        broken = [
            family
            for family in self._started
            if self.invoker.has("actioncheck", family) and not (await self.invoker.run("actioncheck", family)).ok
        ]
        return sum([await self._repair(family) for family in broken])

    async def _settle(self, bans: Sequence[Ban], repaired: int) -> Outcome:
        due = {ban.id for ban in bans}
        strangers = [ban for known in (self._held, self._doubtful) for id, ban in known.items() if id not in due]
        missing = due - self._held.keys()
        self._unable = {id: reason for id, reason in self._unable.items() if id in due}
        await self.unban(strangers)
        await self.ban(bans)
        return Outcome(repaired + len(missing & self._held.keys()), len(strangers), self.note)

    async def ban(self, bans: Iterable[Ban]) -> None:
        """Put bans in force, and prolong those that last longer than before."""
        wanted = [ban for ban in bans if self._changes(ban)]
        await self._each(wanted, self._ban)

    async def unban(self, bans: Iterable[Ban]) -> None:
        """Lift bans; those that are not in force are passed over."""
        known = [ban for ban in bans if ban.id in self._held or ban.id in self._doubtful]
        for ban in known:
            self._doubtful.setdefault(ban.id, self._held.pop(ban.id, ban))
        await self._each(known, self._unban)

    async def flush(self) -> None:
        """Lift everything and remove what was built.

        :raises ActionError: when something is left.
        """
        stoppable = [family for family in self._started if not self._is_shared(family)]
        for family in stoppable:
            wanted = self._of(family) and self.invoker.has("actionflush", family)
            if wanted and (await self.invoker.run("actionflush", family)).ok:
                self._drop(self._of(family))
        await self.unban([*self._held.values(), *self._doubtful.values()])
        done: set[str] = set()
        for family in reversed(stoppable):
            text = self._commands.text("actionstop", family)
            if text not in done:
                done.add(text)
                await self._stop_family(family)
        self._started.clear()
        self._begun = False
        self._receipts.remove()

    # --- one ban ------------------------------------------------------------------------------------------------------

    async def _each(self, bans: Sequence[Ban], do: Callable[[Ban], Awaitable[None]]) -> None:
        """Do all, whatever becomes of one; what fails too often is left. Raises ActionError for what may be retried."""
        if not bans:
            return
        await self._write([("?", ban.id, ban.end) for ban in bans])
        failures: list[ActionError] = []
        for ban in bans:
            try:
                await do(ban)
            except ActionError as error:
                self._tries[ban.id] += 1
                if self._tries[ban.id] < TRIES:
                    failures.append(error)
                    continue
                if ban.id not in self._unable:
                    logger.error("[%s] NOT done, tried again at each check: %s", ban.jail, error)
                self._unable[ban.id] = str(error)
        await self._write([self._receipt(ban) for ban in bans])
        if failures:
            more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
            raise ActionError(f"{failures[0]}{more}")

    def _receipt(self, ban: Ban) -> tuple[str | float, ...]:
        if ban.id in self._held:
            return "+", ban.id, self._held[ban.id].end
        return ("?", ban.id, ban.end) if ban.id in self._doubtful else ("-", ban.id)

    def _changes(self, ban: Ban) -> bool:
        if self._tries[ban.id] >= TRIES:
            return False
        held = self._held.get(ban.id)
        return held is None or ban.end > held.end

    async def _ban(self, ban: Ban) -> None:
        family = self._commands.family_of(address_of(ban))
        if not self.invoker.can_name("actionban", family, ban):
            said = "[%s] %s cannot ban %s: it is no address"
            logger.error(said, ban.jail, self.action.actname, safe_text(ban.id, 80))
            self._held[ban.id] = ban
            return
        if ban.id in self._held or (ban.restored and self._commands.norestored):
            if not (ban.restored and self._commands.norestored):
                await self.invoker.demand("actionprolong", family, ban)
            self._held[ban.id] = ban
            return
        await self._start_family(family)
        if self._doubtful.pop(ban.id, None) is not None:
            await self.invoker.run("actionunban", family, ban)
        self._doubtful[ban.id] = ban
        await self._attempt("actionban", family, ban)
        self._held[ban.id] = self._doubtful.pop(ban.id)
        self._forgive(ban)

    async def _unban(self, ban: Ban) -> None:
        family = self._commands.family_of(address_of(ban))
        if self.invoker.can_name("actionunban", family, ban):
            try:
                await self._attempt("actionunban", family, ban)
            except ActionError:
                if self._tries[ban.id] + 1 >= TRIES:
                    self._doubtful.pop(ban.id)  # nobody asks for it again
                raise
        self._doubtful.pop(ban.id, None)
        self._forgive(ban)

    def _forgive(self, ban: Ban) -> None:
        self._tries.pop(ban.id, None)
        self._unable.pop(ban.id, None)

    async def _attempt(self, command: str, family: str, ban: Ban) -> None:
        """Run it; where it fails and the check can tell why, put that right and run it once more.

        Without a check it is not run twice blindly: the caller is told, and asks again.
        """
        result = await self.invoker.run(command, family, ban)
        if result.ok:
            return
        error = self.invoker.error(command, result, ban)
        if not self.invoker.has("actioncheck", family):
            raise error
        if not (await self.invoker.run("actioncheck", family)).ok:
            if command == "actionunban" and not self._commands.flag("actionrepair_on_unban"):
                # What was built is gone and the ban with it; the repair comes with the next check.
                logger.error("[%s] Invariant check failed. Unban is impossible: %s", ban.jail, error)
                return
            await self._repair(family, spared=ban.id)
        logger.info("[%s] is tried once more: %s", ban.jail, error)
        await self.invoker.demand(command, family, ban)

    # --- families -----------------------------------------------------------------------------------------------------

    async def _start_family(self, family: str) -> None:
        if family in self._started:
            return
        text = self._commands.text("actionstart", family)
        if text and text not in self._started.values() and not self._shared(text):
            await self.invoker.demand("actionstart", family)
        await self._mark_started(family)

    async def _stop_family(self, family: str) -> None:
        result = await self.invoker.run("actionstop", family)
        if result.ok:
            return
        # Where somebody else has cleared it away there is nothing to remove.
        if self.invoker.has("actioncheck", family) and not (await self.invoker.run("actioncheck", family)).ok:
            return
        raise self.invoker.error("actionstop", result)

    async def _mark_started(self, family: str) -> None:
        self._started[family] = self._commands.text("actionstart", family)
        await self._write([("started", family)])

    def _is_shared(self, family: str) -> bool:
        text = self._started.get(family, self._commands.text("actionstart", family))
        return bool(text) and self._shared(text)

    def _of(self, family: str) -> list[Ban]:
        held = [*self._held.values(), *self._doubtful.values()]
        return [ban for ban in held if self._commands.family_of(address_of(ban)) == family]

    def _drop(self, bans: Iterable[Ban]) -> None:
        for ban in bans:
            self._held.pop(ban.id, None)
            self._doubtful.pop(ban.id, None)

    async def _repair(self, family: str, spared: str = "") -> int:
        """Build a broken family again and put its bans in force; how many those were."""
        name = self.action.actname
        logger.error("[%s] %s: Invariant check failed. Trying to restore a sane environment", self.invoker.jail, name)
        if self.invoker.has("actionrepair", family):
            await self.invoker.demand("actionrepair", family)
        else:
            await self.invoker.run("actionstop", family)
            await self.invoker.demand("actionstart", family)
        result = await self.invoker.run("actioncheck", family)
        if not result.ok:
            logger.critical("[%s] %s: Unable to restore environment: %s", self.invoker.jail, name, result)
            raise self.invoker.error("actioncheck", result)
        lost = [ban for ban in self._of(family) if ban.id != spared]
        command = "actionreban" if self.invoker.has("actionreban", family) else "actionban"
        for ban in lost:
            self._held.pop(ban.id, None)
            self._doubtful[ban.id] = ban
            if (await self.invoker.run(command, family, ban)).ok:
                self._held[ban.id] = self._doubtful.pop(ban.id)
        return len(lost)

    # --- after a restart ----------------------------------------------------------------------------------------------

    async def _take_over(self, bans: Sequence[Ban]) -> None:
        """Find out what an earlier process left, and go on from there; clear away what cannot be relied on."""
        done = await asyncio.to_thread(self._receipts.read)
        due = {ban.id: ban for ban in bans}
        for family in self._commands.families:
            await self._take_over_family(family, done, due)
        await asyncio.to_thread(self._write_all)

    async def _take_over_family(self, family: str, done: Done | None, due: dict[str, Ban]) -> None:
        if self._is_shared(family):
            return
        stands = None
        if self.invoker.has("actioncheck", family):
            stands = (await self.invoker.run("actioncheck", family)).ok
        if done is not None and done.same_commands and stands is not False and (stands or done.same_boot):
            self._adopt(family, done, due)
            return
        leftovers = done is not None or bool(stands) or (stands is None and not self._receipts.kept)
        if not leftovers:
            return
        cleared = False
        for command in ("actionflush", "actionstop"):
            if self.invoker.has(command, family):
                cleared = (await self.invoker.run(command, family)).ok or cleared
        if not cleared and stands is not False:
            known = {**_bans_of(done, self.invoker.jail), **due}
            self._doubtful.update(self._only(family, known))

    def _adopt(self, family: str, done: Done, due: dict[str, Ban]) -> None:
        if family in done.started:
            self._started[family] = self._commands.text("actionstart", family)
        for id, ban in self._only(family, _bans_of(done, self.invoker.jail)).items():
            certain = id in done.held and done.same_boot
            prolonged = id in due and due[id].end > ban.end
            (self._held if certain else self._doubtful)[id] = ban if prolonged else due.get(id, ban)

    def _only(self, family: str, bans: dict[str, Ban]) -> dict[str, Ban]:
        return {id: ban for id, ban in bans.items() if self._commands.family_of(address_of(ban)) == family}

    async def _write(self, entries: Sequence[tuple[str | float, ...]]) -> None:
        await asyncio.to_thread(self._receipts.add, entries)

    def _write_all(self) -> None:
        held = [(id, ban.end) for id, ban in self._held.items()]
        doubtful = [(id, ban.end) for id, ban in self._doubtful.items()]
        self._receipts.write(self._started, held, doubtful)


def _bans_of(done: Done | None, jail: str) -> dict[str, Ban]:
    """Bans that only their ids and ends are known of."""
    if done is None:
        return {}
    return {id: Ban(id, jail, 0.0, end, restored=True) for id, end in {**done.held, **done.doubtful}.items()}
