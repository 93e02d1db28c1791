"""What `fail2ban-client` prints of an answer, as scripts parse it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

_LISTS: Final = {
    "logpath": ("No file is currently monitored", "Current monitored log file(s):"),
    "ignoreip": ("No IP address/network is ignored", "These IP addresses/networks are ignored:"),
}
_LIST_WORDS: Final = {
    "logpath": "logpath", "addlogpath": "logpath", "dellogpath": "logpath",
    "ignoreip": "ignoreip", "addignoreip": "ignoreip", "delignoreip": "ignoreip",
}  # fmt: skip
_REGEX_WORDS: Final = frozenset(f"{verb}{kind}" for verb in ("", "add", "del") for kind in ("failregex", "ignoreregex"))
_MATCH_WORDS: Final = frozenset({"journalmatch", "addjournalmatch", "deljournalmatch"})
_BRANCH: Final = "|- "
_LAST: Final = "`- "


def printed(words: Sequence[str], value: Any) -> str:  # noqa: ANN401 -- any answer
    """The text for a command's answer."""
    first = words[0]
    if first == "ping":
        return f"Server replied: {value}"
    if first == "echo":
        return " ".join(map(str, value))
    if first == "flushlogs":
        return f"logs: {'rolled over' if value == 'rolled over' else value}"
    if first in {"start", "stop"} and len(words) > 1:
        return "Jail started" if first == "start" else "Jail stopped"
    if first == "status":
        return _status(words, value)
    if first in {"stats", "statistics"}:
        return _stats(value)
    if first in {"get", "set"} and len(words) > 1:
        return _setting(words, value)
    return str(value)


def failed(kind: str, text: str) -> str:
    """The text for an error, by the name of its exception."""
    if kind == "UnknownJailException":
        return f"Sorry but the jail {text!r} does not exist"
    if kind == "DuplicateJailException":
        return f"The jail {text!r} already exists"
    if kind == "IndexError":
        return "Sorry but the command is invalid"
    return repr(text) if kind == "KeyError" else text


# --- status -----------------------------------------------------------------------------------------------------------


def _status(words: Sequence[str], value: Any) -> str:  # noqa: ANN401 -- any answer
    if len(words) > 1 and words[1] != "--all":
        return "\n".join([f"Status for the jail: {words[1]}", *_tree(value, "")])
    jails = value[2] if len(value) > 2 else None
    lines = [f"{name}:\t{what}" for name, what in value[:2]]
    if jails is None:
        return "\n".join(["Status", _BRANCH + lines[0], _LAST + lines[1]])
    shown = ["Status", *(_BRANCH + line for line in lines), f"{_LAST}Status for the jails: "]
    for number, (name, tree) in enumerate(jails.items()):
        last = number == len(jails) - 1
        shown.append(f"   {_LAST if last else _BRANCH}Jail: {name}")
        shown += _tree(tree, "      " if last else "   |  ")
    return "\n".join(shown)


def _tree(value: Any, indent: str) -> list[str]:  # noqa: ANN401 -- any answer
    lines = []
    for number, (name, rows) in enumerate(value):
        last = number == len(value) - 1
        lines.append(f"{indent}{_LAST if last else _BRANCH}{name}")
        for place, (title, what) in enumerate(rows):
            text = " ".join(map(str, what)) if isinstance(what, list) else str(what)
            mark = _LAST if place == len(rows) - 1 else _BRANCH
            lines.append(f"{indent}{'   ' if last else '|  '}{mark}{title}:\t{text}")
    return lines


def _stats(value: dict[str, Any]) -> str:
    if not value:
        return "No jails found."
    names = max(8, *(len(name) for name in value))
    backends = max(8, *(len(row[0]) for row in value.values()))
    number = 3
    width = 2 * number + 5
    gap, line = f" {'':{names}} ║ {'':{backends}} ║", f" {'Jail':{names}} ║ {'Backend':{backends}} ╟"
    double = ("═" * (names + 2), "═" * (backends + 2), "═" * width, "═" * width)
    rows = [
        f" {name:{names}} ║ {row[0]:{backends}} ║ "
        f"{row[1][0]:>{number}} │ {row[1][1]:>{number}} ║ {row[2][0]:>{number}} │ {row[2][1]:>{number}}"
        for name, row in value.items()
    ]
    return "\n".join(
        [
            f"{gap} {'Filter':{width - 2}} ║ {'Actions':{width - 2}}",
            f"{line}{'─' * width}╫{'─' * width}",
            f"{gap} cur │ tot ║ cur │ tot",
            "╬".join(double),
            *rows,
            "╩".join(double),
        ]
    )


# --- get and set ------------------------------------------------------------------------------------------------------


def _setting(words: Sequence[str], value: Any) -> str:  # noqa: ANN401 -- any answer
    fixed = {
        "loglevel": f"Current logging level is {value!r}",
        "logtarget": f"Current logging target is:\n{_LAST}{value}",
        "syslogsocket": f"Current syslog socket is:\n{_LAST}{value}",
        "dbfile": "Database currently disabled" if value is None else f"Current database file is:\n{_LAST}{value}",
        "dbpurgeage": f"Current database purge age is:\n{_LAST}{value}seconds",
    }
    if words[1] in fixed:
        return fixed[words[1]]
    name = words[2] if len(words) > 2 else ""
    if name in _LIST_WORDS:
        nothing, title = _LISTS[_LIST_WORDS[name]]
        return "\n".join([title, *_listed(value)]) if value else nothing
    if name in _REGEX_WORDS:
        rows = [f"[{number}]: {regex}" for number, regex in enumerate(value)]
        return (
            "\n".join(["The following regular expression are defined:", *_listed(rows)])
            if rows
            else ("No regular expression is defined")
        )
    if name in _MATCH_WORDS:
        text = " + ".join(" ".join(match) for match in value)
        return f"Current match filter:\n{text}" if value else "No journal match filter set"
    return _other(words, name, value)


def _other(words: Sequence[str], name: str, value: Any) -> str:  # noqa: ANN401 -- any answer
    jail = words[1]
    if name == "logencoding":
        return f"Current log encoding is set to:\n{value}"
    if name == "datepattern":
        if value is None:
            return "Current date pattern set to: Not set/required"
        pattern, meaning = value
        return f"Current date pattern set to: {meaning if pattern is None else f'{pattern} ({meaning})'}"
    if name == "actions":
        names = ", ".join(value)
        return f"The jail {jail} has the following actions:\n{names}" if value else f"No actions for jail {jail}"
    if name in {"actionproperties", "actionmethods"} and words[0] == "get":
        kind = name.removeprefix("action")
        return f"The jail {jail} action {words[3]} has the following {kind}:\n{', '.join(value)}"
    if name == "banip" and words[0] == "get" and isinstance(value, list):
        separator = words[3] if len(words) > 3 else " "
        return ("\n" if separator == "--with-time" else separator).join(value)
    return str(value)


def _listed(rows: Sequence[object]) -> list[str]:
    return [f"{_LAST if place == len(rows) - 1 else _BRANCH}{row}" for place, row in enumerate(rows)]
