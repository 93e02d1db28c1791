"""What the doctor can be told about commands: they cannot be asked what they built, only receipts say what was run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from guardhooks import ActionSpec, Ban, Finding, Jail, Level, safe_text
from guardhooks_core.actions.shell.commands import Commands
from guardhooks_core.actions.shell.journal import Done, Receipts, boot_id

_BLIND = "what its commands built cannot be looked at"


def examine(
    folder: Path | None, jail: Jail, action: ActionSpec, bans: Sequence[Ban], address: str
) -> list[Finding] | None:
    """What the receipts of an action say; None where there are none: then another plugin may serve it.

    :param folder: where they lie; None where none are kept.
    """
    if Commands(action, {}, ipv6=False).is_notice:
        text = "it tells somebody of bans, and keeps nobody out"
        return [Finding(text, Level.GOOD)]
    done = Receipts(folder, jail.name, action, boot_id()).read()
    if done is None:
        return None
    return _of_address(done, bans, address) if address else _of_action(done, bans)


def _of_action(done: Done, bans: Sequence[Ban]) -> list[Finding]:
    due = {ban.id for ban in bans}
    lacking = due - done.held.keys()
    found = [
        Finding(f"by its receipts {len(done.held)} bans were carried out; {_BLIND}, actioncheck runs at intervals")
    ]
    if not done.same_boot:
        text = "its receipts are of an earlier boot or another network namespace: what was done then may be gone"
        found.append(Finding(text, Level.BAD, "start the daemon, which begins the action anew"))
    if lacking:
        text = f"{len(lacking)} of {len(due)} bans were not carried out: {safe_text(', '.join(sorted(lacking)[:3]))}"
        found.append(Finding(text, Level.BAD, "see the log; they are tried again at the next check"))
    return found


def _of_address(done: Done, bans: Sequence[Ban], address: str) -> list[Finding]:
    ids = [ban.id for ban in bans]
    held = [id for id in ids if id in done.held]
    if held and done.same_boot:
        return [Finding(f"by its receipts actionban was run for {safe_text(', '.join(held))}; {_BLIND}")]
    if not ids:
        return [Finding(f"no ban of {address} is due here", Level.GOOD)]
    text = f"by its receipts actionban was not carried out for {safe_text(', '.join(ids))} since the machine started"
    return [Finding(text, Level.BAD, "see the log; it is tried again at the next check", False)]
