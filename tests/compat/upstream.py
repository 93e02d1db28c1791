"""What fail2ban's client would tell its server, beside what we read from the same configuration."""

from __future__ import annotations

import ast
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from guardhooks import PERMANENT, ActionSpec, Jail
from guardhooks.plugins import Plugins
from guardhooks.settings import load, parse_duration

STOCK = Path("/etc/fail2ban")
CLIENT = shutil.which("fail2ban-client")
MISSING = CLIENT is None or not (STOCK / "jail.conf").is_file()

PLUGIN_OPTIONS = Plugins.load().declared_options()
UNREAD = re.compile(r"(?:filter|action) (\S+) has no option '(.+?)'")
BOOLEANS = {"norestored", "actionstart_on_demand", "actionrepair_on_unban"}
COMMANDS = {"actionstart", "actionstop", "actionflush", "actionreload", "actioncheck", "actionban", "actionunban"}
TAG = re.compile(r"<([^ <>]+)>")


def upstream(folder: Path) -> dict[str, dict[str, Any]]:
    """What the client would tell the server, by jail."""
    assert CLIENT is not None
    done = subprocess.run([CLIENT, "-c", folder, "-d"], capture_output=True, text=True, check=True, timeout=50)
    jails: dict[str, dict[str, Any]] = {}
    for line in done.stdout.splitlines():
        if not line.startswith("["):
            continue
        verb, name, *rest = ast.literal_eval(line)
        if verb == "add":
            jails[name] = {"backend": rest[0], "failregex": [], "ignoreregex": [], "journalmatch": [], "actions": {}}
        elif name in jails and verb in ("set", "multi-set"):
            remember(jails[name], verb, rest)
    return jails


def remember(jail: dict[str, Any], verb: str, rest: list[Any]) -> None:
    key, *values = rest
    if key in ("addfailregex", "addignoreregex"):
        jail[key[3:]] += values[0] if verb == "multi-set" else values
    elif key == "addignoreip":
        jail["ignoreip"] = jail.get("ignoreip", []) + values
    elif key == "addjournalmatch":
        jail["journalmatch"].append(values)
    elif key == "action":
        jail["actions"][values[0]].update(values[1] if verb == "multi-set" else [values[1:]])
    elif key == "addaction":
        jail["actions"][values[0]] = {}
    elif key != "addlogpath":
        jail[key] = values[0]


def ours(jail: Jail, keys: Mapping[str, Any]) -> dict[str, Any]:
    """The same of a `Jail`, in upstream's words; of the plain settings those that upstream names."""
    spec = jail.filter
    assert spec is not None
    meaning: dict[str, Any] = {
        "backend": jail.sources[0].backend if jail.sources else keys["backend"],
        "failregex": list(spec.failregex),
        "ignoreregex": list(spec.ignoreregex),
        "journalmatch": [shlex.split(line) for line in spec.journalmatch],
        "prefregex": spec.prefregex,
        "datepattern": list(spec.datepattern),
        "maxlines": spec.maxlines,
        "usedns": jail.usedns,
        "maxretry": jail.maxretry,
        "maxmatches": jail.maxmatches,
        "findtime": jail.findtime,
        "bantime": jail.bantime,
        "ignorecommand": jail.ignorecommand,
        "logencoding": jail.logencoding,
        "ignoreip": list(jail.ignoreip),
        "ignoreself": jail.ignoreself,
        "logtimezone": jail.logtimezone,
        "bantime.increment": jail.escalation is not None,
    }
    if jail.escalation is not None:
        meaning |= {
            "bantime.factor": jail.escalation.factor,
            "bantime.multipliers": jail.escalation.multipliers,
            "bantime.maxtime": jail.escalation.maxtime,
            "bantime.rndtime": jail.escalation.rndtime,
        }
    return {key: meaning[key] for key in keys if key != "actions"}


def comparable(jail: Mapping[str, Any]) -> dict[str, Any]:
    """Upstream's words with times as seconds and lists as lists."""
    plain = {key: value for key, value in jail.items() if key != "actions"}
    for key in plain.keys() & {"findtime", "bantime", "bantime.maxtime", "bantime.rndtime"}:
        plain[key] = parse_duration(plain[key])
    if plain.get("bantime") == -1:
        plain["bantime"] = PERMANENT
    if "bantime.factor" in plain:
        plain["bantime.factor"] = float(plain["bantime.factor"])
    if "bantime.multipliers" in plain:
        plain["bantime.multipliers"] = tuple(map(float, plain["bantime.multipliers"].split()))
    if "datepattern" in plain:
        plain["datepattern"] = plain["datepattern"].split("\n")
    return plain


def expanded(properties: Mapping[str, str], key: str, family: str) -> str:
    """A command as it is run for one family, before anything about the ban is filled in."""
    text = properties.get(f"{key}?family={family}", properties.get(key, ""))
    for _ in range(25):
        text = TAG.sub(lambda tag: properties.get(f"{tag[1]}?family={family}", properties.get(tag[1], tag[0])), text)
    return text


def check_action(theirs: dict[str, Any], action: ActionSpec) -> None:
    mine = {**action.properties, **action.options}
    for name in action.options:  # since 1.1.1 a plain bracket option speaks for both families; 1.0.2 is here
        theirs.pop(f"{name}?family=inet6", None)
    for key in BOOLEANS & theirs.keys():
        assert (mine.pop(key).lower() in ("1", "on", "true", "yes")) is theirs.pop(key)
    for key in COMMANDS | mine.keys() | theirs.keys():
        for family in ("inet4", "inet6"):
            value = str(theirs.get(key, ""))
            if not value.startswith("<known/"):
                assert expanded(mine, key, family) == expanded({**theirs, "chain": mine.get("chain", "")}, key, family)
    unset = {key for key, value in theirs.items() if str(value).startswith("<known/")}  # nothing there to know
    assert mine.keys() | unset == theirs.keys()


def check_jail(theirs: dict[str, Any], jail: Jail) -> None:
    assert [problem for problem in jail.problems if not UNREAD.search(problem.message)] == []
    assert ours(jail, theirs) == comparable(theirs)
    assert [action.actname for action in jail.actions] == list(theirs["actions"])
    for action in jail.actions:
        check_action(dict(theirs["actions"][action.actname]), action)


def check(folder: Path, *, unread: frozenset[str] = frozenset()) -> set[str]:
    """Compare everything in a directory; the names of its jails.

    :param unread: the options in brackets that are reported since nothing reads them, as `action.option`.
    """
    theirs = upstream(folder)
    settings = load(folder, PLUGIN_OPTIONS, journal=False)
    assert settings.broken == {}
    assert settings.problems == ()
    assert {jail.name for jail in settings.jails} == theirs.keys()
    reports = [UNREAD.search(problem.message) for jail in settings.jails for problem in jail.problems]
    assert {f"{report[1]}.{report[2]}" for report in reports if report} == unread
    for jail in settings.jails:
        check_jail(theirs[jail.name], jail)
    return set(theirs)
