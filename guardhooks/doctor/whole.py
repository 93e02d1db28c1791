"""Is the guard in order: daemon, configuration, ledger, every jail, every action."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import guardhooks
from guardhooks.doctor.diagnosis import Diagnosis, bad, good, note
from guardhooks.doctor.in_time import diagnosed, in_time
from guardhooks.doctor.ledger_file import look_at
from guardhooks.engine.action_worker import ActionState, ActionWorker
from guardhooks.model import ActionSpec, Finding, Jail, Level
from guardhooks.status import SourceStatus
from guardhooks.system.privileges import may_change_firewall
from guardhooks.text import plural, safe_text

if TYPE_CHECKING:
    from guardhooks.engine.guard import Guard

_STALE: Final = 7 * 86400.0
"""Seconds after which the last line of a log is remarkable."""
RUN = "start it: `guardhooks run`, or the service"


def check_daemon(guard: Guard, *, running: bool) -> Iterator[Finding]:
    """Whether it runs, and does more than observe."""
    if not running:
        yield bad(
            "no daemon runs: nothing is read and nobody new is banned; bans stay in the kernel until they end", RUN
        )
        return
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(guard.started))
    yield good(f"guardhooks {guardhooks.__version__} runs: pid {os.getpid()}, since {since}")
    if guard.observing:
        yield from _observing()


def _observing() -> Iterator[Finding]:
    if may_change_firewall():
        yield note("it only observes: bans are decided and logged, nobody is kept out", "run it without --observe")
    else:
        yield bad(
            "it only observes, without the privilege CAP_NET_ADMIN: nobody is kept out",
            "run it as root, or give the service that capability",
        )


def check_configuration(guard: Guard) -> Iterator[Finding]:
    """What is wrong with the configuration."""
    settings = guard.settings
    for problem in [*settings.problems, *guard.plugins.problems]:
        yield bad(safe_text(str(problem)), "fix it, then `guardhooks reload`")
    for name, problems in settings.broken.items():
        for problem in problems:
            yield bad(f"jail {name} does not run: {safe_text(str(problem))}", "fix it, then `guardhooks reload`")
    if not guard.jails:
        yield bad("no jail is enabled: nothing is guarded", "enable one in jail.local")
    else:
        yield good(f"{safe_text(str(settings.directory))}: jails {', '.join(guard.jails)}")


async def check_ledger(guard: Guard) -> list[Finding]:
    """Whether bans and failures are safe on disk."""
    found = await asyncio.to_thread(lambda: list(look_at(guard.ledger_file)))
    found += [bad(safe_text(each), "a new ledger is in use; restart the daemon to clear this message")
              for each in guard.ledger.notes]  # fmt: skip
    if guard.state_problem:
        found.append(bad(guard.state_problem, "until then a crash loses failures and bans since the last write"))
    return found


def check_jail(guard: Guard, of: Jail, *, running: bool) -> Iterator[Finding]:
    """Whether every part of a jail works."""
    problems = guard.problems(of)
    for problem in problems:
        yield bad(safe_text(str(problem)), "fix it, then `guardhooks reload`")
    for fault in guard.plugins.faults.reports():
        if fault.jail == of.name and fault.state == "faults" and fault.last is not None:
            last = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(fault.last))
            yield bad(f"plugin {fault.name}: {plural(fault.faults, 'fault')}, last {last}: {fault.reason}", fault.place)
    sources = guard.sources.statuses(of.name)
    for source in sources:
        place = f"{safe_text(source.key)}: {safe_text(source.detail)}".removesuffix(": ")
        if source.state == "failed":
            yield bad(f"source {place} failed")
        elif source.state == "waiting":
            yield note(f"source {place} does not exist yet: nothing is read until it does")
        elif running:
            yield _source_health(source)
    if running and not sources and of.sources:
        yield bad("it has no source that is read")
    totals = guard.ledger.totals(of.name)
    if not problems:
        yield good(f"{plural(totals.tracked, 'offender')} watched, {totals.banned} banned")


def _source_health(source: SourceStatus) -> Finding:
    """What a source that reads has delivered; a last line that is old is worth a look."""
    name = safe_text(source.label or source.key)
    read = f"source {name}: {plural(source.lines, 'line')} read, {source.matched} matched"
    if source.last_line is None:
        return good(read)
    last = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(source.last_line))
    if time.time() - source.last_line > _STALE:
        return note(f"{read}, the last of {last}", "check that the service still logs there")
    return good(f"{read}, the last of {last}")


async def check_action(guard: Guard, of: Jail, spec: ActionSpec, diagnosis: Diagnosis) -> list[Finding]:
    """Whether an action works, by its own report and by what is really there."""
    found: list[Finding] = []
    for worker in guard.enforcer.workers(of.name):
        if worker.action == spec:
            found += _worker(worker)
    bans = guard.ledger.desired(of.name)
    seen = await diagnosed(guard, of, spec, bans, diagnosis)
    if seen is None and not any(finding.level is Level.BAD for finding in found):
        found.append(note("what it really holds cannot be read: no plugin can look"))
    return found + (seen or [])


def _worker(worker: ActionWorker) -> Iterator[Finding]:
    if worker.state in (ActionState.FAILING, ActionState.NO_HANDLER):
        yield bad(worker.reason, "retrying" if worker.state is ActionState.FAILING else "")
    elif worker.state is ActionState.STARTING:
        yield note("it is starting")
    else:
        yield good(safe_text(worker.note) or "it reports that it works")
    if len(worker.retries):
        yield bad(f"{plural(len(worker.retries), 'ban')} failing: {safe_text(worker.retries.reason())}")
    if worker.problem:
        yield bad(safe_text(worker.problem))
    if worker.warning:
        yield bad(safe_text(worker.warning))
    if worker.repairs:
        yield note(f"{plural(worker.repairs, 'repair')} since the start: something else changes what it built")


async def examine_whole(guard: Guard, diagnosis: Diagnosis) -> None:
    """Look at everything."""
    running = diagnosis.running
    diagnosis.add("daemon", check_daemon(guard, running=running))
    diagnosis.add("configuration", check_configuration(guard))
    actions = [(jail, spec) for jail in guard.jails.values() for spec in jail.actions]
    ledger, *found = await asyncio.gather(
        in_time(check_ledger(guard), diagnosis.patience),
        *(check_action(guard, jail, spec, diagnosis) for jail, spec in actions),
    )
    diagnosis.add("ledger", ledger or ())
    by_action = {(jail.name, spec.actname): each or () for (jail, spec), each in zip(actions, found, strict=True)}
    for each in guard.jails.values():
        diagnosis.add(f"jail {each.name}", check_jail(guard, each, running=running))
        for spec in each.actions:
            diagnosis.add(f"action {each.name}/{spec.actname}", by_action[each.name, spec.actname])
