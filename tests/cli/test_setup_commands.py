"""`guardhooks init` and `guardhooks services`, as a user runs them on this very machine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.config.corpora import CONFIG


def guardhooks(*arguments: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "guardhooks", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, input=stdin)


def test_init_writes_a_directory_and_says_what_to_do_next(tmp_path: Path) -> None:
    target = tmp_path / "etc"
    done = guardhooks("init", "-c", target, "--yes")
    assert done.returncode == 0, done.stderr
    assert "guardhooks run --observe -c" in done.stdout
    assert "[DEFAULT]" in (target / "jail.local").read_text()


def test_init_says_what_check_finds_in_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "jail.d").mkdir()
    (tmp_path / "jail.d" / "mine.local").write_text("[sshd]\nmaxretyr = 3\n")
    done = guardhooks("init", "-c", tmp_path, "--yes")
    assert "maxretyr: no such option" in done.stdout
    assert "note: " not in done.stdout


def test_init_leaves_a_jail_local_alone(tmp_path: Path) -> None:
    (tmp_path / "jail.local").write_text("# mine\n")
    done = guardhooks("init", "-c", tmp_path, "--yes")
    assert done.returncode == 3
    assert "left alone" in done.stderr
    assert (tmp_path / "jail.local").read_text() == "# mine\n"
    assert [path.name for path in tmp_path.iterdir()] == ["jail.local"]


def test_a_dry_run_prints_the_file_and_writes_nothing(tmp_path: Path) -> None:
    done = guardhooks("init", "-c", tmp_path / "etc", "--dry-run")
    assert "[DEFAULT]" in done.stdout
    assert not (tmp_path / "etc").exists()


def test_init_asks_before_it_writes(tmp_path: Path) -> None:
    done = guardhooks("init", "-c", tmp_path / "etc", stdin="n\n")
    assert done.returncode == 130
    assert not (tmp_path / "etc").exists()


def test_services_shows_one_with_lines_that_it_counts() -> None:
    page = guardhooks("services", "vsftpd", "-c", CONFIG).stdout
    assert "/var/log/vsftpd.log" in page
    assert "FAIL LOGIN: Client" in page


def test_services_finds_by_a_word() -> None:
    found = json.loads(guardhooks("services", "mariadb", "--json", "-c", CONFIG).stdout)
    assert [each["jail"] for each in found] == ["mysqld-auth"]


def test_an_unknown_service_gets_the_nearest_name() -> None:
    done = guardhooks("services", "vsftpdd", "-c", CONFIG)
    assert done.returncode == 3
    assert "did you mean 'vsftpd'?" in done.stderr
