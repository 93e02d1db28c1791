"""Builds the state of a guard: the one place that fills `guardhooks.status`."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import guardhooks
from guardhooks.engine.action_worker import ActionState, ActionWorker
from guardhooks.engine.configuration import LiveConfiguration
from guardhooks.engine.enforcer import NO_ACTION, Enforcer
from guardhooks.engine.leaks import Leaks
from guardhooks.engine.runtime_changes import RuntimeChanges
from guardhooks.engine.sources import Sources
from guardhooks.ledger import Ledger
from guardhooks.model import Ban, Jail, Problem
from guardhooks.plugins import Plugins
from guardhooks.status import (
    ActionStatus,
    BanCounts,
    BanStatus,
    FailureCounts,
    GuardStatus,
    JailDetails,
    JailStatus,
    PluginReport,
)
from guardhooks.text import safe_text

_NOT_WORKING: Final = frozenset({ActionState.FAILING, ActionState.NO_HANDLER})


class StatusBuilder:
    """Asks every part of a guard for its state."""

    def __init__(  # noqa: PLR0917 -- its collaborators
        self,
        configuration: LiveConfiguration,
        ledger: Ledger,
        enforcer: Enforcer,
        sources: Sources,
        leaks: Leaks,
        changes: RuntimeChanges,
        clock: Callable[[], float],
    ) -> None:
        self._configuration = configuration
        self._ledger, self._enforcer, self._sources, self._clock = ledger, enforcer, sources, clock
        self._leaks, self._changes = leaks, changes

    def guard(
        self, *, started: float, configured: float, observing: bool, ledger_file: Path | None, state_problem: str
    ) -> GuardStatus:
        """All jails, and what is wrong with none of them in particular."""
        settings, plugins, jails = self._configuration.settings, self._configuration.plugins, self._configuration.jails
        broken = [
            JailStatus(name, "broken", problems=tuple(safe_text(str(problem)) for problem in why))
            for name, why in settings.broken.items()
            if name not in jails
        ]
        stopped = [
            JailStatus(change.jail, change.value, changes=self._changes.all(change.jail))
            for change in self._changes.all()
            if not change.key and change.jail not in jails
        ]
        reported = [*map(str, settings.problems), *map(str, plugins.problems)]
        return GuardStatus(
            version=guardhooks.__version__,
            pid=os.getpid(),
            config=str(settings.directory),
            state=str(ledger_file.parent) if ledger_file else None,
            started=started,
            configured=configured,
            observing=observing,
            jails=(*(self._jail(jail) for jail in jails.values()), *stopped, *broken),
            problems=(*reported, *self._ledger.notes, *filter(None, [state_problem])),
            mended_by_reload=bool(reported),
            faults=_faults(plugins, ""),
            history_age=self._configuration.history_age,
        )

    def jail_with_bans(self, jail: Jail) -> JailDetails:
        """One jail with its limits and its bans."""
        overview = self._jail(jail)
        return JailDetails(
            **{name: getattr(overview, name) for name in JailStatus.__dataclass_fields__},
            maxretry=jail.maxretry,
            findtime=jail.findtime,
            bantime=_finite(jail.bantime),
            banned=tuple(self._ban(ban) for ban in self._ledger.active(jail.name)),
        )

    def problems(self, jail: Jail) -> list[Problem]:
        """Everything that keeps a jail from running whole."""
        plugins = self._configuration.plugins
        off = [
            Problem(f"plugin {name} is switched off: {why}")
            for name, why in plugins.faults.switched_off(jail.name).items()
        ]
        own = [text for text in ("" if jail.actions else NO_ACTION, self._leaks.problem(jail.name)) if text]
        return [
            *jail.problems,
            *(Problem(text, section=jail.name) for text in own),
            *plugins.unknown_switches(jail),
            *self._sources.problems(jail.name),
            *off,
        ]

    def _jail(self, jail: Jail) -> JailStatus:
        totals = self._ledger.totals(jail.name)
        problems = self.problems(jail)
        workers = self._enforcer.workers(jail.name)
        sources = self._sources.statuses(jail.name)
        failing = self._enforcer.failing(jail.name)
        is_degraded = (
            bool(problems)
            or any(worker.state in _NOT_WORKING or worker.retries or worker.problem for worker in workers)
            or any(source.state == "failed" for source in sources)
        )
        return JailStatus(
            name=jail.name,
            state=self._changes.state(jail.name) or ("degraded" if is_degraded else "running"),
            filter=jail.filter.name if jail.filter else "",
            sources=tuple(sources),
            failures=FailureCounts(totals.tracked, totals.failures),
            bans=BanCounts(max(0, totals.banned - failing), failing, totals.bans),
            actions=tuple(_action(worker) for worker in workers),
            problems=tuple(safe_text(str(problem)) for problem in problems),
            plugins_off=tuple(sorted(self._configuration.plugins.faults.switched_off(jail.name))),
            faults=_faults(self._configuration.plugins, jail.name),
            changes=self._changes.all(jail.name),
        )

    def _ban(self, ban: Ban) -> BanStatus:
        return BanStatus(
            id=ban.id,
            start=ban.start,
            end=_finite(ban.end),
            remaining=_finite(ban.remaining(self._clock())),
            count=ban.count,
            failures=ban.failures,
            reason=ban.reason,
            matches=ban.matches,
            state=self._enforcer.state(ban.jail, ban.id),
            problem=self._enforcer.reason(ban.jail, ban.id),
        )


def _faults(plugins: Plugins, jail: str) -> tuple[PluginReport, ...]:
    """Plugins that have failed for a jail (empty: for none in particular) and are still asked."""
    return tuple(each for each in plugins.reports() if each.state == "faults" and each.jail == jail)


def _action(worker: ActionWorker) -> ActionStatus:
    return ActionStatus(
        name=worker.action.name,
        actname=worker.action.actname,
        state=str(worker.state),
        note=worker.note,
        reason=worker.reason or worker.retries.reason() or worker.problem,
        warning=worker.warning,
        failing=len(worker.retries),
        repairs=worker.repairs,
    )


def _finite(seconds: float) -> float | None:
    return seconds if math.isfinite(seconds) else None
