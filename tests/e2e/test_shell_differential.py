"""The same bans through Debian's fail2ban and through us, by the same action files: the same things are left behind."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import pytest

from tests.e2e.daemon import Daemon
from tests.e2e.range import missing
from tests.e2e.stockactions import FAIL2BAN, Fail2ban, Side, Stock, configure

pytestmark = [pytest.mark.root, pytest.mark.timeout(240)]

_MAIL: Final = "mailcmd='sendmail -f <sender> <dest>', sender=guard@example.org, dest=root"
_OPTIONS: Final = {
    "iptables": "port=22",
    "iptables-multiport": 'port="22,80", protocol="tcp,udp"',
    "iptables-allports": "chain=OUTPUT",
    "iptables-new": "port=25",
    "iptables-multiport-log": "port=22",
    "iptables-ipset": "port=22, ipsettime=600",
    "iptables-ipset-proto4": "port=22",
    "iptables-ipset-proto6": "port=22",
    "iptables-ipset-proto6-allports": "",
    "nftables": "table=f2b-JAIL, type=allports",
    "nftables-multiport": 'table=f2b-JAIL, port="22,80"',
    "nftables-allports": "table=f2b-JAIL, blocktype=drop",
    "hostsdeny": "file=TRACES/JAIL.hosts.deny",
    "route": "",
    "dummy": "target=TRACES/JAIL.dummy",
    "ufw": "add=insert 1",
    "shorewall": "",
    "apf": "",
    "ipfw": "",
    "bsd-ipfw": "startstatefile=TRACES/JAIL.ipfw",
    "firewallcmd-allports": "",
    "firewallcmd-multiport": 'port="22,80"',
    "firewallcmd-new": "",
    "firewallcmd-ipset": "",
    "firewallcmd-rich-rules": "",
    "cloudflare": "cfuser=JAIL, cftoken=t",
    "netscaler": "ns_host=JAIL, ns_auth=a, ns_dataset=d",
    "nsupdate": "nsupdatecmd=nsupdate, domain=example.org, keyfile=JAIL",
    "abuseipdb": 'abuseipdb_apikey=k, abuseipdb_category="18,22"',
    "blocklist_de": "email=a@example.org, apikey=k, service=JAIL, agent=guard",
    "sendmail": _MAIL,
    "sendmail-whois": _MAIL,
    "sendmail-whois-lines": f"{_MAIL}, logpath=TRACES/JAIL.log",
    "sendmail-whois-matches": _MAIL,
    "sendmail-whois-ipmatches": _MAIL,
    "sendmail-whois-ipjailmatches": _MAIL,
    "sendmail-geoip-lines": _MAIL,
    "sendmail-buffered": f"{_MAIL}, lines=2, tmpfile=TRACES/JAIL.buffer",
    "mail": "dest=JAIL",
    "mail-whois": "dest=JAIL",
    "mail-whois-lines": "dest=JAIL",
    "mail-buffered": "dest=JAIL, lines=2, tmpfile=TRACES/JAIL.buffer",
}
_ONLY_IPV4: Final = frozenset({"iptables-ipset-proto4", "nsupdate"})
STOCK: Final = [
    Stock(file, number, options, ipv6=file not in _ONLY_IPV4) for number, (file, options) in enumerate(_OPTIONS.items())
]
PHASES: Final = ("banned", "unbanned", "stopped")


@dataclass(frozen=True)
class Traces:
    """What was left behind after each phase, by stock file, under either daemon."""

    theirs: dict[str, dict[str, str]]
    ours: dict[str, dict[str, str]]


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traces]:
    """Ban, unban and stop on two hosts."""
    reason = missing() or ("" if FAIL2BAN.is_dir() and shutil.which("fail2ban-server") else "needs fail2ban")
    if reason and not os.environ.get("CI"):
        pytest.skip(f"the comparison {reason}")
    assert not reason
    sides = [Side(f"ghsh-{os.getpid()}-{name}", tmp_path_factory.mktemp(name)) for name in ("theirs", "ours")]
    try:
        for side in sides:
            configure(side.folder / "config", side.traces, STOCK)
        with ThreadPoolExecutor(2) as both:
            theirs, ours = both.submit(_through_fail2ban, sides[0]), both.submit(_through_us, sides[1])
            yield Traces(theirs.result(), ours.result())
    finally:
        for side in sides:
            side.delete()


def _through_fail2ban(side: Side) -> dict[str, dict[str, str]]:
    seen = {}
    daemon = Fail2ban(side, side.folder / "config")
    try:
        daemon.wait_until_ready(len(STOCK))
        daemon.do("banip", STOCK, slice(None))
        seen["banned"] = side.settled(STOCK)
        daemon.do("unbanip", STOCK, slice(1, 2))
        seen["unbanned"] = side.settled(STOCK)
    finally:
        daemon.stop()
    return {**seen, "stopped": side.settled(STOCK)}


def _through_us(side: Side) -> dict[str, dict[str, str]]:
    seen = {}
    daemon = Daemon(side, side.folder / "config", side.folder / "state")
    try:
        for each in STOCK:
            daemon.command("ban", each.jail, *each.addresses)
        seen["banned"] = side.settled(STOCK)
        for each in STOCK:
            daemon.command("unban", *each.addresses[1:2])
        seen["unbanned"] = side.settled(STOCK)
        daemon.command("stop", "--flush")
    finally:
        daemon.stop()
        (side.folder / "guardhooks.log").write_text(daemon.log)
    return {**seen, "stopped": side.settled(STOCK)}


@pytest.mark.parametrize("stock", STOCK, ids=lambda stock: stock.file)
def test_same_traces(traces: Traces, stock: Stock) -> None:
    assert traces.theirs["banned"][stock.file], "nothing was recorded, so nothing is compared"
    for phase in PHASES:
        assert traces.ours[phase][stock.file] == traces.theirs[phase][stock.file], phase
