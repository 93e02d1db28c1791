"""Which action files a plugin may serve: fail2ban's own ones, and none that a site wrote or changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from guardhooks import ActionSpec
from guardhooks.settings.load import load
from guardhooks_core.actions.firewall.parameters import is_native
from tests.kit.guards import write_files

FAIL2BAN = Path("/etc/fail2ban/action.d")
needs_fail2ban = pytest.mark.skipif(not FAIL2BAN.is_dir(), reason="needs Debian's fail2ban")
STOCK = (
    "iptables", "iptables-multiport", "iptables-allports", "iptables-new", "iptables-ipset", "iptables-ipset-proto4",
    "iptables-ipset-proto6", "iptables-ipset-proto6-allports", "nftables", "nftables-multiport", "nftables-allports",
)  # fmt: skip


def action(tmp_path: Path, text: str, files: dict[str, str] | None = None) -> ActionSpec:
    """An action as a jail names it, with Debian's files and those of the site."""
    for file in FAIL2BAN.glob("*.conf"):
        write_files(tmp_path, {f"action.d/{file.name}": file.read_text()})
    jail = f"[sshd]\nenabled = true\nfilter = f\nlogpath = /dev/null\naction = {text}\n"
    directory = write_files(
        tmp_path, {"filter.d/f.conf": "[Definition]\nfailregex = bad <ADDR>\n", "jail.conf": jail, **(files or {})}
    )
    (only,) = load(directory).jails[0].actions
    return only


@needs_fail2ban
@pytest.mark.parametrize("name", STOCK)
@pytest.mark.parametrize("options", ["", '[name=my-web, port="http,https,8080", protocol=tcp, blocktype=DROP]'])
def test_a_stock_file_is_served_by_the_plugin(tmp_path: Path, name: str, options: str) -> None:
    assert is_native(action(tmp_path, name + options))


@needs_fail2ban
def test_values_in_a_local_file_do_not_make_its_commands_the_sites_own(tmp_path: Path) -> None:
    local = {"action.d/iptables.local": "[Init]\nblocktype = DROP\nchain = DOCKER-USER\n"}
    assert is_native(action(tmp_path, "iptables-multiport", local))


@needs_fail2ban
@pytest.mark.parametrize(
    "definition",
    [
        "actionban = <iptables> -I f2b-<name> 1 -s <ip> -j <blocktype>; logger banned <ip>",
        "actionban = <iptables> -I f2b-<name> 1 -s <ip> -p tcp --dport 22 -j <blocktype>",
        "actionunban = true",
        "actionstart = %(known/actionstart)s\n    <iptables> -I f2b-<name> 1 -s 10.0.0.0/8 -j RETURN",
        "actionstop = touch /run/stopped",
    ],
)
def test_a_local_file_with_other_commands_wins(tmp_path: Path, definition: str) -> None:
    local = {"action.d/iptables.local": f"[Definition]\n{definition}\n"}
    assert not is_native(action(tmp_path, "iptables-multiport", local))


@needs_fail2ban
def test_a_command_in_the_brackets_wins(tmp_path: Path) -> None:
    assert not is_native(action(tmp_path, 'iptables-multiport[actionban="echo <ip>"]'))


@pytest.mark.parametrize("name", ["ipset", "nftables", "nftables-multiport", "iptables-allports"])
def test_a_sites_own_file_under_a_stock_name_wins(tmp_path: Path, name: str) -> None:
    own = "[Definition]\nactionban = ipset -exist add <set_ipv4> <ip> timeout <bantime>\nactionunban = true\n"
    assert not is_native(action(tmp_path, f"{name}[set_ipv4=f2b-white]", {f"action.d/{name}.conf": own}))


@pytest.mark.parametrize("name", ["ipset", "nftables"])
def test_our_own_files_are_served_by_the_plugin(tmp_path: Path, name: str) -> None:
    assert is_native(action(tmp_path, f"{name}[port=ssh]"))
