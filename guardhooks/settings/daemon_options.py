"""The options of the daemon: `guardhooks.conf`, and the few lines of `fail2ban.conf` that mean something here."""

from __future__ import annotations

import re
from typing import Final

from guardhooks.errors import ConfigError
from guardhooks.settings.option import Option, OptionTable
from guardhooks.settings.option_types import BOOLEAN, DURATION, PATH, WORDS, OptionType, choice, duration

_LEVELS: Final = {
    "critical": "CRITICAL", "error": "ERROR", "warning": "WARNING", "notice": "NOTICE", "info": "INFO",
    "debug": "DEBUG", "tracedebug": "DEBUG", "heavydebug": "DEBUG", "msg": "INFO",
}  # fmt: skip
_LEVEL: Final = OptionType(
    "`CRITICAL`, `ERROR`, `WARNING`, `NOTICE`, `INFO` or `DEBUG`", lambda text: _LEVELS[choice(*_LEVELS).parse(text)]
)

LOGLEVEL: Final = Option(
    "loglevel", _LEVEL, "INFO", "how much is logged: `NOTICE` shows bans and unbans, `INFO` failures as well"
)  # fmt: skip
SOCKET: Final = Option(
    "socket", PATH, None, "the control socket", default_text="`control.sock` in the state folder", reload=False
)
STATE: Final = Option(
    "state",
    PATH,
    None,
    "the folder of what must survive a restart: bans, failure counts, positions in the logs",
    default_text="`/var/lib/guardhooks`; the XDG state folder for users other than root",
    reload=False,
)
HISTORY_AGE: Final = Option(
    "history_age",
    DURATION,
    86400.0,
    "how long bans that are over are remembered, for `recidive` and `bantime.increment`",
)
RECONCILE: Final = Option(
    "reconcile",
    duration(1),
    30.0,
    "how often the firewall is compared with the bans that should be in it, and repaired",
)
SYNC_BANS: Final = Option(
    "sync_bans",
    BOOLEAN,
    True,
    "whether bans are synced to the disk before they are reported; without, a loss of power may cost the latest ones",
    reload=False,
)
_INSTANCE_NAME: Final = re.compile(r"[A-Za-z0-9_]{0,10}")


def _instance(text: str) -> str:
    if not _INSTANCE_NAME.fullmatch(text):
        raise ConfigError(f"{text[:40]!r} is not at most ten letters, digits and `_`")
    return text


INSTANCE: Final = Option(
    "instance",
    OptionType("at most ten letters, digits and `_`", _instance),
    "",
    "a name for a second daemon on one machine: it is added to the names of its sets, chains and blocks",
    default_text="none: the only daemon",
    reload=False,
)
TRUST_WRITABLE: Final = Option(
    "trust_writable",
    BOOLEAN,
    False,
    "whether shell commands are run from configuration files that others than root may write",
)
DISABLE: Final = Option("disable", WORDS, (), "plugins that are switched off for all jails")

DBPURGEAGE: Final = Option("dbpurgeage", DURATION, HISTORY_AGE.default, "read as `history_age`")

GUARDHOOKS_TABLE: Final = OptionTable(
    "guardhooks",
    (LOGLEVEL, SOCKET, STATE, HISTORY_AGE, RECONCILE, SYNC_BANS, INSTANCE, TRUST_WRITABLE),
    title="`guardhooks.conf`, section `[Guardhooks]`",
)
PLUGINS_TABLE: Final = OptionTable("plugins", (DISABLE,), title="`guardhooks.conf`, section `[Plugins]`")
FAIL2BAN_TABLE: Final = OptionTable(
    "fail2ban", (LOGLEVEL, DBPURGEAGE), title="`fail2ban.conf`, read where there is no `guardhooks.conf`"
)
SECTIONS: Final = {"Guardhooks": GUARDHOOKS_TABLE, "Plugins": PLUGINS_TABLE}
"""The sections of `guardhooks.conf`."""
