"""The action `observe`: says what would be banned, and bans nobody."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from guardhooks import ActionSpec, Ban, Finding, Jail, Op, Outcome, hookimpl, safe_text

logger = logging.getLogger("guardhooks.observe")

NAME: Final = "observe"
_SAID_SINGLY: Final = 20
"""Of a greater batch only the number is said."""
_WORDS: Final = {Op.BAN: "would ban", Op.UNBAN: "would unban", Op.START: "would hold banned", Op.FLUSH: "would unban"}


@hookimpl(trylast=True)
def execute_action(jail: Jail, action: ActionSpec, op: Op, bans: Sequence[Ban]) -> bool | Outcome | None:
    """See the contract. Logs each ban and unban; keeps nothing."""
    if action.name != NAME:
        return None
    if words := _WORDS.get(op):
        _say(jail, words, bans)
    return Outcome(note="observe: nothing is banned")


@hookimpl(trylast=True)
def diagnose(action: ActionSpec, bans: Sequence[Ban], address: str) -> list[Finding] | None:
    """See the contract."""
    if action.name != NAME:
        return None
    if not address:
        return [Finding(f"it only says what it would do: {len(bans)} bans are decided, nobody is kept out")]
    return [Finding(f"the action observe keeps nobody out, so neither {address}", blocks=False)]


def _say(jail: Jail, words: str, bans: Sequence[Ban]) -> None:
    if len(bans) > _SAID_SINGLY:
        logger.info("[%s] %s %d ids", jail.name, words, len(bans))
        return
    for ban in bans:
        logger.info("[%s] %s %s", jail.name, words, safe_text(ban.id, 200))
