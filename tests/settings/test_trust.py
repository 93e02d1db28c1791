"""What others may write runs no commands, by name and with the remedy; the rest of the jail goes on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from guardhooks.settings import load
from guardhooks.settings.model import Settings
from tests.kit.guards import write_files

ACTION = "[Definition]\nactionban = /usr/bin/tell <ip>\nactionunban = /usr/bin/forget <ip>\n"


def site(folder: Path, **files: str) -> Path:
    jail = "[sshd]\nenabled = true\nfilter = one\nlogpath = /dev/null\naction = tell\n         nftables[port=22]\n"
    base = {
        "jail.conf": jail + "ignorecommand = /usr/bin/friend <ip>\n",
        "filter.d/one.conf": "[Definition]\nfailregex = from <HOST>$\n",
        "action.d/tell.conf": ACTION,
        "action.d/nftables.conf": "[Definition]\nactionban = nft add <ip>\n",
    }
    made = write_files(folder / "site", {**base, **files})
    for path in (made, *made.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return made


def read(directory: Path) -> Settings:
    return load(directory, journal=False)


def commands(settings: Settings) -> list[str]:
    (jail,) = settings.jails
    found = [action.name for action in jail.actions if action.get("actionban")]
    return [*found, *(["ignorecommand"] if jail.ignorecommand else [])]


def told(settings: Settings) -> str:
    return "\n".join(map(str, (*settings.problems, *settings.jails[0].problems)))


def test_files_that_only_root_may_write_are_used_as_they_are(tmp_path: Path) -> None:
    settings = read(site(tmp_path))
    assert commands(settings) == ["tell", "nftables", "ignorecommand"]
    assert "others" not in told(settings)


@pytest.mark.parametrize(
    ("changed", "left"),
    [
        ("action.d/tell.conf", ["nftables", "ignorecommand"]),
        ("action.d", ["ignorecommand"]),
        ("jail.conf", []),
        (".", []),
        ("filter.d/one.conf", ["tell", "nftables", "ignorecommand"]),
    ],
)
@pytest.mark.parametrize("mode", [0o020, 0o002])
def test_commands_from_a_file_or_folder_that_others_may_write_are_refused_by_name(
    tmp_path: Path, changed: str, left: list[str], mode: int
) -> None:
    directory = site(tmp_path)
    path = directory / changed
    path.chmod(path.stat().st_mode | mode)
    settings = read(directory)
    assert commands(settings) == left
    assert [action.name for action in settings.jails[0].actions] == ["tell", "nftables"]
    assert f"{path}: may be written by others (mode {path.stat().st_mode & 0o7777:04o})" in told(settings)
    assert f"chmod go-w {path}" in told(settings)
    assert ("the commands of action tell are not run" in told(settings)) == ("tell" not in left)
    assert ("ignorecommand is not run" in told(settings)) == ("ignorecommand" not in left)


def test_an_included_file_and_a_local_one_count_as_well(tmp_path: Path) -> None:
    directory = site(tmp_path, **{"action.d/tell.local": "[Definition]\nactionban = evil\n"})
    (directory / "action.d" / "tell.local").chmod(0o666)
    assert commands(read(directory)) == ["nftables", "ignorecommand"]


def test_a_link_leads_to_where_the_file_is_judged(tmp_path: Path) -> None:
    directory = site(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "tell.conf").write_text(ACTION)
    (directory / "action.d" / "tell.conf").unlink()
    (directory / "action.d" / "tell.conf").symlink_to(elsewhere / "tell.conf")
    elsewhere.chmod(0o755)
    assert "tell" in commands(read(directory))
    elsewhere.chmod(0o777)
    settings = read(directory)
    assert "tell" not in commands(settings)
    assert f"{elsewhere} may be written by others" in told(settings)


@pytest.mark.root
def test_a_file_of_another_user_is_refused(tmp_path: Path) -> None:
    directory = site(tmp_path)
    os.chown(directory / "action.d" / "tell.conf", 1234, 0)
    settings = read(directory)
    assert commands(settings) == ["nftables", "ignorecommand"]
    assert "tell.conf belongs to uid 1234; chown root" in told(settings)


def test_the_switch_counts_where_nobody_else_may_write_it(tmp_path: Path) -> None:
    directory = site(tmp_path, **{"guardhooks.conf": "[Guardhooks]\ntrust_writable = yes\n"})
    (directory / "jail.conf").chmod(0o666)
    assert commands(read(directory)) == ["tell", "nftables", "ignorecommand"]
    (directory / "guardhooks.conf").chmod(0o666)
    assert commands(read(directory)) == []
