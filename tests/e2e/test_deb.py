"""The Debian package: installed, upgraded, removed and purged, under a real systemd."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import systemd
from tests.e2e.range import ATTACKER, Network
from tests.e2e.systemd import UNITS, Systemd
from tests.kit.waiting import wait_for

pytestmark = pytest.mark.timeout(300)

ROOT = Path(__file__).parent.parent.parent
JAIL = "[DEFAULT]\naction = auto\n[sshd]\nenabled = false\n[manual]\nenabled = true\nfilter =\n"


def _packages(folder: Path) -> tuple[Path, Path]:
    """The package as built, and an older one that differs in its version and a conffile."""
    subprocess.run(
        [ROOT / "packaging" / "deb" / "build", folder], check=True, env={**os.environ, "GUARDHOOKS_NATIVE": "off"}
    )
    [package] = folder.glob("guardhooks_*.deb")
    unpacked, older = folder / "unpacked", folder / "older.deb"
    subprocess.run(["dpkg-deb", "-R", package, unpacked], check=True)
    control = unpacked / "DEBIAN" / "control"
    control.write_text(re.sub(r"^Version: .*", "Version: 0.0.1", control.read_text(), flags=re.MULTILINE))
    with (unpacked / "etc" / "guardhooks" / "guardhooks.conf").open("a") as file:
        file.write("# older\n")
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", unpacked, older], check=True)
    return older, package


@pytest.fixture
def machine(network: Network, tmp_path: Path) -> Iterator[Systemd]:
    reason = systemd.missing() or ("" if shutil.which("dpkg-deb") else "needs dpkg-deb")
    if reason and not os.environ.get("CI"):
        pytest.skip(f"the package {reason}")
    assert not reason, f"CI must test the package, which {reason}"
    machine = Systemd(network.server, tmp_path)
    try:
        yield machine
        print(machine.log())  # shown when the test fails
    finally:
        machine.close()


def _table(machine: Systemd) -> str:
    return machine.run("nft", "list", "table", "inet", "guardhooks", check=False).stdout


def test_a_ban_outlives_an_upgrade_and_a_removal_and_a_purge_leaves_nothing(machine: Systemd, tmp_path: Path) -> None:
    _packages(tmp_path)
    dpkg = ("dpkg", "--force-unsafe-io")
    machine.run("ln", "-s", "/lib/systemd/system/guardhooks.service", UNITS)
    machine.run(*dpkg, "-i", "/mnt/keep/older.deb")
    machine.write("/etc/guardhooks/jail.local", JAIL)
    machine.run("systemctl", "restart", "guardhooks")
    pid = machine.show("guardhooks", "MainPID")
    machine.run("guardhooks", "ban", "manual", ATTACKER[4])
    assert ATTACKER[4] in _table(machine)

    machine.run("sh", "-c", "dpkg --force-unsafe-io -i /mnt/keep/guardhooks_*.deb")
    wait_for(lambda: machine.show("guardhooks", "ActiveState") == "active", "the new version runs", 60.0)
    assert machine.show("guardhooks", "MainPID") != pid
    status = json.loads(machine.run("guardhooks", "status", "manual", "--json").stdout)
    assert [(ban["id"], ban["state"]) for ban in status["banned"]] == [(ATTACKER[4], "active")]
    assert "# older" not in machine.run("cat", "/etc/guardhooks/guardhooks.conf").stdout
    assert machine.run("cat", "/etc/guardhooks/jail.local").stdout == JAIL

    machine.run(*dpkg, "--remove", "guardhooks")
    assert machine.show("guardhooks", "ActiveState") == "inactive"
    assert ATTACKER[4] in _table(machine)
    machine.run("rm", "/etc/guardhooks/jail.local")  # the user's own
    machine.run(*dpkg, "--purge", "guardhooks")
    assert _table(machine) == ""
    left = machine.run(
        "sh", "-c", "ls -d /etc/guardhooks /var/lib/guardhooks /usr/lib/guardhooks /run/guardhooks", check=False
    )
    assert left.stdout == ""
