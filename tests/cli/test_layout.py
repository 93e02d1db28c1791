"""Lines and tables on a terminal that is narrower than they are."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardhooks.cli import layout
from tests.cli.running import Site

WIDTH = 80
COMMANDS = [
    ["check"],
    ["config", "show"],
    ["config", "show", "app"],
    ["services"],
    ["services", "app"],
    ["test", "LOG", "app"],
    ["test", "LOG", "app", "--explain"],
    ["test", "LOG", "app", "--bans"],
]


def on_terminal(*arguments: str, width: int = WIDTH) -> list[str]:
    """The lines that a command prints on a terminal of this width, without colours."""
    reading, writing = pty.openpty()
    fcntl.ioctl(writing, termios.TIOCSWINSZ, struct.pack("4H", 24, width, 0, 0))
    environment = {key: value for key, value in os.environ.items() if key not in {"COLUMNS", "LINES"}}
    with subprocess.Popen(
        [sys.executable, "-m", "guardhooks", *arguments],
        stdin=writing, stdout=writing, stderr=writing, env={**environment, "TERM": "xterm"},
    ):  # fmt: skip
        os.close(writing)
        text = b""
        try:
            while part := os.read(reading, 65536):
                text += part
        except OSError:  # the other end is closed
            pass
    os.close(reading)
    return [click.unstyle(line) for line in text.decode().replace("\r\n", "\n").split("\n")]


def too_long(lines: list[str], width: int = WIDTH) -> list[str]:
    """Lines that do not fit and could be broken: a path or a regex is one word, and stays whole to be copied."""
    return [line for line in lines if len(line) > width and len(line.split()) > 2]


@pytest.fixture
def wordy(site: Site) -> Site:
    """A site with much to say: problems, long paths, long values."""
    with (site.config / "jail.conf").open("a") as jail:
        jail.write("bantime = 10mins\nignoreip = " + " ".join(f"192.0.2.{i}" for i in range(40)) + "\nmaxretri = 3\n")
    site.log.write_text(
        "2026-11-28 12:00:00 login of root failed from 203.0.113.5\n" * 3 + "something else " * 20 + "\n"
    )
    return site


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_what_is_printed_fits_a_narrow_terminal(wordy: Site, command: list[str]) -> None:
    arguments = [str(wordy.log) if word == "LOG" else word for word in command]
    lines = on_terminal(*arguments, "-c", str(wordy.config))
    assert len(lines) > 3
    assert too_long(lines) == []


def test_status_fits_a_narrow_terminal_and_is_wide_on_request(wordy: Site) -> None:
    with wordy.running():
        for command in (["status"], ["status", "other"], ["plugins"], ["doctor"], ["ban", "other", "203.0.113.7"]):
            lines = on_terminal(*command, *wordy.place())
            assert too_long(lines) == [], command
        assert max(map(len, on_terminal("status", "--wide", *wordy.place()))) > WIDTH
        in_pipe = wordy.guardhooks("status").stdout.splitlines()
        assert max(map(len, in_pipe)) > WIDTH
        [row] = [line for line in in_pipe if line.startswith("app ")]
        assert str(wordy.log) in row


def test_an_error_fits_a_narrow_terminal(site: Site) -> None:
    lines = on_terminal("status", "-c", str(site.config), "--state", "/nonexistent")
    assert lines[0].startswith("guardhooks: error: no guardhooks daemon answers at")
    assert too_long(lines) == []


def test_too_wide_a_table_wraps_its_widest_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "terminal_width", lambda: 40)
    assert layout.table(
        [["Jail", "Bans", "Source"], ["sshd", "12", "/var/log/some/where/auth.log (polling)"]], right=[1]
    ) == [
        "Jail  Bans  Source",
        "sshd    12  /var/log/some/where/auth.log\n            (polling)",
    ]


@given(st.text(alphabet="ab /,", max_size=200), st.integers(8, 60))
def test_no_word_is_lost_when_a_text_is_wrapped(text: str, width: int) -> None:
    lines = list(layout.wrapped(text, width))
    assert " ".join(lines).split() == text.split()
    assert all(len(line) <= width or len(line.split()) < 2 for line in lines)


def test_colours_stay_around_their_words() -> None:
    painted = click.style("catching up", fg="red")
    lines = list(layout.wrapped(f"one two three four ({painted}) five", 20))
    assert f"({painted})" in "\n".join(lines)
    assert all(len(click.unstyle(line)) <= 20 for line in lines)
    assert re.sub(r"\s+", " ", click.unstyle(" ".join(lines))) == "one two three four (catching up) five"
