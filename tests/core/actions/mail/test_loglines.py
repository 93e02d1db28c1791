"""Which lines of a log name an address."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from guardhooks_core.actions.mail.loglines import last_lines


@pytest.mark.parametrize(
    ("address", "line", "named"),
    [
        ("192.0.2.1", "from 192.0.2.1 port 22", True),
        ("192.0.2.1", "from 192.0.2.1:22", True),
        ("192.0.2.1", "from 192.0.2.1.", True),
        ("192.0.2.1", "[192.0.2.1]", True),
        ("192.0.2.1", "from 192.0.2.11", False),
        ("192.0.2.1", "from 1192.0.2.1", False),
        ("192.0.2.1", "from 8.192.0.2.1", False),
        ("192.0.2.1", "from 192.0.2.1.8", False),
        ("192.0.2.1", "from 192x0y2z1", False),
        ("2001:db8::1", "from 2001:0DB8:0::1 port 22", True),
        ("2001:db8::1", "from [2001:db8::1]:22", True),
        ("2001:db8::1", "from 2001:db8::2", False),
        ("2001:db8:0:1::/64", "from 2001:db8:0:1:ffff::9.", True),
        ("2001:db8:0:1::/64", "from 2001:db8:0:2::9", False),
        ("192.0.2.0/24", "from 192.0.2.77", True),
        ("192.0.2.0/24", "from 192.0.3.77", False),
        ("not an address", "not an address", False),
    ],
)
def test_naming(tmp_path: Path, address: str, line: str, named: bool):
    (tmp_path / "log").write_text(f"other\n{line}\nother\n")
    assert last_lines(str(tmp_path / "log"), address, 10) == ([line] if named else [])


def test_the_last_lines_of_several_files(tmp_path: Path):
    for name in ("b.log", "a.log", "with blank"):
        (tmp_path / name).write_text("".join(f"{name} {number} 192.0.2.1\n" for number in range(3)))
    logpath = f"{tmp_path}/*.log tail\n{tmp_path}/with blank head\n{tmp_path}/gone\nrelative"
    assert last_lines(logpath, "192.0.2.1", 4) == [
        "b.log 2 192.0.2.1",
        *(f"with blank {n} 192.0.2.1" for n in range(3)),
    ]
    assert last_lines(logpath, "192.0.2.1", 0) == []


def test_two_paths_on_one_line(tmp_path: Path):
    for name in ("a", "b"):
        (tmp_path / name).write_text(f"{name} 192.0.2.1\n")
    assert len(last_lines(f"{tmp_path}/a {tmp_path}/b", "192.0.2.1", 9)) == 2


def test_a_great_log_is_read_from_its_end(tmp_path: Path):
    with (tmp_path / "log").open("w") as log:
        log.write("first 192.0.2.1\n")
        log.write(("x" * 1023 + "\n") * 9000)
        log.write("y" * 1_000_000 + " 192.0.2.1\n")
        log.write("last 192.0.2.1")
    assert last_lines(str(tmp_path / "log"), "192.0.2.1", 1000) == ["y" * 8192, "last 192.0.2.1"]


def test_what_is_no_file_is_not_opened(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")  # opening it would wait for a writer
    (tmp_path / "folder").mkdir()
    assert last_lines(f"{tmp_path}/*\n/dev/null\n/dev/zero", "192.0.2.1", 10) == []


def test_bytes_of_any_kind(tmp_path: Path):
    (tmp_path / "log").write_bytes(b"\xff\xfe 192.0.2.1 \x00\n")
    assert last_lines(str(tmp_path / "log"), "192.0.2.1", 10) == ["�� 192.0.2.1 \0"]
