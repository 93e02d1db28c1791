"""The action `observe`: logs what would be banned, and bans no one."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from guardhooks import ActionSpec, Ban, Finding, Jail, Op, Outcome, hookimpl, safe_text

logger = logging.getLogger("guardhooks.observe")

NAME: Final = "observe"
_LOGGED_SINGLY: Final = 20
"""Bans of a batch that are logged one by one; of a larger batch only the number is."""
_WORDS: Final = {Op.BAN: "would ban", Op.UNBAN: "would unban", Op.START: "would keep banned", Op.FLUSH: "would unban"}


@hookimpl(trylast=True)
def execute_action(jail: Jail, action: ActionSpec, op: Op, bans: Sequence[Ban]) -> bool | Outcome | None:
    """See the contract. Logs each ban and unban, and stores nothing."""
    if action.name != NAME:
        return None
    if words := _WORDS.get(op):
        _log(jail, words, bans)
    return Outcome(note="observe: nothing is banned")


@hookimpl(trylast=True)
def diagnose(action: ActionSpec, bans: Sequence[Ban], address: str) -> list[Finding] | None:
    """See the contract."""
    if action.name != NAME:
        return None
    if not address:
        decided = "1 ban is" if len(bans) == 1 else f"{len(bans)} bans are"
        return [Finding(f"it only logs what it would do: {decided} decided, no one is blocked")]
    return [Finding(f"the action observe blocks no one, so {address} is not blocked", blocks=False)]


def _log(jail: Jail, words: str, bans: Sequence[Ban]) -> None:
    if len(bans) > _LOGGED_SINGLY:
        logger.info("[%s] %s %d ids", jail.name, words, len(bans))
        return
    for ban in bans:
        logger.info("[%s] %s %s", jail.name, words, safe_text(ban.id, 200))
