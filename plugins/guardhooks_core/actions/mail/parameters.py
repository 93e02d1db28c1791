"""The parameters of a mail action: brackets first, then `mail.…` options of the jail, then the action's file."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeVar

from guardhooks import ActionSpec, ConfigError, Jail, Option, OptionTable, option_types, safe_text
from guardhooks_core.actions.common.options import fault, unknown_options, value
from guardhooks_core.actions.mail.addresses import parse_mailbox, parse_mailboxes
from guardhooks_core.actions.mail.builtin_actions import CONTENTS, Content
from guardhooks_core.actions.mail.transport import SENDMAILS, Local, Sendmail, Smtp, Transport

T = TypeVar("T")

_JAIL_OPTIONS: Final = "mail."
_TEXT: Final = option_types.TEXT
_YES_OR_NO: Final = option_types.BOOLEAN
_AS_NAMED: Final = "as the name says"
_GREPMAX: Final = Option("grepmax", option_types.integer(0, 100_000), 1000, "lines of the log that are quoted at most")
_LINES: Final = Option("lines", option_types.integer(1, 1000), 5, "of the `-buffered` ones: bans that make a message")
_DIGEST: Final = Option(
    "digest", option_types.duration(0, 86400), 30.0, "bans within this time after a message make one message"
)
_LIMIT: Final = Option("limit", option_types.integer(0, 1000), 60, "messages in an hour; 0 for any number")
_NORESTORED: Final = Option("norestored", _YES_OR_NO, True, "whether bans put back after a restart are left out")
_START_STOP: Final = Option("start-stop", _YES_OR_NO, False, "whether the start and end of the jail are reported")
_UNBAN: Final = Option("unban", _YES_OR_NO, False, "whether unbans are reported")
_WHOIS: Final = Option("whois", _YES_OR_NO, False, "whether whois is quoted", default_text=_AS_NAMED)
_LOG_LINES: Final = Option("log-lines", _YES_OR_NO, False, "whether the log is quoted", default_text=_AS_NAMED)
_MATCHES: Final = Option("matches", _YES_OR_NO, False, "whether the counted lines are quoted", default_text=_AS_NAMED)
_HOSTNAME: Final = Option("hostname", _YES_OR_NO, False, "whether the host name is shown", default_text=_AS_NAMED)
_OPTIONS: Final = (
    Option("dest", _TEXT, "root", "the recipients; `<fq-hostname>` is the name of this machine"),
    Option("sender", _TEXT, "root", "the sender's address"),
    Option("sendername", _TEXT, "guardhooks", "the sender's name", default_text="`Fail2Ban` or `guardhooks`"),
    Option("smtp", _TEXT, "", "`HOST` or `HOST:PORT` of a server", default_text="the local sendmail"),
    Option("tls", _TEXT, "", "`no`, `starttls` or `yes`", default_text="by port; `starttls` with a user"),
    Option("user", _TEXT, "", "the user at the server"),
    Option("password-file", _TEXT, "", "a file that holds the password and nothing else"),
    Option("sendmail", _TEXT, "", "a program with the options of sendmail", default_text="`/usr/sbin/sendmail`"),
    _DIGEST,
    _LIMIT,
    _LINES,
    _WHOIS,
    _LOG_LINES,
    _MATCHES,
    _HOSTNAME,
    Option("logpath", _TEXT, "", "the log that is quoted", default_text="the jail's"),
    _GREPMAX,
    Option("whois-server", _TEXT, "", "`HOST` or `HOST:PORT`", default_text="IANA's, and where it refers to"),
    _UNBAN,
    _START_STOP,
    _NORESTORED,
)
OPTIONS: Final = frozenset(option.name for option in _OPTIONS)
"""What may stand in the brackets, and behind `mail.` in a jail."""
_UNUSED: Final = frozenset({"mailcmd", "mailargs", "grepopts", "greplimit", "tmpfile", "charset", "_whois"})
"""fail2ban's parameters that only its commands use."""
TABLES: Final = (
    OptionTable(
        "jail",
        tuple(replace(option, name=f"{_JAIL_OPTIONS}{option.name}") for option in _OPTIONS),
        title="Jails: for all mail actions",
    ),
    OptionTable("action", _OPTIONS, names=tuple(CONTENTS), title="Actions `mail*` and `sendmail*`"),
    OptionTable(
        "action",
        tuple(Option(name, _TEXT, "", "used by the commands of the file alone") for name in sorted(_UNUSED)),
        names=tuple(CONTENTS),
        title="Actions `mail*` and `sendmail*`: accepted without effect",
    ),
)
_TAG: Final = re.compile(r"<([a-z.-]+)>")
_SERVER: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(?::(\d{1,5}))?", re.ASCII)
_TLS: Final = {"no": "no", "starttls": "starttls", "yes": "yes", "tls": "yes", "ssl": "yes"}
_TLS_OF_PORT: Final = {465: "yes", 587: "starttls"}
_LOCAL_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Parameters:
    """The parameters of an action. `remarks` are about options that have no effect.

    `at_least` is how many bans are collected before a message is sent, `grepmax` the maximum of quoted log lines,
    `digest` the seconds between two messages, `limit` the messages within an hour (0: no limit).
    """

    name: str
    dest: tuple[str, ...]
    sender: str
    sender_name: str
    content: Content
    transport: Transport
    logpath: str
    grepmax: int
    at_least: int
    digest: float
    limit: int
    whois_server: tuple[str, int] | None
    norestored: bool
    start_stop: bool
    unban: bool
    remarks: tuple[str, ...] = ()


def parse_parameters(jail: Jail, action: ActionSpec, hostnames: Mapping[str, str]) -> Parameters:
    """Read and check all parameters.

    :param hostnames: `fq-hostname` and `sh-hostname`, which values may use as tags.
    :raises ConfigError: naming the option, its value and what is allowed.
    """
    spec = in_jail(jail, action)
    tags = {**hostnames, "name": action.get("name") or jail.name, "jail.name": jail.name}

    def text(key: str, default: str = "") -> str:
        value = spec.get(key).strip() or default
        return _TAG.sub(lambda match: tags.get(match[1], match[0]), value)

    product = "Fail2Ban" if action.file else "guardhooks"
    return Parameters(
        name=tags["name"],
        dest=_checked(spec, "dest", parse_mailboxes, text("dest", "root")),
        sender=_checked(spec, "sender", parse_mailbox, text("sender", "root")),
        sender_name=safe_text(text("sendername", product), 100),
        content=_content(spec),
        transport=_transport(spec),
        logpath=text("logpath"),
        grepmax=value(spec, _GREPMAX),
        at_least=value(spec, _LINES) if CONTENTS[action.name].buffered else 1,
        digest=value(spec, _DIGEST),
        limit=value(spec, _LIMIT),
        whois_server=_server(spec, "whois-server", 43) if text("whois-server") else None,
        norestored=value(spec, _NORESTORED),
        start_stop=value(spec, _START_STOP),
        unban=value(spec, _UNBAN),
        remarks=_remarks(jail, action),
    )


def in_jail(jail: Jail, action: ActionSpec) -> ActionSpec:
    """The action with its jail's options: `mail.digest = 60` applies to all mail actions of the jail.

    If the action's file names no log (`/dev/null`), the jail's `logpath` is used.
    """
    options = {
        name: value
        for key, value in jail.options.items()
        if key.startswith(_JAIL_OPTIONS) and (name := key.removeprefix(_JAIL_OPTIONS)) in OPTIONS
    }
    options.update(action.options)
    if options.get("logpath", action.get("logpath")).strip() in {"", "/dev/null"}:
        options["logpath"] = jail.options.get("logpath", "")
    return replace(action, options=options)


def _checked(spec: ActionSpec, key: str, parse: Callable[[str], T], text: str) -> T:
    try:
        return parse(text)
    except ConfigError as error:
        raise fault(spec, f"{key}: {error}") from None


def _content(spec: ActionSpec) -> Content:
    default = CONTENTS[spec.name]
    return replace(
        default,
        whois=value(spec, _WHOIS, default.whois),
        lines=value(spec, _LOG_LINES, default.lines),
        matches=value(spec, _MATCHES, default.matches),
        hostname=value(spec, _HOSTNAME, default.hostname),
    )


def _transport(spec: ActionSpec) -> Transport:
    if spec.get("smtp").strip():
        return _smtp(spec)
    program = spec.get("sendmail").strip()
    if not program:
        asked = Path(spec.get("mailcmd").partition(" ")[0])
        is_elsewhere = asked.is_absolute() and asked.name == "sendmail" and asked not in SENDMAILS
        return Sendmail(asked) if is_elsewhere else Local()
    if not program.startswith("/"):
        raise fault(spec, f"sendmail = {safe_text(program, 60)!r} is not the absolute path of a program")
    return Sendmail(Path(program))


def _smtp(spec: ActionSpec) -> Smtp:
    host, port = _server(spec, "smtp", 25)
    user, password = spec.get("user").strip(), spec.get("password-file").strip()
    default = _TLS_OF_PORT.get(port, "starttls" if user else "no")
    tls = _TLS.get(spec.get("tls").strip().lower() or default)
    if tls is None:
        raise fault(spec, f"tls = {safe_text(spec.get('tls'), 40)!r} is not one of no, starttls, yes")
    if bool(user) != bool(password) or (password and not password.startswith("/")):
        raise fault(spec, "user and password-file require each other; password-file must be an absolute path")
    if user and tls == "no" and host not in _LOCAL_HOSTS:
        raise fault(spec, "the password would be sent unencrypted: set tls = starttls or yes")
    return Smtp(host, port, tls, user, Path(password) if password else None)


def _server(spec: ActionSpec, key: str, port: int) -> tuple[str, int]:
    text = spec.get(key).strip()
    match = _SERVER.fullmatch(text)
    if match is None or not 0 < int(match[2] or port) < 65536:
        raise fault(
            spec, f"{key} = {safe_text(text, 60)!r} is not a server such as mail.example.org or [2001:db8::1]:{port}"
        )
    return match[1].strip("[]"), int(match[2] or port)


def _remarks(jail: Jail, action: ActionSpec) -> tuple[str, ...]:
    remarks = []
    if unused := sorted(key for key in action.options if key in _UNUSED):
        have = "has" if len(unused) == 1 else "have"
        remarks.append(f"{', '.join(unused)} {have} no effect here; native = no runs the file")
    unknown = unknown_options(action, OPTIONS | _UNUSED)
    ours = [key for key in jail.options if key.startswith(_JAIL_OPTIONS)]
    unknown += sorted(key for key in ours if key.removeprefix(_JAIL_OPTIONS) not in OPTIONS)
    for name in unknown:
        near = difflib.get_close_matches(name.removeprefix(_JAIL_OPTIONS), OPTIONS, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        remarks.append(f"option {safe_text(name, 40)!r} is unknown{hint}")
    return tuple(remarks)
