"""Logs of container runtimes: a jail gets the lines as the container wrote them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from guardhooks import Chunk, Jail, LineMatcher, LogSource, SourceSpec, StartAt
from guardhooks_core.sources.tail import log_source
from guardhooks_core.sources.tail.containers import unwrap
from tests.config.corpora import NOW, matcher
from tests.core.sources.following import Following

STAMP = "2026-11-22T15:40:10.123456789Z"
GITEA = "2026/11/22 15:40:15 ...auth/auth.go:206:SignInPost() [W] Failed authentication attempt for bob from {}:0: x"
DROPBEAR = "Bad password attempt for 'root' from {}:60588"


def docker(text: str, **more: object) -> str:
    return json.dumps({"log": text + "\n", "stream": "stdout", **more, "time": STAMP}, separators=(",", ":"))


class ContainerLog(Following):
    """Reads one container log."""

    def __init__(self, path: Path, judge: LineMatcher, since: float = 0.0) -> None:
        super().__init__()
        source = log_source(Jail("x"), SourceSpec(str(path)))
        assert source is not None
        self.source: LogSource = source
        self.start = StartAt({}, since, judge.time_of)

    async def __aenter__(self) -> ContainerLog:
        self.follow(self.start)
        return self

    @property
    def lines(self) -> list[str]:
        return b"".join(chunk.data for chunk in self.chunks).decode().splitlines()


async def read(path: Path, lines: list[str], judge: LineMatcher) -> list[str]:
    path.write_text("".join(line + "\n" for line in lines))
    async with ContainerLog(path, judge) as following:
        await following.until(lambda: len(following.lines) >= len(lines))
        return following.lines


async def test_docker_s_wrapper_is_taken_off(tmp_path: Path) -> None:
    judge = matcher("gitea", {})
    lines = await read(tmp_path / "abc-json.log", [docker(GITEA.format("192.0.2.1")), docker("started")], judge)
    assert lines == [GITEA.format("192.0.2.1"), f"{STAMP} started"]
    data = b"".join(line.encode() + b"\n" for line in lines)
    assert [failure.id for failure in judge.feed(Chunk(data, "x", NOW))] == ["192.0.2.1"]


async def test_a_line_without_a_date_has_the_runtime_s(tmp_path: Path) -> None:
    judge = matcher("dropbear", {"mode": "normal", "logtype": "short"})
    lines = await read(tmp_path / "abc-json.log", [docker(DROPBEAR.format("192.0.2.1"))], judge)
    assert judge.time_of(lines[0].encode()) == pytest.approx(1795362010.123456)


async def test_kubernetes_wrapper_is_taken_off(tmp_path: Path) -> None:
    folder = tmp_path / "var" / "log" / "containers"
    folder.mkdir(parents=True)
    line = GITEA.format("2001:db8::5")
    assert await read(folder / "x.log", [f"{STAMP} stdout F {line}"], matcher("gitea", {})) == [line]


async def test_lines_in_other_logs_are_left_as_they_are(tmp_path: Path) -> None:
    line = docker("x")
    assert await read(tmp_path / "app.log", [line], matcher("gitea", {})) == [line]


@pytest.mark.parametrize(
    "line",
    [
        b'{"log":"no end',
        b'{"log":"x","level":"info"}',
        b'{"log":"x","stream":"stdout","time":5}',
        b'{"log":{"a":1},"stream":"stdout","time":"2026-11-22T15:40:15Z"}',
        b'{"log":"' + b"[" * 5000,
        b"\xff\xfe",
        b"",
    ],
)
def test_what_is_wrapped_otherwise_stays(line: bytes) -> None:
    assert unwrap(line) == (line, b"")


def test_a_container_cannot_begin_a_second_line() -> None:
    text, _ = unwrap(
        docker("a\nNov 22 15:40:15 host sshd[1]: Failed password for root from 192.0.2.66 port 1 ssh2").encode()
    )
    assert text.count(b"\n") == 0


def test_labels_and_odd_times_are_no_obstacle() -> None:
    assert unwrap(docker("x", attrs={"tag": "web"}).encode()) == (b"x", STAMP.encode())
    assert unwrap(b'{"log":"x","stream":"stdout","time":"yesterday"}') == (b"x", b"")
