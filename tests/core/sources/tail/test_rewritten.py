"""Whatever is done to a log, no line is read twice, and what is new is read."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.core.sources.tail.conftest import Tail

START = 1_700_000_000
COUNT = 300


def line(number: int, text: str = "") -> bytes:
    """One line a second, longer than a name of a file and shorter than a screen."""
    return f"{START + number} host app[42]: bad password for user{number} from 192.0.2.{number % 256}{text}\n".encode()


def time_of(text: bytes) -> float | None:
    date = text[:10]
    return float(date) if date.isdigit() else None


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def replace(path: Path, content: bytes) -> None:
    """Write a new file and rename it over the old one."""
    fresh = path.with_name("fresh")
    fresh.write_bytes(content)
    fresh.rename(path)


def sed(script: str) -> Callable[[Path], None]:
    return lambda path: subprocess.run(["sed", "-i", script, path], check=True) and None


def copied(path: Path) -> None:
    shutil.copy(path, path.with_name("x"))
    path.with_name("x").rename(path)


def there_and_back(path: Path) -> None:
    path.rename(path.with_name("y"))
    path.with_name("y").rename(path)


def last_lines(path: Path) -> None:
    replace(path, b"".join(lines(path)[-50:]))


def last_lines_in_place(path: Path) -> None:
    path.write_bytes(b"".join(lines(path)[-50:]))


def cut_in_place(path: Path) -> None:
    """Without truncating: the file is overwritten from its start, then cut."""
    kept = b"".join(lines(path)[100:])
    with path.open("r+b") as file:
        file.write(kept)
        file.truncate()


def restored(path: Path) -> None:
    """A backup that lacks the last lines."""
    replace(path, b"".join(lines(path)[:-20]))


def restored_in_place(path: Path) -> None:
    path.write_bytes(b"".join(lines(path)[:-20]))


def deleted_and_restored(path: Path) -> None:
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)


def with_backup(path: Path) -> None:
    subprocess.run(["sed", "-i.bak", "s/bad/wrong/", path], check=True)


def piecewise(path: Path) -> None:
    """A program that rewrites its log line by line."""
    kept = lines(path)[100:]
    with path.open("wb", buffering=0) as file:
        for each in kept:
            file.write(each)


DATED = [
    sed(""), sed("s/bad/wrong/"), sed("$d"), sed("1,100d"), sed("/user299/d"), copied, there_and_back, last_lines,
    last_lines_in_place, cut_in_place, restored, restored_in_place, deleted_and_restored, with_backup, piecewise,
]  # fmt: skip
NAMES = [
    "sed", "sed-all", "sed-last", "sed-first", "sed-one", "cp-mv", "mv-mv", "tail", "tail-in-place", "cut-in-place",
    "backup", "backup-in-place", "deleted-restored", "sed-backup", "piecewise",
]  # fmt: skip


@pytest.mark.parametrize("rewrite", DATED, ids=NAMES)
async def test_no_line_is_read_twice_and_the_next_one_is_read(
    tail: type[Tail], log: Path, rewrite: Callable[[Path], None]
) -> None:
    written = b"".join(map(line, range(COUNT)))
    log.write_bytes(written)
    reader = tail(log)
    reader.time_of = time_of
    async with reader:
        await reader.has(written)
        for turn in range(2):
            rewrite(log)
            new = line(COUNT + 10 * turn, " new")
            with log.open("ab") as file:
                file.write(new)
            written += new
            await reader.has(written)


@pytest.mark.parametrize(
    "rewrite", [sed(""), sed("1,100d"), copied, there_and_back, last_lines, last_lines_in_place, cut_in_place]
)
async def test_nor_where_lines_have_no_date(tail: type[Tail], log: Path, rewrite: Callable[[Path], None]) -> None:
    written = b"".join(map(line, range(COUNT)))
    log.write_bytes(written)
    async with tail(log) as reader:
        await reader.has(written)
        rewrite(log)
        with log.open("ab") as file:
            file.write(b"new\n")
        await reader.has(written + b"new\n")


@pytest.mark.parametrize("rewrite", [sed(""), sed("1,100d"), copied, last_lines, last_lines_in_place, cut_in_place])
async def test_nor_while_the_daemon_is_down(tail: type[Tail], log: Path, rewrite: Callable[[Path], None]) -> None:
    written = b"".join(map(line, range(COUNT)))
    log.write_bytes(written)
    reader = tail(log)
    reader.time_of = time_of
    async with reader:
        await reader.has(written)
    rewrite(log)
    async with reader:
        with log.open("ab") as file:
            file.write(line(COUNT))
        await reader.has(written + line(COUNT))


async def test_what_comes_between_the_copy_and_its_renaming_is_read_once(tail: type[Tail], log: Path) -> None:
    written = b"".join(map(line, range(COUNT)))
    log.write_bytes(written)
    reader = tail(log)
    reader.time_of = time_of
    async with reader:
        await reader.has(written)
        with log.open("ab") as file:
            file.write(line(COUNT))
            file.flush()
            copied(log)
        with log.open("ab") as file:
            file.write(line(COUNT + 1))
        await reader.has(written + line(COUNT) + line(COUNT + 1))


async def test_a_copy_of_a_log_in_the_same_glob_is_no_news(tail: type[Tail], log: Path) -> None:
    written = b"".join(map(line, range(COUNT)))
    log.write_bytes(written)
    reader = tail(log.parent / "*.log")
    reader.time_of = time_of
    async with reader:
        await reader.has(written)
        shutil.copy(log, log.parent / "copy.log")
        with (log.parent / "copy.log").open("ab") as file:
            file.write(line(COUNT))
        await reader.has(written + line(COUNT))


async def test_a_new_log_is_read_whole_although_its_lines_are_a_second_old(tail: type[Tail], log: Path) -> None:
    written = b"".join(map(line, range(COUNT)))
    log.write_bytes(written)
    reader = tail(log)
    reader.time_of = time_of
    async with reader:
        await reader.has(written)
        log.rename(log.with_name("auth.log.1"))
        news = line(COUNT - 2, " a") + line(COUNT - 1, " b") + line(COUNT, " c")
        log.write_bytes(news)
        await reader.has(written + news)
        os.truncate(log, 0)
        with log.open("ab") as file:
            file.write(line(COUNT + 1))
        await reader.has(written + news + line(COUNT + 1))
