"""Debian's stock jails mean to guardhooks what `fail2ban-client -d` says they mean to fail2ban."""

from __future__ import annotations

import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from guardhooks.settings import jail_names
from guardhooks.settings.times import parse_duration
from tests.compat.upstream import MISSING, STOCK, check

pytestmark = pytest.mark.skipif(MISSING and "CI" not in os.environ, reason="Debian's fail2ban is not installed")


def directory_with(jails: list[str], folder: Path) -> Path:
    """A copy of the stock configuration in which exactly these jails are enabled."""
    shutil.copytree(STOCK, folder)
    shutil.rmtree(folder / "jail.d")
    (folder / "jail.local").write_text("".join(f"[{name}]\nenabled = true\n" for name in jails))
    return folder


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
