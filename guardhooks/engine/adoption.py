"""Takes bans into the ledger that an action found in force, when the ledger has lost them or the site wants it so."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from guardhooks.engine.ban_guard import BanGuard
from guardhooks.ledger import Ledger
from guardhooks.model import Ban, Jail
from guardhooks.text import safe_text

FOUND: Final = "found in the firewall"
"""Reason of a ban that no rule of ours made."""

logger = logging.getLogger("guardhooks.actions")


def adopt(ban_guard: BanGuard, ledger: Ledger, jail: Jail, found: Sequence[Ban]) -> tuple[list[Ban], list[Ban]]:
    """The bans as the ledger has them now, and those that must not be."""
    adopted, refused = [], []
    for each in found:
        if why := ban_guard.refusal(jail, each.id):
            logger.warning("[%s] %s, found in the firewall, is let go: %s", jail.name, safe_text(each.id), why)
            refused.append(each)
            continue
        ban = replace(each, jail=jail.name, restored=True, reason=each.reason or FOUND)
        if (stored := ledger.add(ban)) is not None:
            adopted.append(stored)
    return adopted, refused
