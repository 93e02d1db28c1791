"""What TAB offers, in real shells, with the files as they are shipped."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from tests.cli.running import Site

SHIPPED = Path(__file__).parent.parent.parent / "packaging" / "completion"

BASH = """
source "$FILE"
COMP_LINE=$LINE COMP_POINT=${#LINE}
COMP_WORDBREAKS=$' \\t\\n"\\'><=;|&(:'
compopt() { echo "compopt $*"; }
_guardhooks guardhooks 2>/dev/null
printf '%s\\n' "${COMPREPLY[@]}"
"""
FISH = 'source "$FILE"; complete -C "$LINE" | string split -f 1 \\t'
ZSH = """
compadd() { print -l -- "${(@P)@[-1]}" }
_describe() { print -l -- "${(@P)@[-1]%%:*}" }
_path_files() { print "files" }
words=("${(@s: :)LINE}") CURRENT=${#${(@s: :)LINE}}
source "$FILE"
"""
SHELLS = {
    "bash": ("guardhooks.bash", BASH, ("--norc", "-c")),
    "zsh": ("_guardhooks", ZSH, ("-f", "-c")),
    "fish": ("guardhooks.fish", FISH, ("--no-config", "-c")),
}


def offered(shell: str, line: str, tmp_path: Path) -> Sequence[str]:
    """The completions of a line, as the shell takes them from its file."""
    if shutil.which(shell) is None:
        assert not os.environ.get("CI"), f"CI must have {shell}"
        pytest.skip(f"needs {shell}")
    command = tmp_path / "guardhooks"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m guardhooks "$@"\n')
    command.chmod(0o755)
    name, script, options = SHELLS[shell]
    run = subprocess.run(
        [shell, *options, script], capture_output=True, text=True, check=False, cwd=tmp_path,
        env={
            **os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "FILE": str(SHIPPED / name), "LINE": line,
            "HOME": str(tmp_path), "LANG": "C.UTF-8",
        },
    )  # fmt: skip
    return [word for word in run.stdout.splitlines() if word]


@pytest.mark.parametrize("shell", SHELLS)
def test_commands_and_jails_without_a_daemon(shell: str, site: Site, tmp_path: Path) -> None:
    assert offered(shell, "guardhooks st", tmp_path) == ["status", "stop"]
    place = " ".join(site.place())
    assert offered(shell, f"guardhooks status {place} a", tmp_path) == ["app"]


@pytest.mark.parametrize("shell", SHELLS)
def test_banned_addresses_of_a_daemon_colons_and_all(shell: str, site: Site, tmp_path: Path) -> None:
    place = " ".join(site.place())
    rest = "db8:7::/64" if shell == "bash" else "2001:db8:7::/64"  # bash has what stands before the last colon already
    with site.running():
        site.guardhooks("ban", "app", "2001:db8:7::/64", "198.51.100.7")

        assert offered(shell, f"guardhooks unban {place} 2001:d", tmp_path) == [rest]
        assert offered(shell, f"guardhooks unban {place} 198", tmp_path) == ["198.51.100.7"]


def test_files_and_filters_for_a_test(site: Site, tmp_path: Path) -> None:
    place = " ".join(site.place())
    assert offered("bash", f"guardhooks test {place} /var/l", tmp_path) == ["compopt -o default"]
    assert offered("bash", f"guardhooks test {place} x.log ap", tmp_path)[:2] == ["apache-auth", "apache-badbots"]


def test_no_plugin_in_the_box_adds_commands_since_none_is_asked() -> None:
    own = [point for point in entry_points(group="guardhooks") if point.dist and point.dist.name == "guardhooks"]
    assert own
    assert [point.name for point in own if hasattr(point.load(), "add_commands")] == []
