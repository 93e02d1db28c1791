"""What a jail gets to read: every line once, whatever happens to the file."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pytest

from guardhooks import ConfigError, Jail, LogSource, Position, SourceSpec, StartAt
from guardhooks_core.sources.tail import log_source
from guardhooks_core.sources.tail.watch import Listener

if TYPE_CHECKING:
    from tests.core.sources.tail.conftest import Tail

TailType: TypeAlias = "type[Tail]"


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def copytruncate(path: Path, copy: Path) -> None:
    copy.write_bytes(path.read_bytes())
    os.truncate(path, 0)


# --- which specs, which key ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kind", "mine"),
    [("/var/log/*.log", "file", True), ("kafka://x/y", "file", False), ("_SYSTEMD_UNIT=x", "journal", False)],
)
def test_claims_paths_and_globs_only(text: str, kind: str, mine: bool) -> None:
    assert (log_source(Jail("sshd"), SourceSpec(text, kind)) is not None) == mine


@pytest.mark.parametrize("spec", [SourceSpec("  "), SourceSpec("/x\0y"), SourceSpec("/x", start="middle")])
def test_refuses_what_cannot_be_right(spec: SourceSpec) -> None:
    with pytest.raises(ConfigError, match=r"\[sshd\] logpath"):
        log_source(Jail("sshd"), spec)


def test_jails_share_a_source_if_path_start_and_polling_are_equal() -> None:
    def key(text: str, **more: str) -> str:
        source = log_source(Jail("sshd"), SourceSpec(text, **more))
        assert source is not None
        return source.key

    assert key("/var//log/./auth.log", backend="pyinotify") == key("/var/log/auth.log", start="HEAD")
    different = {key("/x"), key("/x", start="tail"), key("/x", backend="polling"), key("/y")}
    assert len(different) == 4


def test_a_jail_may_set_how_much_of_a_line_is_matched() -> None:
    def source(limit: str) -> LogSource | None:
        return log_source(Jail("sshd", options={"tail.linelimit": limit}), SourceSpec("/x"))

    usual, longer = source("65536"), source("100000")
    assert usual is not None
    assert longer is not None
    assert usual.key != longer.key
    assert usual.key == log_source(Jail("sshd"), SourceSpec("/x")).key  # type: ignore[union-attr]
    nearest = source("1"), source("1024")
    assert nearest[0] is not None
    assert nearest[1] is not None
    assert nearest[0].key == nearest[1].key
    for wrong in ("many", "64k", ""):
        with pytest.raises(ConfigError, match=r"\[sshd\] tail.linelimit: .* from 1024 to 1048576 \(bytes\)"):
            source(wrong)


async def test_of_a_longer_line_the_head_is_read(log: Path) -> None:
    source = log_source(Jail("sshd", options={"tail.linelimit": "1024"}), SourceSpec(str(log)))
    assert source is not None
    log.write_bytes(b"x" * 5000 + b"\n")
    chunks = source.chunks(StartAt({}, 0.0, lambda line: None))
    first = await anext(chunks)
    await source.close()
    await chunks.aclose()  # type: ignore[attr-defined]
    head, end = first.data.split(b"\n")
    assert 1023 <= len(head) <= 1024
    assert end == b""


# --- files that come and go ------------------------------------------------------------------------------------------


async def test_lines_that_were_there_are_not_live_and_later_ones_are(tail: TailType, log: Path) -> None:
    log.write_bytes(b"one\n")
    async with tail(log) as reader:
        await reader.has(b"one\n")
        await reader.until(lambda: reader.source.status().state == "reading")
        append(log, b"two\n")
        await reader.has(b"one\ntwo\n")
    assert [chunk.live for chunk in reader.chunks] == [False, True]
    assert {chunk.origin for chunk in reader.chunks} == {str(log)}
    assert {chunk.received for chunk in reader.chunks} == {1000.0}


async def test_a_missing_file_is_waited_for_even_with_its_directories(tail: TailType, tmp_path: Path) -> None:
    log = tmp_path / "a" / "b" / "auth.log"
    async with tail(log, sweep=60.0) as reader:
        assert reader.source.status().state == "waiting"
        log.parent.mkdir(parents=True)
        append(log, b"one\n")
        await reader.has(b"one\n")
        assert reader.source.status().state == "reading"
    assert reader.chunks[0].live


async def test_a_glob_takes_files_and_directories_that_appear_later(tail: TailType, tmp_path: Path) -> None:
    (tmp_path / "web1").mkdir()
    append(tmp_path / "web1" / "access.log", b"1\n")
    async with tail(tmp_path / "web*" / "*.log", sweep=60.0) as reader:
        await reader.has(b"1\n")
        append(tmp_path / "web1" / "error.log", b"2\n")
        await reader.until(lambda: len(reader.data) == 2)
        (tmp_path / "web2").mkdir()
        append(tmp_path / "web2" / "access.log", b"3\n")
        append(tmp_path / "web2" / ".hidden.log", b"no\n")
        await reader.until(lambda: len(reader.data) == 3)
    assert sorted(reader.data.values()) == [b"1\n", b"2\n", b"3\n"]


async def test_a_glob_that_names_rotated_files_too_reads_no_line_twice(
    tail: TailType, log: Path, tmp_path: Path
) -> None:
    append(log, b"one\n")
    append(tmp_path / "auth.log.2.gz", b"\x1f\x8b\n")
    async with tail(f"{log}*") as reader:
        await reader.has(b"one\n")
        log.rename(tmp_path / "auth.log.1")
        append(tmp_path / "auth.log.1", b"two\n")
        append(log, b"three\n")
        await reader.has(b"one\ntwo\nthree\n")
    assert list(reader.data) == [str(log)]


async def test_a_file_renamed_within_a_glob_continues_under_its_new_name(tail: TailType, tmp_path: Path) -> None:
    append(tmp_path / "a.log", b"one\n")
    async with tail(tmp_path / "*.log") as reader:
        await reader.has(b"one\n")
        (tmp_path / "a.log").rename(tmp_path / "b.log")
        append(tmp_path / "b.log", b"two\n")
        await reader.has(b"one\ntwo\n")
    append(tmp_path / "b.log", b"three\n")
    async with reader:
        await reader.has(b"one\ntwo\nthree\n")


async def test_two_names_of_one_file_are_read_once(tail: TailType, tmp_path: Path) -> None:
    append(tmp_path / "a.log", b"one\n")
    (tmp_path / "current.log").symlink_to("a.log")
    async with tail(tmp_path / "*.log") as reader:
        await reader.has(b"one\n")
        append(tmp_path / "a.log", b"two\n")
        await reader.has(b"one\ntwo\n")


async def test_files_take_turns(tail: TailType, tmp_path: Path) -> None:
    for name in ("a.log", "b.log"):
        append(tmp_path / name, (name.encode() + b" " + b"x" * 93 + b"\n") * 30_000)
    async with tail(tmp_path / "*.log") as reader:
        await reader.until(lambda: sum(map(len, reader.data.values())) == 2 * 30_000 * 100)
    origins = [Path(chunk.origin).name for chunk in reader.chunks]
    assert origins[:4] == ["a.log", "b.log", "a.log", "b.log"]
    assert all(len(chunk.data) <= 1 << 20 and chunk.data.endswith(b"\n") for chunk in reader.chunks)


# --- symbolic links --------------------------------------------------------------------------------------------------


async def test_a_link_into_another_directory_is_followed_and_may_change_its_target(
    tail: TailType, log: Path, tmp_path: Path
) -> None:
    for name in ("day1", "day2"):
        (tmp_path / name).mkdir()
    append(tmp_path / "day1" / "app.log", b"one\n")
    log.symlink_to("day1/app.log")
    async with tail(log, sweep=60.0) as reader:
        await reader.has(b"one\n")
        append(tmp_path / "day1" / "app.log", b"two\n")
        await reader.has(b"one\ntwo\n")
        append(tmp_path / "day1" / "app.log", b"three\n")
        append(tmp_path / "day2" / "app.log", b"four\n")
        (tmp_path / "new").symlink_to("day2/app.log")
        (tmp_path / "new").rename(log)
        await reader.has(b"one\ntwo\nthree\nfour\n")
        append(tmp_path / "day2" / "app.log", b"five\n")
        await reader.has(b"one\ntwo\nthree\nfour\nfive\n")


async def test_a_linked_directory_may_change_its_target(tail: TailType, tmp_path: Path) -> None:
    for name in ("v1", "v2"):
        (tmp_path / name).mkdir()
        append(tmp_path / name / "app.log", name.encode() + b"\n")
    (tmp_path / "current").symlink_to("v1")
    async with tail(tmp_path / "current" / "app.log", sweep=60.0) as reader:
        await reader.has(b"v1\n")
        (tmp_path / "new").symlink_to("v2")
        (tmp_path / "new").rename(tmp_path / "current")
        await reader.has(b"v1\nv2\n")


async def test_a_dangling_link_waits_for_its_target(tail: TailType, log: Path, tmp_path: Path) -> None:
    log.symlink_to("elsewhere/app.log")
    async with tail(log, sweep=60.0) as reader:
        assert reader.source.status().state == "waiting"
        (tmp_path / "elsewhere").mkdir()
        append(tmp_path / "elsewhere" / "app.log", b"one\n")
        await reader.has(b"one\n")


# --- rotation --------------------------------------------------------------------------------------------------------


async def test_a_renamed_file_is_read_to_its_end_and_on_for_a_while(tail: TailType, log: Path, tmp_path: Path) -> None:
    append(log, b"one\n")
    old = tmp_path / "auth.log.1"
    async with tail(log) as reader:
        await reader.has(b"one\n")
        append(log, b"two\n")
        log.rename(old)
        append(log, b"three\n")
        await reader.has(b"one\ntwo\nthree\n")
        append(old, b"late\n")
        await reader.has(b"one\ntwo\nthree\nlate\n")
        old.unlink()  # as gzip does
        append(log, b"four\n")
        await reader.has(b"one\ntwo\nthree\nlate\nfour\n")


async def test_a_rotated_file_is_closed_after_its_grace_time(tail: TailType, log: Path, tmp_path: Path) -> None:
    append(log, b"one\n")
    async with tail(log, grace=60.0) as reader:
        await reader.has(b"one\n")
        log.rename(tmp_path / "auth.log.1")
        log.touch()
        reader.clock.now += 30
        append(tmp_path / "auth.log.1", b"two\n")
        await reader.has(b"one\ntwo\n")
        reader.clock.now += 61
        inode = (tmp_path / "auth.log.1").stat().st_ino
        await reader.until(lambda: inode not in _open_inodes())


def _open_inodes() -> set[int]:
    return {link.stat().st_ino for link in Path("/proc/self/fd").iterdir() if link.exists()}


async def test_two_rotations_at_once_lose_nothing(tail: TailType, log: Path, tmp_path: Path) -> None:
    append(log, b"one\n")
    async with tail(log) as reader:
        await reader.has(b"one\n")
        log.rename(tmp_path / "auth.log.3")
        for number, line in ((2, b"two\n"), (1, b"three\n")):
            append(tmp_path / "new", line)
            os.utime(tmp_path / "new", ns=(0, (tmp_path / "auth.log.3").stat().st_mtime_ns + 10**9 * (5 - number)))
            (tmp_path / "new").rename(tmp_path / f"auth.log.{number}")
        append(log, b"four\n")
        await reader.has(b"one\ntwo\nthree\nfour\n")


async def test_copytruncate_loses_nothing_that_the_copy_holds(tail: TailType, log: Path, tmp_path: Path) -> None:
    append(log, b"one\n")
    async with tail(log) as reader:
        await reader.has(b"one\n")
        append(log, b"two\n")
        copytruncate(log, tmp_path / "auth.log.1")
        append(log, b"three\n")
        await reader.has(b"one\ntwo\nthree\n")


async def test_a_file_refilled_beyond_its_old_size_is_read_from_its_start(tail: TailType, log: Path) -> None:
    log.write_bytes(b"one\n")
    async with tail(log) as reader:
        await reader.has(b"one\n")
        with log.open("r+b") as file:  # in one write: the size never shrinks
            file.write(b"another line\n")
        await reader.has(b"one\nanother line\n")


async def test_a_hole_left_by_a_writer_that_does_not_append_is_skipped(
    tail: TailType, log: Path, tmp_path: Path
) -> None:
    with log.open("wb") as writer:
        writer.write(b"x" * 99 + b"\n")
        writer.flush()
        async with tail(log) as reader:
            await reader.has(b"x" * 99 + b"\n")
            copytruncate(log, tmp_path / "auth.log.1")
            writer.write(b"two\n")
            writer.flush()
            await reader.has(b"x" * 99 + b"\ntwo\n")


@pytest.mark.parametrize("pause", [False, True])
async def test_a_deleted_file_is_read_to_its_end_before_the_next_one(tail: TailType, log: Path, pause: bool) -> None:
    append(log, b"one\n")
    async with tail(log) as reader:
        await reader.has(b"one\n")
        append(log, b"two\nunfinished")
        log.unlink()
        if pause:
            await reader.has(b"one\ntwo\n")
        append(log, b"three\n")
        await reader.has(b"one\ntwo\nunfinished\nthree\n")


async def test_the_unterminated_end_of_a_deleted_file_comes_when_its_grace_is_over(tail: TailType, log: Path) -> None:
    append(log, b"one\nunfinished")
    async with tail(log) as reader:
        await reader.has(b"one\n")
        log.unlink()
        reader.clock.now += 1
        await reader.until(lambda: "is gone" in reader.source.status().detail)
        reader.clock.now += 61
        await reader.has(b"one\nunfinished\n")
        await reader.until(lambda: reader.source.status().state == "waiting")


# --- lines -----------------------------------------------------------------------------------------------------------


async def test_a_partial_line_waits_for_its_newline(tail: TailType, log: Path) -> None:
    append(log, b"one\ntw")
    async with tail(log) as reader:
        await reader.has(b"one\n")
        append(log, b"o\n")
        await reader.has(b"one\ntwo\n")


async def test_bytes_pass_untouched(tail: TailType, log: Path) -> None:
    data = b"\xff\xfe not UTF-8\r\n\0 a NUL\0\n\n \n"
    append(log, data)
    async with tail(log) as reader:
        await reader.has(data)


async def test_of_an_endless_line_only_the_head_comes(tail: TailType, log: Path) -> None:
    append(log, b"before\n" + b"x" * 5000)
    async with tail(log, line_limit=1000) as reader:
        await reader.has(b"before\n" + b"x" * 1000 + b"\n")
    append(log, b"y" * 3_000_000)
    async with reader:  # goes on inside the line
        append(log, b"z\nafter\n" + b"a" * 1000 + b"\n" + b"b" * 1001 + b"\nend\n")
        await reader.has(b"before\n" + b"x" * 1000 + b"\nafter\n" + b"a" * 1000 + b"\n" + b"b" * 1000 + b"\nend\n")


async def test_a_big_hole_costs_nothing(tail: TailType, log: Path) -> None:
    append(log, b"one\n")
    os.truncate(log, 1 << 40)
    append(log, b"two\n")
    async with tail(log) as reader:
        await reader.has(b"one\ntwo\n")


# --- start -----------------------------------------------------------------------------------------------------------


async def test_start_at_the_tail(tail: TailType, log: Path) -> None:
    append(log, b"old\nunfinished")
    async with tail(log, tail=True) as reader:
        append(log, b" line\nnew\n")
        await reader.has(b"unfinished line\nnew\n")
    assert all(chunk.live for chunk in reader.chunks)


async def test_catching_up_bisects_a_huge_file_on_its_dates(tail: TailType, log: Path) -> None:
    lines = b"".join(b"%d line\n" % second for second in range(100_000))
    with log.open("wb") as file:
        file.truncate(2 << 30)
        file.seek(2 << 30)
        file.write(b"\n" + lines)
    probes = []

    def time_of(line: bytes) -> float | None:
        probes.append(line)
        return float(line.split()[0]) if line[:1].isdigit() else None

    reader = tail(log)
    reader.since, reader.time_of = 99_000.0, time_of
    async with reader:
        await reader.until(lambda: reader.text.endswith(b"99999 line\n"))
    assert b"\n99000 line\n" in reader.text
    assert len(reader.text) < 64 << 10
    assert len(probes) < 100


# --- restart ---------------------------------------------------------------------------------------------------------


def _same(log: Path) -> None:
    append(log, b"two\n")


def _renamed(log: Path) -> None:
    append(log, b"two\n")
    log.rename(f"{log}.1")


def _renamed_and_new(log: Path) -> None:
    _renamed(log)
    append(log, b"three\n")


def _dated(log: Path) -> None:
    append(log, b"two\n")
    log.rename(f"{log}-20260131")
    append(log, b"three\n")


def _twice(log: Path) -> None:
    append(log, b"two\n")
    log.rename(f"{log}.2")
    append(log, b"three\n")
    newer = Path(f"{log}.2").stat().st_mtime_ns + 10**9
    os.utime(log, ns=(newer, newer))
    log.rename(f"{log}.1")
    append(log, b"four\n")


def _copied(log: Path) -> None:
    append(log, b"two\n")
    copytruncate(log, Path(f"{log}.1"))


def _copied_and_refilled(log: Path) -> None:
    _copied(log)
    append(log, b"three, more than there was before\n")


def _refilled_without_copy(log: Path) -> None:
    log.write_bytes(b"three, more than there was before\n")


def _compressed(log: Path) -> None:
    log.unlink()
    append(log, b"three\n")


def _restored(log: Path) -> None:
    data = log.read_bytes()
    log.rename(f"{log}.gone")
    log.write_bytes(data + b"two\n")
    Path(f"{log}.gone").unlink()


@pytest.mark.parametrize(
    ("change", "rest"),
    [
        (_same, b"two\n"),
        (_renamed, b"two\n"),
        (_renamed_and_new, b"two\nthree\n"),
        (_dated, b"two\nthree\n"),
        (_twice, b"two\nthree\nfour\n"),
        (_copied, b"two\n"),
        (_copied_and_refilled, b"two\nthree, more than there was before\n"),
        (_refilled_without_copy, b"three, more than there was before\n"),
        (_compressed, b"three\n"),
        (_restored, b"two\n"),
    ],
)
async def test_a_restart_continues_where_it_was(
    tail: TailType, log: Path, change: Callable[[Path], None], rest: bytes
) -> None:
    append(log, b"zero\none\n")
    async with tail(log) as reader:
        await reader.has(b"zero\none\n")
    change(log)
    async with reader:
        append(log, b"last\n")
        await reader.has(b"zero\none\n" + rest + b"last\n")


async def test_restart_while_a_rotated_file_is_still_written(tail: TailType, log: Path, tmp_path: Path) -> None:
    append(log, b"one\n")
    async with tail(log) as reader:
        await reader.has(b"one\n")
        log.rename(tmp_path / "auth.log.1")
        append(log, b"two\n")
        await reader.has(b"one\ntwo\n")
    append(tmp_path / "auth.log.1", b"late\n")
    append(log, b"three\n")
    async with reader:
        await reader.has(b"one\ntwo\nlate\nthree\n")


@pytest.mark.parametrize(
    "cursor",
    [
        "", "x", "[]", '{"v":2,"files":[]}', '{"v":1,"files":[]}', "[" * 100_000,
        '{"v":1,"files":[{"ino":1,"pos":-1,"head":[0,"e4a6a0577479b2b4"],"tail":[0,"e4a6a0577479b2b4"],"skip":false}]}',
        '{"v":1,"files":[{"ino":true,"pos":0,"head":[0,"0000000000000000"],"tail":[0,"0000000000000000"],"skip":0}]}',
    ],
)  # fmt: skip
async def test_a_damaged_cursor_is_no_cursor(
    tail: TailType, log: Path, cursor: str, caplog: pytest.LogCaptureFixture
) -> None:
    append(log, b"one\n")
    reader = tail(log)
    reader.positions[str(log)] = Position("", str(log), cursor)
    async with reader:
        await reader.has(b"one\n")
    assert "damaged" in caplog.text


# --- what cannot be read, and polling --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "kind"),
    [(os.mkfifo, "FIFO"), (Path.mkdir, "directory"), (lambda log: log.symlink_to(log), "symbolic links")],
)
async def test_what_is_no_file_is_refused_until_it_is_one(
    tail: TailType, log: Path, make: Callable[[Path], None], kind: str
) -> None:
    make(log)
    async with tail(log) as reader:
        await reader.until(lambda: reader.source.status().state == "failed")
        assert kind in reader.source.status().detail
        assert str(log) in reader.source.status().detail
        log.rename(f"{log}.wrong")
        append(log, b"one\n")
        await reader.has(b"one\n")
        assert reader.source.status().state == "reading"


class Deaf:
    """A watcher that hears nothing, like that of a network file system."""

    def watch(self, directory: str, listener: Listener) -> bool:
        return False

    def unwatch(self, directories: Iterable[str], listener: Listener) -> None:
        return None


class Full(Deaf):
    """A watcher at the kernel's limit."""

    def watch(self, directory: str, listener: Listener) -> bool:
        raise OSError(errno.ENOSPC, "inotify watch limit reached")


async def test_a_lost_event_costs_a_sweep_and_lost_events_lead_to_polling(
    tail: TailType, log: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log.touch()
    written = b""
    async with tail(log, Deaf(), sweep=0.05) as reader:
        while reader.source.status().state != "polling":
            written += b"line\n"
            append(log, b"line\n")
            await reader.has(written)
        assert "no events arrive" in reader.source.status().detail
    assert "no events arrive" in caplog.text


async def test_polls_at_the_limit_of_watches_and_says_so(
    tail: TailType, log: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log.touch()
    async with tail(log, Full(), sweep=60.0) as reader:
        assert reader.source.status().state == "polling"
        append(log, b"one\n")
        await reader.has(b"one\n")
    assert "max_user_watches" in caplog.text


async def test_polls_if_the_backend_asks_for_it(tail: TailType, log: Path) -> None:
    log.touch()
    async with tail(log, polling=True, sweep=60.0) as reader:
        assert reader.source.status().state == "polling"
        append(log, b"one\n")
        log.rename(f"{log}.1")
        append(log, b"two\n")
        await reader.has(b"one\ntwo\n")


# --- what is not there -----------------------------------------------------------------------------------------------


def _dangling(log: Path) -> str:
    log.symlink_to("elsewhere")
    return str(log)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (_dangling, "it is a link to elsewhere, which does not exist"),
        (lambda log: f"{log.parent}/none/auth.log", "there is no folder"),
        (lambda log: f"{log}\\", "check logpath"),
        (lambda log: append(log, b"") or str(log).replace("auth", "auht"), "did you mean"),
    ],
)
async def test_a_source_that_waits_says_what_is_likely_to_be_wrong(
    tail: TailType, log: Path, make: Callable[[Path], str], says: str
) -> None:
    async with tail(make(log)) as reader:
        status = reader.source.status()
        assert status.state == "waiting"
        assert says in status.detail


@pytest.mark.parametrize("text", ["exec:/bin/date", "tcp:514"])
def test_what_no_plugin_reads_is_an_error_and_no_file_that_is_waited_for(text: str) -> None:
    with pytest.raises(ConfigError, match="no plugin reads"):
        log_source(Jail("j"), SourceSpec(text))
