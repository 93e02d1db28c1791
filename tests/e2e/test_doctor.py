"""What `guardhooks doctor` says of an address is what becomes of its packets; and whom nobody may ban by mistake."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from tests.e2e.daemon import Daemon
from tests.e2e.prober import Prober
from tests.e2e.range import ATTACKER, NEIGHBOUR, SERVER, Host, Network, end
from tests.e2e.sshserver import SshServer
from tests.kit.guards import plain_config
from tests.kit.waiting import wait_for

PORT: Final = 2200
FIREWALLS: Final = ("nftables", "ipset")
NFT_INSERT: Final = "nft insert rule inet guardhooks prerouting"
_LISTEN: Final = f"""
import socket
servers = [socket.create_server(("0.0.0.0", {PORT}))]
servers.append(socket.create_server(("::", {PORT}), family=socket.AF_INET6))
print("ready", flush=True)
import selectors
selector, held = selectors.DefaultSelector(), []
for server in servers:
    selector.register(server, selectors.EVENT_READ)
while True:
    for key, _ in selector.select():
        held.append(key.fileobj.accept())
"""
_HOLD: Final = """
import socket, sys
source, target, port = sys.argv[1:]
client = socket.create_connection((target, int(port)), timeout=10, source_address=(source, 0))
print("ready", flush=True)
sys.stdin.read()
"""


@dataclass
class Scene:
    """A server with a service on PORT, and a jail that guards it."""

    network: Network
    attacker: Prober
    folder: Path
    start: Callable[..., Daemon]

    def daemon(self, firewall: str, **options: str) -> Daemon:
        """A daemon that looks at its rules by itself only once an hour."""
        action = f"{firewall}[port={PORT}, blocktype=DROP]"
        config = plain_config(self.folder / "config", self.log, action=action)
        (config / "guardhooks.conf").write_text("[Guardhooks]\nreconcile = 1h\n")
        with (config / "jail.conf").open("a") as jail:
            jail.writelines(f"{key} = {value}\n" for key, value in options.items())
        return self.start(config)

    @property
    def log(self) -> Path:
        log = self.folder / "plain.log"
        log.touch()
        return log

    def fail(self, address: str, times: int) -> None:
        """Have the log say that somebody failed."""
        with self.log.open("a") as log:
            log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} login failed from {address}\n" * times)

    def run(self, *argv: str) -> str:
        return self.network.server.run(*argv).stdout

    def gets_through(self, address: str) -> bool:
        return self.attacker.can_connect(address, SERVER[6 if ":" in address else 4], PORT)


@pytest.fixture
def scene(network: Network, attacker: Prober, guard: Callable[..., Daemon], tmp_path: Path) -> Iterator[Scene]:
    with _running(network.server, _LISTEN):
        yield Scene(network, attacker, tmp_path, guard)


class _running:  # noqa: N801 -- used like a function
    """A script on a host, for as long as the block lasts; it has said that it is ready."""

    def __init__(self, host: Host, script: str, *arguments: str) -> None:
        self._process = subprocess.Popen(
            host.command(sys.executable, "-c", script, *arguments),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def __enter__(self) -> None:
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def __exit__(self, *_: object) -> None:
        end(self._process)
        self._process.communicate()


def examined(daemon: Daemon, address: str = "", *, code: int) -> dict[str, Any]:
    """The doctor's report as JSON; its exit status must be `code`."""
    run = daemon.command("doctor", *([address] if address else []), "--json", check=False)
    assert run.returncode == code, run.stdout + run.stderr
    report: dict[str, Any] = json.loads(run.stdout)
    return report


def said(report: dict[str, Any], level: str) -> str:
    """All findings of one level, one a line."""
    return "\n".join(f"{each['about']}: {each['text']}" for each in report["findings"] if each["level"] == level)


# --- what is found ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", [4, 6], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("firewall", FIREWALLS)
def test_who_is_banned_is_kept_out_and_the_doctor_says_by_what(scene: Scene, firewall: str, family: int) -> None:
    daemon = scene.daemon(firewall)
    banned, free = ATTACKER[family], NEIGHBOUR[family]
    daemon.command("ban", "plain", banned)

    kept, passing = examined(daemon, banned, code=0), examined(daemon, free, code=0)

    assert kept["kept_out"] is True
    assert f"packets to tcp/{PORT} from {banned} are dropped by" in kept["verdict"]
    assert not scene.gets_through(banned)
    assert passing["kept_out"] is False
    assert passing["verdict"] == f"{free} gets through: nobody bans it"
    assert scene.gets_through(free)
    whole = daemon.command("doctor")
    assert whole.stdout.endswith("\nnothing is wrong\n")
    for part in ("daemon\n", "ledger\n", "jail plain\n", f"action plain/{firewall}\n", "holds 1 entry"):
        assert part in whole.stdout


@pytest.mark.parametrize("rule", ["iptables -I INPUT -s 192.0.2.0/24 -j DROP", "nft -f -"])
def test_whom_a_rule_of_others_keeps_out_does_not_get_through(scene: Scene, rule: str) -> None:
    daemon = scene.daemon("nftables")
    address = NEIGHBOUR[4]
    assert examined(daemon, address, code=0)["kept_out"] is False
    if rule == "nft -f -":
        table = (
            f"table inet theirs {{ set bad {{ type ipv4_addr; elements = {{ {address} }}; }}; "
            "chain in { type filter hook input priority 0; ip saddr @bad counter reject; }; }"
        )
        (scene.folder / "theirs.nft").write_text(table)
        rule = f"nft -f {scene.folder / 'theirs.nft'}"
    scene.network.server.run(*rule.split())
    assert not scene.gets_through(address)
    found = examined(daemon, address, code=0)
    assert found["kept_out"] is True
    assert (
        "although it is not banned: a rule that is not guardhooks' drops its packets: chain in"
        in found["verdict"].lower()
    )


@pytest.mark.parametrize(
    ("firewall", "rule"),
    [
        ("nftables", f"{NFT_INSERT} ip saddr 192.0.2.64/26 accept"),
        ("ipset", "iptables -I INPUT -s 192.0.2.64/26 -j ACCEPT"),
    ],
)  # fmt: skip
def test_a_rule_in_front_that_lets_pass_is_named(scene: Scene, firewall: str, rule: str) -> None:
    daemon = scene.daemon(firewall)
    daemon.command("ban", "plain", ATTACKER[4])
    assert not scene.gets_through(ATTACKER[4])
    scene.run(*rule.split())

    report = examined(daemon, ATTACKER[4], code=1)

    assert scene.gets_through(ATTACKER[4])
    assert report["kept_out"] is False
    assert f"{ATTACKER[4]} is banned and gets through: " in report["verdict"]
    assert "comes before our" in report["verdict"]
    assert f"accepts the packets of {ATTACKER[4]}" in report["verdict"]


@pytest.mark.parametrize(
    ("firewall", "rule", "matches"),
    [
        ("nftables", f"{NFT_INSERT} {{}} accept", [f"ip saddr {NEIGHBOUR[4]}", "ip6 saddr ::1"]),
        ("ipset", "iptables -I INPUT {} -j ACCEPT", [f"-s {NEIGHBOUR[4]}", "-i lo", "-p udp", "-p tcp --dport 443"]),
    ],
    ids=FIREWALLS,
)
def test_rules_before_ours_that_concern_others_change_nothing(
    scene: Scene, firewall: str, rule: str, matches: list[str]
) -> None:
    daemon = scene.daemon(firewall)
    daemon.command("ban", "plain", ATTACKER[4])
    for match in matches:
        scene.run(*rule.format(match).split())

    report = examined(daemon, ATTACKER[4], code=0)

    assert report["kept_out"] is True
    assert "before our" not in json.dumps(report)
    assert not scene.gets_through(ATTACKER[4])


def test_established_connections_that_pass_are_told(scene: Scene) -> None:
    daemon = scene.daemon("ipset")
    with _running(scene.network.attacker, _HOLD, ATTACKER[4], SERVER[4], str(PORT)):
        daemon.command("ban", "plain", ATTACKER[4])
        scene.run("iptables", "-I", "INPUT", "-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED", "-j", "ACCEPT")

        report = examined(daemon, ATTACKER[4], code=0)

    notes = said(report, "note")
    assert f"connections: 1 established: tcp/{PORT} (from port " in notes
    assert "accepts the packets of established connections" in notes
    assert report["kept_out"] is True


@pytest.mark.parametrize(
    ("firewall", "sabotage"),
    [
        (
            "nftables",
            {
                "nft flush chain inet guardhooks f2b-plain": "the rule for set f2b-plain-4-32 is missing",
                "nft add table inet guardhooks { flags dormant ; }": "table inet guardhooks is switched off",
                "nft flush ruleset": "table inet guardhooks is not in the kernel",
            },
        ),
        (
            "ipset",
            {
                "iptables -F INPUT": "iptables: the rule in chain INPUT is missing",
                "ipset flush f2b-plain": f"{ATTACKER[4]} is not in f2b-plain",
            },
        ),
    ],
    ids=FIREWALLS,
)
def test_what_was_removed_behind_our_back_is_missed_without_a_daemon_too(
    scene: Scene, firewall: str, sabotage: dict[str, str]
) -> None:
    daemon = scene.daemon(firewall, ignoreip=NEIGHBOUR[4])
    daemon.command("ban", "plain", ATTACKER[4])
    assert daemon.stop() == 0

    report = examined(daemon, ATTACKER[4], code=1)
    assert said(report, "bad").startswith("daemon: no daemon runs")
    assert "\n" not in said(report, "bad")
    assert report["kept_out"] is True
    assert f"according to the ledger banned as {ATTACKER[4]}" in said(report, "note")
    assert f"ignoreip {NEIGHBOUR[4]} exempts it" in said(examined(daemon, NEIGHBOUR[4], code=1), "note")
    assert not scene.gets_through(ATTACKER[4])

    for command, lacks in sabotage.items():
        scene.run(*command.split())
        report = examined(daemon, ATTACKER[4], code=1)
        assert lacks in said(report, "bad")
        assert report["running"] is False
        assert report["kept_out"] is False
        assert scene.gets_through(ATTACKER[4])


def test_what_others_wrote_into_the_kernel_does_not_drive_the_terminal(scene: Scene) -> None:
    daemon = scene.daemon("ipset")
    daemon.command("ban", "plain", ATTACKER[4])
    comment = "\x1b[2J\x1b]0;owned\x07"
    scene.run("iptables", "-I", "INPUT", "-s", ATTACKER[4], "-m", "comment", "--comment", comment, "-j", "ACCEPT")

    run = daemon.command("doctor", ATTACKER[4], check=False)

    assert run.returncode == 1
    assert "owned" in run.stdout
    assert "\x1b" not in run.stdout
    assert "\x07" not in run.stdout


def test_failures_that_do_not_yet_lead_to_a_ban_are_counted(scene: Scene) -> None:
    daemon = scene.daemon("nftables")
    scene.fail(ATTACKER[4], 2)
    wait_for(lambda: daemon.ask("status", "plain")["failures"]["total"] == 2, "both lines are read")

    report = examined(daemon, ATTACKER[4], code=0)

    assert f"2 failures of {ATTACKER[4]} within 600 s; 3 lead to a ban" in said(report, "note")
    assert report["kept_out"] is False


@pytest.mark.parametrize("wrong", ["192.0.2.0/24", "192.0.2.256", "example.com"])
def test_the_doctor_wants_a_single_address(scene: Scene, wrong: str) -> None:
    run = scene.network.server.run(sys.executable, "-m", "guardhooks", "doctor", wrong, check=False)

    assert run.returncode == 2
    assert "is not a single address" in run.stderr


# --- whom nobody bans by mistake --------------------------------------------------------------------------------------


def refused(daemon: Daemon, address: str, why: str) -> None:
    """A ban by hand is refused for that reason, and made with --force."""
    run = daemon.command("ban", "plain", address, check=False)
    assert run.returncode == 1
    assert run.stderr == f"guardhooks: error: [plain] {address} is refused: {why}; add --force to ban it anyway\n"
    assert address not in [ban["id"] for ban in daemon.ask("status", "plain")["banned"]]
    daemon.command("ban", "plain", address, "--force")
    assert address in [ban["id"] for ban in daemon.ask("status", "plain")["banned"]]


def test_what_must_not_be_banned_needs_force(scene: Scene) -> None:
    daemon = scene.daemon("nftables", ignoreip="203.0.113.0/24")
    refused(daemon, SERVER[4], "it is this machine's own address")
    refused(daemon, "203.0.113.9", "ignoreip 203.0.113.0/24 exempts it")
    refused(daemon, "96.0.0.0/7", "it is wider than a /8")

    report = examined(daemon, "203.0.113.9", code=0)

    assert "ignoreip 203.0.113.0/24 exempts it, but the ban was forced" in said(report, "note")
    assert report["kept_out"] is True


@pytest.mark.parametrize("family", [4, 6], ids=["IPv4", "IPv6"])
def test_the_gateway_needs_force_and_is_not_banned_by_its_failures(scene: Scene, family: int) -> None:
    gateway = ATTACKER[family]
    scene.run("ip", f"-{family}", "route", "add", "default", "via", gateway)
    daemon = scene.daemon("nftables", ipv6prefix="128")
    scene.fail(gateway, 3)

    daemon.wait_for_log(f"[plain] {gateway} is not banned: it is this machine's gateway; `guardhooks ban plain ")

    refused(daemon, gateway, "it is this machine's gateway")


def test_where_the_person_who_bans_is_logged_in_from_needs_force(scene: Scene) -> None:
    daemon = scene.daemon("nftables")
    words = ("-c", str(daemon.config), "--state", str(daemon.state))
    claim = f"SSH_CONNECTION={ATTACKER[4]} 50000 {SERVER[4]} 22"

    run = scene.network.server.run(
        "env", claim, sys.executable, "-m", "guardhooks", "ban", "plain", "192.0.2.64/26", *words, check=False
    )

    assert run.returncode == 1
    assert f"it covers {ATTACKER[4]}, where an ssh session that controls this daemon comes from" in run.stderr


def test_the_peer_of_a_real_ssh_session_that_controls_the_daemon_is_spared_while_it_lasts(
    ssh: SshServer, attacker: Prober, scene: Scene
) -> None:
    daemon = scene.daemon("nftables")
    wait_for(lambda: attacker.can_connect(ATTACKER[4], SERVER[4], ssh.port), "sshd listens")
    words = f"-c {daemon.config} --state {daemon.state}"
    why = "it is where an ssh session that controls this daemon comes from"
    # A program that hides what sshd told it, as sudo does.
    control = f"env -u SSH_CONNECTION -u SSH_CLIENT {sys.executable} -m guardhooks"

    with ssh.session(ATTACKER[4], f"{control} ping {words} && echo ready && cat"):
        run = daemon.command("ban", "plain", ATTACKER[4], check=False)
        assert why in run.stderr
        scene.fail(ATTACKER[4], 3)
        daemon.wait_for_log(f"[plain] {ATTACKER[4]} is not banned: {why}")
