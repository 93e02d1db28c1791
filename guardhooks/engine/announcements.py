"""Reports to the log and to the plugins that bans are in force or over."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from typing import Final

from guardhooks.logs import NOTICE, together
from guardhooks.model import Ban, Jail, Op
from guardhooks.plugins import Plugins
from guardhooks.text import safe_text

_RESTORED_ONE_BY_ONE: Final = 100
"""Up to this number, each ban that a restart restores is logged; more are summed up."""

_ACTING: Final = ("Ban", "Unban", "Restore Ban")
_OBSERVING: Final = ("Would ban", "Would unban", "Would restore the ban of")

logger = logging.getLogger("guardhooks.actions")


def announce(plugins: Plugins, news: Sequence[tuple[Jail, Op, Ban]], *, observing: bool = False) -> None:
    """Each ban and unban, in order; what a restart restores may be summed up in the log.

    :param observing: nobody is kept out, and the log does not say so.
    """
    ban_words, unban_words, restore_words = _OBSERVING if observing else _ACTING
    restored = Counter(jail.name for jail, op, ban in news if op is Op.BAN and ban.restored)
    for name, number in restored.items():
        if number > _RESTORED_ONE_BY_ONE:
            logger.log(NOTICE, "[%s] %s %d bans", name, "Would restore" if observing else "Restored", number)
    with together():
        for jail, op, ban in news:
            if op is Op.UNBAN:
                logger.log(NOTICE, "[%s] %s %s", jail.name, unban_words, safe_text(ban.id))
                plugins.on_unban(jail, ban)
                continue
            if not ban.restored:
                logger.log(NOTICE, "[%s] %s %s", jail.name, ban_words, safe_text(ban.id))
            elif restored[jail.name] <= _RESTORED_ONE_BY_ONE:
                logger.log(NOTICE, "[%s] %s %s", jail.name, restore_words, safe_text(ban.id))
            plugins.on_ban(jail, ban)
