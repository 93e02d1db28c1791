"""The options of the daemon: `guardhooks.conf`, and the few lines of `fail2ban.conf` that mean something here."""

from __future__ import annotations

import re
from typing import Final

from guardhooks.errors import ConfigError
from guardhooks.settings.option import Option, OptionTable
from guardhooks.settings.option_types import BOOLEAN, PATH, TEXT, WORDS, OptionType, choice, duration

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


def _log_target(text: str) -> str:
    named = text.upper()
    if named in {"SYSTEMD-JOURNAL", "SYSOUT"}:
        return "STDERR" if named == "SYSTEMD-JOURNAL" else "STDOUT"
    if named in {"STDERR", "STDOUT", "SYSLOG"}:
        return named
    if not text.startswith("/"):
        raise ConfigError(f"{text!r} is neither STDERR, STDOUT, SYSLOG nor a path from / on")
    return text


LOGTARGET: Final = Option(
    "logtarget",
    OptionType("`STDERR`, `STDOUT`, `SYSLOG` or the path of a file", _log_target),
    "STDERR",
    "where the log goes; a file is opened again by `flushlogs` and SIGUSR1",
)
LOGNAMES: Final = Option(
    "lognames",
    OptionType(
        "`guardhooks`, `fail2ban` or empty", lambda text: choice("guardhooks", "fail2ban").parse(text) if text else ""
    ),
    "",
    "how the names of the loggers begin; what reads fail2ban's log looks for `fail2ban.actions`",
    default_text="`fail2ban` in a file and in syslog, else `guardhooks`",
)
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
READERS: Final = Option(
    "readers",
    TEXT,
    "",
    "a group whose members may ask `status`, `banned` and `ping`, and change nothing",
    default_text="nobody",
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
    "guardhooks",
    (
        LOGLEVEL,
        LOGTARGET,
        LOGNAMES,
        SOCKET,
        READERS,
        STATE,
        HISTORY_AGE,
        RECONCILE,
        SYNC_BANS,
        INSTANCE,
        TRUST_WRITABLE,
    ),
    title="`guardhooks.conf`, section `[Guardhooks]`",
)
LOG_TABLE: Final = OptionTable("log", (LOG_STYLE,), title="`guardhooks.conf`, section `[Log]`")
PLUGINS_TABLE: Final = OptionTable("plugins", (DISABLE, REQUIRE), title="`guardhooks.conf`, section `[Plugins]`")
FAIL2BAN_TABLE: Final = OptionTable(
    "fail2ban", (LOGLEVEL, DBPURGEAGE), title="`fail2ban.conf`, read where there is no `guardhooks.conf`"
)
FAIL2BAN_SOCKET: Final = Option(
    "socket",
    PATH,
    None,
    "a second socket, on which `fail2ban-client` and programs that speak its protocol reach guardhooks; "
    "fail2ban's own is `/var/run/fail2ban/fail2ban.sock`",
    default_text="none",
    reload=False,
)
FAIL2BAN_CLIENTS_TABLE: Final = OptionTable(
    "guardhooks", (FAIL2BAN_SOCKET,), title="`guardhooks.conf`, section `[Fail2ban]`"
)
SECTIONS: Final = {
    "Guardhooks": GUARDHOOKS_TABLE,
    "Log": LOG_TABLE,
    "Fail2ban": FAIL2BAN_CLIENTS_TABLE,
    "Plugins": PLUGINS_TABLE,
}
"""The sections of `guardhooks.conf`."""
