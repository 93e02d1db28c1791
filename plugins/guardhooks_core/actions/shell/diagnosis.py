"""What `doctor` can say about commands: what they built cannot be queried, only the journal tells which of them ran."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from guardhooks import ActionSpec, Ban, Finding, Jail, Level, safe_text
from guardhooks_core.actions.shell.commands import Commands
from guardhooks_core.actions.shell.journal import ActionJournal, JournalState, boot_id

_BLIND = "what its commands built cannot be inspected"


def examine(
    folder: Path | None, jail: Jail, action: ActionSpec, bans: Sequence[Ban], address: str
) -> list[Finding] | None:
    """What the journal of an action says; None if there is none, since another plugin may then serve the action.

    :param folder: the folder of the journals; None if none are written.
    """
    if Commands(action, {}, ipv6=False).is_notification:
        return [Finding("it only reports bans and blocks no one", Level.GOOD)]
    state = ActionJournal(folder, jail.name, action, boot_id()).read()
    if state is None:
        return None
    return _of_address(state, bans, address) if address else _of_action(state, bans)


def _of_action(state: JournalState, bans: Sequence[Ban]) -> list[Finding]:
    desired = {ban.id for ban in bans}
    missing = desired - state.held.keys()
    count = len(state.held)
    carried_out = f"according to its journal {count} {'ban was' if count == 1 else 'bans were'} carried out"
    found = [Finding(f"{carried_out}; {_BLIND}, actioncheck runs at intervals")]
    if not state.same_boot:
        text = "its journal is from an earlier boot or another network namespace: what was done then may be gone"
        found.append(Finding(text, Level.BAD, "start the daemon, which starts the action again"))
    if missing:
        text = (
            f"{len(missing)} of {len(desired)} bans were not carried out: {safe_text(', '.join(sorted(missing)[:3]))}"
        )
        found.append(Finding(text, Level.BAD, "see the log; the next check retries them"))
    return found


def _of_address(state: JournalState, bans: Sequence[Ban], address: str) -> list[Finding]:
    ids = [ban.id for ban in bans]
    held = [id for id in ids if id in state.held]
    if held and state.same_boot:
        return [Finding(f"according to its journal actionban ran for {safe_text(', '.join(held))}; {_BLIND}")]
    if not ids:
        return [Finding(f"no active ban covers {address}", Level.GOOD)]
    names = safe_text(", ".join(ids))
    text = f"according to its journal actionban was not carried out for {names} since the machine started"
    return [Finding(text, Level.BAD, "see the log; the next check retries it", False)]
