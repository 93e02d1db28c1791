"""Reports to the log and to the plugins that bans are in force or over."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from typing import Final

from guardhooks.engine.ban_lines import BanLines
from guardhooks.logs import NOTICE, together
from guardhooks.model import Ban, Jail, Op
from guardhooks.plugins import Plugins

_RESTORED_ONE_BY_ONE: Final = 100
"""Up to this number, each ban that a restart restores is logged; more are summed up."""

logger = logging.getLogger("guardhooks.actions")


def announce(
    plugins: Plugins, news: Sequence[tuple[Jail, Op, Ban]], *, style: str = "classic", observing: bool = False
) -> None:
    """Each ban and unban, in order; what a restart restores may be summed up in the log.

    :param style: `classic` or `detailed`; see `BanLines`.
    :param observing: nobody is kept out, and the log does not say so.
    """
    lines = BanLines(detailed=style == "detailed", observing=observing)
    restored = Counter(jail.name for jail, op, ban in news if op is Op.BAN and ban.restored)
    for name, number in restored.items():
        if number > _RESTORED_ONE_BY_ONE:
            logger.log(NOTICE, "[%s] %s %d bans", name, "Would restore" if observing else "Restored", number)
    with together():
        for jail, op, ban in news:
            if op is Op.UNBAN:
                logger.log(NOTICE, "%s", lines.unban(ban))
                plugins.on_unban(jail, ban)
                continue
            if not ban.restored or restored[jail.name] <= _RESTORED_ONE_BY_ONE:
                for line in lines.ban(jail, ban):
                    logger.log(NOTICE, "%s", line)
            plugins.on_ban(jail, ban)
