"""The options of the daemon: `guardhooks.conf`, and the few lines of `fail2ban.conf` that mean something here."""

from __future__ import annotations

from typing import Final

from guardhooks.settings.option import Option, OptionTable
from guardhooks.settings.option_types import PATH, WORDS, OptionType, choice, duration

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
    duration(1),
    86400.0,
    "how long bans that are over are remembered, for `recidive` and `bantime.increment`",
)
RECONCILE: Final = Option(
    "reconcile",
    duration(1),
    30.0,
    "how often the firewall is compared with the bans that should be in it, and repaired",
)
LOG_STYLE: Final = Option(
    "style",
    choice("classic", "detailed"),
    "classic",
    "how bans are logged: `classic` as by fail2ban, for tools that read its log; `detailed` with reason, length and "
    "user, and unbans with their cause",
)
DISABLE: Final = Option("disable", WORDS, (), "plugins that are switched off for all jails")
REQUIRE: Final = Option(
    "require",
    WORDS,
    (),
    "plugins without which nothing starts and no reload is done: those that spare people, above all",
)

DBPURGEAGE: Final = Option("dbpurgeage", HISTORY_AGE.type, HISTORY_AGE.default, "read as `history_age`")

GUARDHOOKS_TABLE: Final = OptionTable(
    "guardhooks", (LOGLEVEL, SOCKET, STATE, HISTORY_AGE, RECONCILE), title="`guardhooks.conf`, section `[Guardhooks]`"
)
LOG_TABLE: Final = OptionTable("log", (LOG_STYLE,), title="`guardhooks.conf`, section `[Log]`")
PLUGINS_TABLE: Final = OptionTable("plugins", (DISABLE, REQUIRE), title="`guardhooks.conf`, section `[Plugins]`")
FAIL2BAN_TABLE: Final = OptionTable(
    "fail2ban", (LOGLEVEL, DBPURGEAGE), title="`fail2ban.conf`, read where there is no `guardhooks.conf`"
)
SECTIONS: Final = {"Guardhooks": GUARDHOOKS_TABLE, "Log": LOG_TABLE, "Plugins": PLUGINS_TABLE}
"""The sections of `guardhooks.conf`."""
