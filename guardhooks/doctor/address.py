"""Why an address does or does not get through: who it is, what the ledger knows, what each action holds of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from guardhooks.doctor import whole
from guardhooks.doctor.connections import Open, open_connections
from guardhooks.doctor.diagnosis import Diagnosis, bad, good, note
from guardhooks.doctor.foreign_rules import OTHER_RULES, dropping_rules
from guardhooks.doctor.in_time import diagnosed, in_time
from guardhooks.engine.ban_guard import FORCED
from guardhooks.engine.leaks import closed_ports
from guardhooks.model import Ban, Finding, Jail, Level
from guardhooks.net.addresses import widen
from guardhooks.text import plural, safe_text

if TYPE_CHECKING:
    from guardhooks.engine.guard import Guard

_SHOWN: Final = 5


async def examine_address(guard: Guard, diagnosis: Diagnosis) -> None:
    """Look at everything that has to do with `diagnosis.address`."""
    address, running = diagnosis.address, diagnosis.running
    diagnosis.add("daemon", whole.check_daemon(guard, running=running))
    if guard.state_problem:
        diagnosis.add("ledger", [bad(guard.state_problem)])
    if guard.ban_guard.protected_address_in(address):
        diagnosis.add("address", [note(f"{address} is {guard.ban_guard.role_of(address)}: bans of it are refused")])
    jails = list(guard.jails.values())
    bans_of = {jail.name: guard.ledger.find(address, jail.name) for jail in jails}
    seen = await asyncio.gather(*(_actions(guard, jail, bans_of[jail.name], diagnosis) for jail in jails))
    for jail, actions in zip(jails, seen, strict=True):
        diagnosis.add(f"jail {jail.name}", _jail(guard, jail, address, bans_of[jail.name], running=running))
        for title, findings in actions:
            diagnosis.add(title, findings)
    if not any(finding.blocks for _, finding in diagnosis.findings):
        foreign = in_time(asyncio.to_thread(dropping_rules, address), diagnosis.patience)
        diagnosis.add(OTHER_RULES, await foreign or ())
    banned = [ban for bans in bans_of.values() for ban in bans]
    found = await asyncio.to_thread(open_connections, address)
    diagnosis.add("connections", _connections(found))
    closed = [await asyncio.to_thread(closed_ports, guard.jails[ban.jail]) for ban in banned]
    uncovered = [
        each for each in found if each.protocol == "tcp" and not any(p is None or each.port in p for p, _ in closed)
    ]
    _conclude(diagnosis, banned, uncovered)


def _jail(guard: Guard, jail: Jail, address: str, bans: Sequence[Ban], *, running: bool) -> Iterator[Finding]:
    for ban in bans:
        yield _ban(guard, ban, running=running)
    refused = guard.ban_guard.protected_address_in(address) or guard.plugins.refuse_ban(jail, address)
    if refused:
        why = guard.ban_guard.refusal(jail, address)
        if not bans:
            yield note(f"bans of it are refused: {why}")
        elif all(ban.notes.keys() >= FORCED.keys() for ban in bans):
            yield note(f"{why}, but the ban was forced")
        else:
            yield bad(f"it is banned although {why}", f"guardhooks unban {address} --jail {jail.name}")
    elif jail.ignorecommand:
        yield note("its ignorecommand decides about each failure; the doctor does not run it")
    yield from _failures(guard, jail, address)


def _ban(guard: Guard, ban: Ban, *, running: bool) -> Finding:
    now = guard.clock()
    left = ban.remaining(now)
    rest = "permanently" if left == float("inf") else f"for another {left:.0f} s"
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(ban.start))
    what = f"banned as {ban.id} since {since}, {rest}"
    if ban.reason:
        what += f" ({safe_text(ban.reason, 200)})"
    if not running:
        return note(f"according to the ledger {what}")
    state = guard.enforcer.state(ban.jail, ban.id)
    if state == "active":
        return good(what)
    if state == "pending":
        return note(f"{what}; it is being put in force")
    why = guard.enforcer.reason(ban.jail, ban.id)
    return bad(f"{what}, but not in force: {state}{f', {safe_text(why)}' if why else ''}", "retrying")


def _failures(guard: Guard, jail: Jail, address: str) -> Iterator[Finding]:
    now = guard.clock()
    for id in dict.fromkeys((address, widen(address, jail.ipv4prefix, jail.ipv6prefix))):
        times = [each for each in guard.ledger.failure_times(jail.name, id) if now - each < jail.findtime]
        if times:
            within = f"within {jail.findtime:.0f} s"
            yield note(f"{plural(len(times), 'failure')} of {id} {within}; {jail.maxretry} lead to a ban")


async def _actions(
    guard: Guard, jail: Jail, bans: Sequence[Ban], diagnosis: Diagnosis
) -> list[tuple[str, list[Finding]]]:
    """What the actions of a jail hold of an address, each with its title; those that have nothing to do with it not."""
    shown = []
    answers = await asyncio.gather(*(diagnosed(guard, jail, spec, bans, diagnosis) for spec in jail.actions))
    for spec, found in zip(jail.actions, answers, strict=True):
        findings = found or []
        if found is None and bans:
            findings = [note("whether it blocks this address cannot be read: no plugin can look")]
        if bans or any(each.level is Level.BAD or each.blocks for each in findings):
            shown.append((f"action {jail.name}/{spec.actname}", findings))
    return shown


def _connections(found: Sequence[Open]) -> Iterator[Finding]:
    if not found:
        return
    shown = ", ".join(f"{each.protocol}/{each.port} (from port {each.remote_port})" for each in found[:_SHOWN])
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    yield note(f"{len(found)} established: {shown}{more}")


def _conclude(diagnosis: Diagnosis, bans: Sequence[Ban], uncovered: Sequence[Open]) -> None:
    """:param uncovered: connections to ports that none of the bans closes."""
    words = [finding for _, finding in diagnosis.findings if finding.blocks is not None]
    kept = "; ".join(finding.text for finding in words if finding.blocks)
    through = "; ".join(finding.text for finding in words if finding.blocks is False)
    holes = "; ".join(each.text for each in words if each.blocks is False and each.level is Level.BAD)
    address = diagnosis.address
    if bans and uncovered:
        ports = ", ".join(f"tcp/{port}" for port in sorted({each.port for each in uncovered}))
        diagnosis.kept_out = False
        diagnosis.verdict = f"{address} is banned and gets through: it is connected to {ports}, which no ban closes"
    elif kept:
        although = "" if bans else ", although it is not banned"
        more = f"; but not everywhere where it is banned: {holes}" if bans and holes else ""
        diagnosis.kept_out, diagnosis.verdict = True, f"{address} is kept out{although}: {kept}{more}"
    elif not bans and any(about == OTHER_RULES for about, _ in diagnosis.findings):
        diagnosis.verdict = f"{address} is not banned; a rule that is not guardhooks' drops some of its packets"
    elif not bans:
        diagnosis.kept_out, diagnosis.verdict = False, f"{address} gets through: nobody bans it"
    elif through:
        diagnosis.kept_out, diagnosis.verdict = False, f"{address} is banned and gets through: {through}"
    else:
        diagnosis.verdict = f"{address} is banned; whether its packets are dropped cannot be read"
