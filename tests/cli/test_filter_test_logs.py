"""Where `guardhooks test` takes its lines from, what it says meanwhile, and what is left when it is interrupted."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import importlib
import json
import lzma
import os
import pty
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from guardhooks.cli.test.log import Extent
from guardhooks.cli.test.progress import Progress
from tests.cli.running import Site

HIT = "2026-11-22 16:05:00 login of bob failed from 192.0.2.{}\n"


def packed_by_zstandard(data: bytes) -> bytes:
    try:
        library = importlib.import_module("compression.zstd")
    except ModuleNotFoundError:
        library = importlib.import_module("zstandard")
    return bytes(library.compress(data))


@pytest.mark.parametrize(
    ("suffix", "pack"),
    [
        ("", bytes),
        (".gz", gzip.compress),
        (".bz2", bz2.compress),
        (".xz", lzma.compress),
        (".zst", packed_by_zstandard),
        (".1", gzip.compress),
    ],
)
def test_a_log_is_read_however_it_is_packed_and_called(
    site: Site, tmp_path: Path, suffix: str, pack: Callable[[bytes], bytes]
) -> None:
    log = tmp_path / f"app.log{suffix}"
    log.write_bytes(pack(HIT.format(1).encode() * 3))

    result = site.guardhooks("test", str(log), "app")

    assert "3 lines: 3 matched" in result.stdout, result.stderr


def test_a_container_s_log_is_read_as_the_container_wrote_it(site: Site, tmp_path: Path) -> None:
    entry = {"log": HIT.format(1), "stream": "stdout", "time": "2026-11-22T16:05:00.123456789Z"}
    log = tmp_path / "0123-json.log"
    log.write_text((json.dumps(entry, separators=(",", ":")) + "\n") * 3)

    result = site.guardhooks("test", str(log), "app")

    assert "3 lines: 3 matched" in result.stdout, result.stderr


def test_several_logs_are_read_as_one_the_oldest_first(site: Site, tmp_path: Path) -> None:
    logs = [tmp_path / name for name in ("app.log", "app.log.1", "app.log.2.gz")]
    for number, log in enumerate(logs):
        text = HIT.format(number + 1).encode()
        log.write_bytes(gzip.compress(text) if log.suffix == ".gz" else text)
        os.utime(log, (1000 - number, 1000 - number))

    result = site.guardhooks("test", *map(str, logs), "app", "--json")

    found = [json.loads(line)["failures"][0]["id"] for line in result.stdout.splitlines()]
    assert found == ["192.0.2.3", "192.0.2.2", "192.0.2.1"]


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """A journal file with two failures of one unit and one of another."""
    remote = Path("/lib/systemd/systemd-journal-remote")
    if shutil.which("journalctl") is None or not remote.exists():
        pytest.skip("needs journalctl and systemd-journal-remote")
    path = tmp_path / "test.journal"
    entries = "".join(
        f"__REALTIME_TIMESTAMP={1_700_000_000_000_000 + number}\n__MONOTONIC_TIMESTAMP={number}\n"
        f"_BOOT_ID=0123456789abcdef0123456789abcdef\n_HOSTNAME=srv\n_PID=7\nSYSLOG_IDENTIFIER=app\n"
        f"_SYSTEMD_UNIT={unit}\nMESSAGE=no such user from 192.0.2.{number}\n\n"
        for number, unit in enumerate(["app.service", "app.service", "other.service"], 1)
    )
    subprocess.run([remote, "-o", path, "-"], input=entries.encode(), check=True, capture_output=True)
    return path


def test_the_journal_is_read_up_to_now_by_the_filters_own_match(site: Site, journal: Path) -> None:
    filter_ = site.config / "filter.d" / "unit.conf"
    filter_.write_text(
        "[Definition]\nfailregex = app\\[7\\]: no such user from <HOST>$\njournalmatch = _SYSTEMD_UNIT=app.service\n"
    )

    result = site.guardhooks("test", f"systemd-journal[journalfiles={journal}]", "unit", "--json")

    found = [json.loads(line)["failures"][0] for line in result.stdout.splitlines()]
    assert [(one["id"], one["time"]) for one in found] == [
        ("192.0.2.1", pytest.approx(1_700_000_000.000001)),
        ("192.0.2.2", pytest.approx(1_700_000_000.000002)),
    ]


def test_ctrl_c_reports_on_the_lines_until_then(site: Site) -> None:
    with subprocess.Popen(
        # What is started in the background ignores SIGINT, and its children inherit that.
        ["env", "--default-signal=INT", sys.executable, "-m", "guardhooks",
         "test", "-", "app", "--print-matched", *site.place()],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(HIT.format(1))
        process.stdin.flush()
        assert process.stdout.readline().startswith("matched 1 ")
        while process.poll() is None:  # an interrupt that meets Python's own clean-up is lost: press again
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
        rest = process.stdout.read()
        assert process.returncode == 130
    assert "Interrupted: this is about the lines until then." in rest
    assert "1 line: 1 matched" in rest


def test_progress_tells_share_speed_and_rest() -> None:
    now = 100.0
    progress = Progress(lambda: Extent(250, 1000), clock=lambda: now)
    now = 103.0
    progress.advance(6000)
    assert progress.text(now) == "25%  6,000 lines  2,000 lines/s  9s left"


def test_progress_does_not_guess_where_the_length_is_unknown() -> None:
    now = 100.0
    progress = Progress(None, clock=lambda: now)
    now = 102.0
    progress.advance(10)
    assert progress.text(now) == "10 lines  5 lines/s"


def test_a_long_run_shows_its_progress_on_a_terminal_only(site: Site) -> None:
    """The terminal is stderr; what is printed on stdout stays as it is."""
    program = (
        "import sys, guardhooks.cli.test.progress as p; p._PATIENCE = 0.0\n"
        "from guardhooks.cli import main; sys.argv[0] = 'guardhooks'; sys.exit(main())"
    )
    site.log.write_text(HIT.format(1) * 5000)
    command = [sys.executable, "-c", program, "test", str(site.log), "app", *site.place()]
    ours, theirs = pty.openpty()
    shown = subprocess.run(command, stdout=subprocess.PIPE, stderr=theirs, text=True, check=True).stdout
    os.close(theirs)
    assert b"lines/s" in os.read(ours, 65536)
    os.close(ours)
    silent = subprocess.run(command, capture_output=True, text=True, check=True)
    assert silent.stderr == ""
    assert "5,000 lines: 5,000 matched" in shown
    assert "5,000 lines: 5,000 matched" in silent.stdout
