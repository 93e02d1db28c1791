"""The state of a guard as JSON-able values, the same for `status --json` and for people."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING

import guardhooks
from guardhooks.engine.enforcer import ActionState, ActionWorker
from guardhooks.model import Ban, Jail
from guardhooks.text import safe_text

if TYPE_CHECKING:
    from guardhooks.engine.guard import Guard


def guard_status(guard: Guard) -> dict[str, object]:
    """State of all jails, and what is wrong with none of them in particular."""
    broken = [
        _broken(name, [safe_text(str(problem)) for problem in why])
        for name, why in guard.settings.broken.items()
        if name not in guard.jails
    ]
    configured = [*map(str, guard.settings.problems), *map(str, guard.plugins.problems)]
    return {
        "version": guardhooks.__version__,
        "pid": os.getpid(),
        "config": str(guard.settings.directory),
        "state": str(guard.ledger_file.parent) if guard.ledger_file else None,
        "started": guard.started,
        "observing": guard.observing,
        "jails": [_jail(guard, jail) for jail in guard.jails.values()] + broken,
        "problems": [*configured, *guard.ledger.notes, *filter(None, [guard.state_problem])],
        "mended_by_reload": bool(configured),
    }


def jail_status(guard: Guard, jail: Jail) -> dict[str, object]:
    """State of one jail, with its limits and its bans."""
    return {
        **_jail(guard, jail),
        "maxretry": jail.maxretry,
        "findtime": jail.findtime,
        "bantime": _finite(jail.bantime),
        "banned": [_ban(guard, ban) for ban in guard.ledger.active(jail.name)],
    }


def _jail(guard: Guard, jail: Jail) -> dict[str, object]:
    totals = guard.ledger.totals(jail.name)
    problems = guard.problems(jail)
    actions = [_action(worker) for worker in guard.enforcer.workers(jail.name)]
    sources = guard.sources.statuses(jail.name)
    failing = guard.enforcer.failing(jail.name)
    unwell = {ActionState.FAILING, ActionState.NO_HANDLER}
    sick = bool(problems) or any(a["state"] in unwell or a["failing"] for a in actions)
    return {
        "name": jail.name,
        "state": "degraded" if sick or any(s.state == "failed" for s in sources) else "running",
        "filter": jail.filter.name if jail.filter else "",
        "sources": [{"key": s.key, "state": s.state, "detail": s.detail, "origins": list(s.origins)} for s in sources],
        "failures": {"tracked": totals.tracked, "total": totals.failures},
        "bans": {"current": max(0, totals.banned - failing), "failing": failing, "total": totals.bans},
        "actions": actions,
        "problems": [safe_text(str(problem)) for problem in problems],
        "plugins_off": sorted(guard.plugins.faults.switched_off(jail.name)),
    }


def _broken(name: str, problems: list[str]) -> dict[str, object]:
    return {
        "name": name, "state": "broken", "filter": "", "sources": [], "failures": {"tracked": 0, "total": 0},
        "bans": {"current": 0, "failing": 0, "total": 0}, "actions": [], "problems": problems, "plugins_off": [],
    }  # fmt: skip


def _action(worker: ActionWorker) -> dict[str, object]:
    return {
        "name": worker.action.name,
        "actname": worker.action.actname,
        "state": str(worker.state),
        "note": worker.note,
        "reason": worker.reason or worker.retries.reason(),
        "warning": worker.warning,
        "failing": len(worker.retries),
        "repairs": worker.repairs,
    }


def _ban(guard: Guard, ban: Ban) -> dict[str, object]:
    return {
        "id": ban.id,
        "start": ban.start,
        "end": _finite(ban.end),
        "remaining": _finite(ban.remaining(guard.clock())),
        "count": ban.count,
        "failures": ban.failures,
        "reason": ban.reason,
        "matches": list(ban.matches),
        "state": guard.enforcer.state(ban.jail, ban.id),
        "problem": guard.enforcer.reason(ban.jail, ban.id),
    }


def _finite(seconds: float) -> float | None:
    return seconds if math.isfinite(seconds) else None
