"""Debian's stock jails mean to guardhooks what `fail2ban-client -d` says they mean to fail2ban."""

from __future__ import annotations

import ast
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from guardhooks import ActionSpec, Jail
from guardhooks.plugins import Plugins
from guardhooks.settings import jail_names, load, parse_duration

STOCK = Path("/etc/fail2ban")
CLIENT = shutil.which("fail2ban-client")
MISSING = CLIENT is None or not (STOCK / "jail.conf").is_file()
pytestmark = pytest.mark.skipif(MISSING and "CI" not in os.environ, reason="Debian's fail2ban is not installed")

PLUGIN_OPTIONS = Plugins.load().declared_options()
UNREAD = re.compile(r"(?:filter|action) (\S+) has no option '(.+?)'")
BOOLEANS = {"norestored", "actionstart_on_demand", "actionrepair_on_unban"}
COMMANDS = {"actionstart", "actionstop", "actionflush", "actionreload", "actioncheck", "actionban", "actionunban"}
TAG = re.compile(r"<([^ <>]+)>")


def directory_with(jails: list[str], folder: Path) -> Path:
    """A copy of the stock configuration in which exactly these jails are enabled."""
    shutil.copytree(STOCK, folder)
    shutil.rmtree(folder / "jail.d")
    (folder / "jail.local").write_text("".join(f"[{name}]\nenabled = true\n" for name in jails))
    return folder


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
    }
    return {key: meaning[key] for key in keys if key != "actions"}


def comparable(jail: Mapping[str, Any]) -> dict[str, Any]:
    """Upstream's words with times as seconds and lists as lists."""
    plain = {key: value for key, value in jail.items() if key != "actions"}
    for key in plain.keys() & {"findtime", "bantime"}:
        plain[key] = parse_duration(plain[key])
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


@pytest.mark.parametrize(
    "text", ["1w # seven days", "10080m # (seven days)", "2628000 # one month", "1h 30m #", "90s# x"]
)
def test_a_time_with_a_comment_is_what_upstream_takes_it_for(text: str) -> None:
    told = subprocess.run(
        ["fail2ban-client", "--str2sec", text], capture_output=True, text=True, check=True, timeout=60
    )
    assert parse_duration(text) == float(told.stdout)


def test_all_stock_jails_together_mean_what_upstream_says(tmp_path: Path) -> None:
    names = jail_names(STOCK)
    assert check(directory_with(names, tmp_path / "all")) == set(names)


def test_each_stock_jail_alone_means_what_upstream_says(tmp_path: Path) -> None:
    names = jail_names(STOCK)
    folders = [directory_with([name], tmp_path / name) for name in names]
    with ThreadPoolExecutor(2) as pool:
        assert [*pool.map(check, folders)] == [{name} for name in names]
    print(f"{len(names)} of {len(names)} stock jails mean the same")


ACTIONS = (
    "%(action_mw)s",
    "%(action_mwl)s",
    "%(action_xarf)s",
    "%(action_abuseipdb)s",
    'nftables[type=allports]\n nftables-multiport[name=other, port="1,2", actname=x]',
    "iptables-ipset-proto6[bantime=5] iptables[name=sshd-tcp,port=1] pf shorewall cloudflare-token[cfzone=1] ufw",
    "firewallcmd-ipset firewallcmd-rich-rules hostsdeny mail-whois-lines sendmail-geoip-lines route dshield",
)


def test_every_stock_action_shortcut_means_what_upstream_says(tmp_path: Path) -> None:
    folder = directory_with([], tmp_path / "etc")
    jails = (f"[j{number}]\nenabled = 1\nfilter = sshd\nlogpath = {folder}/jail.conf\naction = {action}\n"
             for number, action in enumerate(ACTIONS))  # fmt: skip
    (folder / "jail.local").write_text("".join(jails))
    assert len(check(folder)) == len(ACTIONS)


def test_modes_and_options_of_filters_mean_what_upstream_says(tmp_path: Path) -> None:
    texts = [
        f"{name}[mode={mode}{extra}]"
        for name, modes in {
            "sshd": ("normal", "ddos", "extra", "aggressive"),
            "postfix": ("more", "normal", "auth", "rbl", "ddos", "extra", "aggressive", "errors"),
            "dovecot": ("normal", "aggressive"),
            "exim": ("normal", "aggressive"),
            "freeswitch": ("normal", "extra", "ddos"),
            "apache-auth": ("normal", "aggressive"),
            "sendmail-reject": ("normal", "extra", "aggressive"),
        }.items()
        for mode in modes
        for extra in ("", ", logtype=journal", ", logtype=short", ", logtype=rfc5424")
    ]
    texts += [
        "sshd[publickey=any]",
        "guacamole[logging=webapp]",
        "froxlor-auth[type=1]",
        'apache-badbots[badbots="x|<known/badbots>"]',
    ]
    folder = directory_with([], tmp_path / "etc")
    jails = (f"[j{number}]\nenabled = 1\nfilter = {text}\naction =\nbackend = {('systemd', 'polling')[number % 2]}\n"
             f"logpath = {folder}/jail.conf\n" for number, text in enumerate(texts))  # fmt: skip
    (folder / "jail.local").write_text("".join(jails))
    assert len(check(folder, unread=frozenset({"froxlor-auth.type"}))) == len(texts)


HAND_WRITTEN = {
    "filter.d/f.conf": r"""
[INCLUDES]
before = base.conf
[DEFAULT]
dd = fromdefault
[Definition]
base = B
failregex = ^file <HOST> <mode> %(base)s <agents>$

            ^two <HOST> <Base> <lt_<logtype>/p> <LT_<logtype>/p> %(__name__)s <lt_file/__p>
ignoreregex = ^ign <known/base> ; a note
datepattern = {^LN-BEG}%%Y
    second
journalmatch = _A="f g" + _B=2
    _C=3
prefregex = ^x
usedns = no
mode = defmode
addr = own
[lt_file]
p = LTFILE <base> %(dd)s
[LT_file]
p = UPPER
[Init]
agents = init <ADDR>
maxlines = 3
""",
    "filter.d/base.conf": "[DEFAULT]\nlogtype = journal\n[Definition]\nbase = A\n[lt_file]\n__p = base <mode>\n",
    "filter.d/base.local": "[lt_file]\n__p = %(known/__p)s local\n",
    "filter.d/f.d/z.local": "[Definition]\nprefregex = %(known/prefregex)s z\n",
    "action.d/a.conf": r"""
[DEFAULT]
indef = D%(x)s
x = dx
bantime = defban
[Definition]
x = definx
actionban = ban <ip> <port> <name> %(x)s <x> <indef> <initv> <logpath> <bantime> %(bantime)s <maxretry> <other>
 second line # kept
  third ; dropped
# gone
  fourth
actionunban = unban <q> <Q> <known/port> <nolist> <Known/port> %(findtime)s
actionstart_on_demand = no
norestored = Yes
other = o
logpath = /dev/null
[Init]
port = P%(x)s
initv = I<port>%(x)s %(bantime)s
Upper = u
timeout = 5m
""",
    "jail.conf": r"""
[DEFAULT]
backend = polling
bantime = 600
findtime = 1h 30m
maxretry = 3
extra = E %(__name__)s
[j]
enabled = true
filter = f[mode= "quoted", x='s q', agents="bad|<known/agents>"]
failregex = %(known/failregex)s
 ^jail <HOST> %(known/base)s %(other/extra)s %(default/maxretry)s
logpath = LOG
action = a[port= "1 2", q=a b ,Q=3,initv=<known/initv>]
maxretry = 7
[k]
enabled = on
filter = f
logpath = LOG
action = a[name=k-tcp,z=it's,]  a[name=other]
   a[actname=zz]  [w="]"]
ignoreregex =
datepattern = jail
usedns = yes
[other]
extra = O %(bantime)s
""",
    "jail.d/z.conf": "[k]\nmaxretry = 9\n[j]\nmaxretry = %(known/maxretry)s7\n",
    "jail.d/z.local": "[k]\nmaxretry = %(known/maxretry)s9\n",
}


def test_a_hand_written_configuration_means_what_upstream_says(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.touch()
    for name, text in HAND_WRITTEN.items():
        path = tmp_path / "etc" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("LOG", str(log)))
    assert check(tmp_path / "etc", unread=frozenset({"f.x", "a.z", "a.w"})) == {"j", "k"}
