"""The action `auto`: the first of nftables, ipset and iptables that works on this machine, else observing, loudly.

It asks by doing: the jail's action is started with each in turn, with iptables' rules only where sets are impossible.
Only a machine without any firewall tool, or a user without the privilege, makes it observe; a tool that is there and
fails is an error with all reasons, and tried again.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from guardhooks import (
    ActionError,
    ActionSpec,
    Ban,
    Finding,
    GuardView,
    Jail,
    Level,
    Op,
    OptionTable,
    Outcome,
    hookimpl,
    safe_text,
)
from guardhooks_core.actions.firewall.errors import PrivilegeError, ToolMissingError
from guardhooks_core.actions.firewall.parameters import PASSING_NAMES, table_of

logger = logging.getLogger("guardhooks.auto")

NAME: Final = "auto"
CANDIDATES: Final = ("nftables", "ipset")
LAST_RESORT: Final = "iptables-rules"
"""A rule for each ban: only where sets are impossible, not where they fail for once."""
OBSERVE: Final = "observe"


class AutoAction:
    """The plugin. What was chosen holds for the jail's action until it is started again, stopped or flushed."""

    def __init__(self) -> None:
        self._guard: GuardView | None = None
        self._chosen: dict[tuple[str, str], str] = {}

    @hookimpl
    def on_start(self, guard: GuardView) -> None:
        """Keep the guard, whose other plugins do the work."""
        self._guard = guard

    @hookimpl(trylast=True)
    async def execute_action(self, jail: Jail, action: ActionSpec, op: Op, bans: Sequence[Ban]) -> Outcome | None:
        """See the contract."""
        if action.name != NAME:
            return None
        if self._guard is None:
            raise ActionError("action auto: the guard has not started")
        key = (jail.name, action.actname)
        if op is Op.START:
            outcome = await self._choose(self._guard, jail, action, bans)
        elif key in self._chosen:
            outcome = await self._guard.execute(jail, replace(action, name=self._chosen[key]), op, bans)
        elif op in (Op.STOP, Op.FLUSH):
            return Outcome()
        else:
            raise ActionError("action auto: not started")
        if op in (Op.STOP, Op.FLUSH):
            self._chosen.pop(key, None)
        return outcome

    @hookimpl(trylast=True)
    async def diagnose(
        self, guard: GuardView, jail: Jail, action: ActionSpec, bans: Sequence[Ban], address: str
    ) -> list[Finding] | None:
        """See the contract. Where nothing was chosen, since no daemon runs, the first that is whole is taken for it."""
        if action.name != NAME:
            return None
        chosen = self._chosen.get((jail.name, action.actname))
        found: dict[str, list[Finding]] = {}
        for name in [chosen] if chosen else (*CANDIDATES, LAST_RESORT):
            found[name] = await guard.diagnose(jail, replace(action, name=name), bans, address) or []
        whole = (name for name, findings in found.items() if all(each.level is not Level.BAD for each in findings))
        name = next(whole, next(iter(found)))
        return [Finding(f"auto → {name}" if chosen else f"auto: looked at as {name}"), *found[name]]

    async def _choose(self, guard: GuardView, jail: Jail, action: ActionSpec, bans: Sequence[Ban]) -> Outcome:
        failures: list[tuple[str, ActionError]] = []
        key = (jail.name, action.actname)
        self._chosen.pop(key, None)
        for name in (*CANDIDATES, LAST_RESORT):
            if name == LAST_RESORT and not all(_no_way(error) for _, error in failures):
                break
            try:
                outcome = await guard.execute(jail, replace(action, name=name), Op.START, bans)
            except ActionError as error:
                failures.append((name, error))
                continue
            self._chosen[key] = name
            reason = _reason(name, failures)
            return replace(outcome, note=f"{reason}; {outcome.note}" if outcome.note else reason)
        return await self._observe(guard, jail, action, bans, failures)

    async def _observe(
        self,
        guard: GuardView,
        jail: Jail,
        action: ActionSpec,
        bans: Sequence[Ban],
        failures: list[tuple[str, ActionError]],
    ) -> Outcome:
        reasons = "; ".join(f"{name}: {safe_text(str(error), 300)}" for name, error in failures)
        if not all(_no_way(error) for _, error in failures):
            raise ActionError(f"auto: no firewall works: {reasons}")
        self._chosen[jail.name, action.actname] = OBSERVE
        note = f"auto → observe, NOTHING IS BANNED: {reasons}"
        logger.warning("[%s] %s", jail.name, note)
        outcome = await guard.execute(jail, replace(action, name=OBSERVE), Op.START, bans)
        return replace(outcome, note=note)


def _reason(name: str, failures: list[tuple[str, ActionError]]) -> str:
    others = [f"{other} failed ({safe_text(str(error), 300)})" for other, error in failures]
    others += [f"{other} not tried" for other in CANDIDATES[len(failures) + 1 :]]
    return f"auto → {name}" + (f"; {', '.join(others)}" if others else "")


def _no_way(error: BaseException | None) -> bool:
    """Whether this machine or user cannot do it at all; the guard wraps what a plugin raised."""
    while error is not None:
        if isinstance(error, PrivilegeError | ToolMissingError):
            return True
        error = error.__cause__
    return False


@hookimpl
def declare_options() -> list[OptionTable]:
    """See the contract."""
    return [table_of(PASSING_NAMES, sets=True)]


_plugin = AutoAction()
on_start = _plugin.on_start
execute_action = _plugin.execute_action
diagnose = _plugin.diagnose
