"""Adds bans to the ledger that an action found in force: the ledger was lost, or the configuration asks for it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from guardhooks.engine.ban_guard import BanGuard
from guardhooks.engine.bans import checked
from guardhooks.ledger import Ledger
from guardhooks.model import Ban, Jail
from guardhooks.text import safe_text

FOUND: Final = "found in the firewall"
"""Reason of a ban that did not come from a failure."""

logger = logging.getLogger("guardhooks.actions")


def adopt(ban_guard: BanGuard, ledger: Ledger, jail: Jail, found: Sequence[Ban]) -> tuple[list[Ban], list[Ban]]:
    """Add what was found; returns the bans as stored, and those that must not be in force."""
    adopted, refused = [], []
    for each in map(checked, found):
        if why := ban_guard.refusal(jail, each.id):
            logger.warning(
                "[%s] %s was found in the firewall and is not adopted: %s", jail.name, safe_text(each.id), why
            )
            refused.append(each)
            continue
        ban = replace(each, jail=jail.name, restored=True, reason=each.reason or FOUND)
        if (stored := ledger.add(ban)) is not None:
            adopted.append(stored)
    return adopted, refused
