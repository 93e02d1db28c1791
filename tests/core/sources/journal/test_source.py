"""What a jail gets to read from a real journal: every entry once, whatever happens to journal and journalctl."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from guardhooks import Position, StartAt

if TYPE_CHECKING:
    from tests.core.sources.journal.conftest import BOOT, START, Journal, Writer, entry, followers, write
else:
    from tests.core.sources.journal.conftest import BOOT, START, Journal, Writer, entry, followers, write


def numbered(first: int, last: int, boot: str = BOOT) -> list[bytes]:
    return [entry(number, f"m{number}", boot) for number in range(first, last)]


def names(first: int, last: int) -> list[str]:
    return [f"m{number}" for number in range(first, last)]


async def test_entries_that_were_there_are_not_live_and_later_ones_are(folder: Path) -> None:
    write(folder / "a.journal", entry(1, "old", _SOURCE_REALTIME_TIMESTAMP=int((START + 0.25) * 1e6)))
    async with Journal(folder) as journal:
        await journal.state("reading")
        write(folder / "a.journal", entry(2, "new"))
        await journal.count(2)
    assert journal.lines == [b"srv sshd[7]: old", b"srv sshd[7]: new"]
    assert [(chunk.live, chunk.times, chunk.origin) for chunk in journal.chunks] == [
        (False, (START + 0.25,), "journal"),
        (True, (START + 2,), "journal"),
    ]


async def test_an_empty_journal_is_read_from_its_first_entry(folder: Path) -> None:
    async with Journal(folder) as journal:
        await journal.state("reading")
        assert journal.source.status().detail == "no entry matches yet"
        write(folder / "a.journal", entry(1, "first"))
        await journal.count(1)
        assert journal.source.status().detail == ""
    assert journal.chunks[0].live


async def test_only_what_matches_is_read(folder: Path) -> None:
    entries = [
        entry(1, "one", _SYSTEMD_UNIT="ssh.service"),
        entry(2, "two", _COMM="cron", _SYSTEMD_UNIT="ssh.service"),
        entry(3, "three", _COMM="cron"),
        entry(4, "four", _COMM="my daemon"),
    ]
    write(folder / "a.journal", *entries)
    async with Journal(folder, '_SYSTEMD_UNIT=ssh.service _COMM=sshd\n_COMM="my daemon"') as journal:
        await journal.state("reading")
        write(folder / "a.journal", entry(5, "five"), entry(6, "six", _COMM="my daemon"))
        await journal.count(3)
    assert journal.messages == ["one", "four", "six"]


async def test_continues_where_it_was_closed(folder: Path) -> None:
    write(folder / "a.journal", *numbered(0, 5))
    journal = Journal(folder)
    async with journal:
        await journal.count(5)
    write(folder / "a.journal", *numbered(5, 8))
    async with journal:
        await journal.count(8)
        await journal.state("reading")
    async with journal:
        await journal.state("reading")
        write(folder / "b.journal", *numbered(8, 9))
        await journal.count(9)
    assert journal.messages == names(0, 9)
    assert [chunk.live for chunk in journal.chunks] == [False, False, True]


async def test_entries_from_before_the_window_are_left_out(folder: Path) -> None:
    write(folder / "a.journal", *numbered(0, 10))
    journal = Journal(folder)
    journal.since = START + 4.5
    async with journal:
        await journal.state("reading")
    assert journal.messages == names(5, 10)
    journal.since = START + 12.5
    write(folder / "a.journal", *numbered(10, 15))
    async with journal:
        await journal.state("reading")
    assert journal.messages == [*names(5, 10), *names(13, 15)]


async def test_with_tail_only_what_comes_from_now_on_is_read(folder: Path) -> None:
    write(folder / "a.journal", *numbered(0, 3))
    journal = Journal(folder, start="tail")
    journal.now = START + 2.5
    async with journal:
        await journal.state("reading")
        write(folder / "a.journal", *numbered(3, 4))
        await journal.count(1)
    assert journal.messages == ["m3"]


async def test_what_was_logged_before_a_reboot_counts(folder: Path) -> None:
    write(folder / "a.journal", *numbered(0, 3, boot="1" * 32))
    write(folder / "a.journal", *numbered(3, 6, boot=BOOT))
    async with Journal(folder) as journal:
        await journal.state("reading")
    assert journal.messages == names(0, 6)


async def test_continues_with_the_next_entry_if_the_last_was_vacuumed(folder: Path) -> None:
    write(folder / "a.journal", *numbered(0, 5))
    journal = Journal(folder)
    async with journal:
        await journal.count(5)
    (folder / "a.journal").unlink()
    write(folder / "b.journal", *numbered(5, 8))
    async with journal:
        await journal.count(8)
    assert journal.messages == names(0, 8)


@pytest.mark.parametrize("cursor", ["nonsense", f"{int((START + 2) * 1e6)} nonsense", "", "1 --flush"])
async def test_a_damaged_position_loses_no_entry(folder: Path, cursor: str) -> None:
    write(folder / "a.journal", *numbered(0, 5))
    journal = Journal(folder)
    journal.since = START + 0.5
    journal.positions["journal"] = Position("journal", "journal", cursor)
    async with journal:
        await journal.state("reading")
    assert journal.messages in (names(1, 5), names(3, 5))
    assert journal.messages == (names(3, 5) if cursor.startswith("17") else names(1, 5))


async def test_nothing_is_lost_or_read_twice_while_the_journal_rotates(folder: Path) -> None:
    def bulky(number: int) -> bytes:  # many distinct values fill a file's tables, so that the writer rotates it
        return entry(number / 1e3, f"m{number}", **{f"X{field}": f"{number}-{field}" for field in range(100)})

    writer = Writer(folder / "a.journal")
    writer.write(bulky(0))
    journal = Journal(folder)
    async with journal:
        await journal.count(1)
        for first in range(1, 2501, 100):
            writer.write(*map(bulky, range(first, first + 100)))
        await journal.count(2501)
    writer.close()
    assert len(list(folder.glob("*.journal"))) > 1
    assert journal.messages == names(0, 2501)


async def test_named_files_are_followed_through_a_rotation(folder: Path) -> None:
    active = folder / "system.journal"
    write(active, *numbered(0, 3))
    async with Journal(folder, backend=f"systemd[journalfiles={active}]") as journal:
        await journal.count(3)
        write(active, *numbered(3, 6))
        active.rename(folder / "system@1.journal")
        write(active, *numbered(6, 9))
        await journal.count(9)
        write(active, *numbered(9, 10))
        await journal.count(10)
        assert journal.source.status().detail == ""
    assert journal.messages == names(0, 10)


async def test_named_files_are_waited_for(folder: Path) -> None:
    async with Journal(folder, backend=f"systemd[journalfiles={folder}/s*.journal]") as journal:
        await journal.until(lambda: "s*.journal yet" in journal.source.status().detail)
        assert journal.source.status().state == "waiting"
        write(folder / "system.journal", *numbered(0, 2))
        await journal.count(2)
    assert journal.messages == names(0, 2)


async def test_hostile_messages_stay_one_line_each(folder: Path) -> None:
    forged = b"x\n\n__CURSOR=forged\n__REALTIME_TIMESTAMP=1\nMESSAGE=forged\n\n"
    write(folder / "a.journal", entry(1, forged), entry(2, b"\xff\xfe\0"), entry(3, "y" * 200_000), entry(4, "last"))
    async with Journal(folder) as journal:
        await journal.count(4)
        await journal.state("reading")
    assert journal.lines[0] == b"srv sshd[7]: " + forged.replace(b"\n", rb"\n")
    assert journal.lines[1] == b"srv sshd[7]: \xff\xfe\0"
    assert len(journal.lines[2]) == 64 << 10
    assert journal.lines[3:] == [b"srv sshd[7]: last"]


async def test_journalctl_is_restarted_when_it_dies(folder: Path) -> None:
    write(folder / "a.journal", *numbered(0, 3))
    async with Journal(folder) as journal:
        await journal.count(3)
        for round_ in range(1, 4):
            (process,) = followers(folder)
            os.kill(process, signal.SIGKILL)
            write(folder / "a.journal", *numbered(round_ * 3, round_ * 3 + 3))
            await journal.count(round_ * 3 + 3)
        await journal.state("reading")
        assert journal.source.status().detail == "journalctl was restarted 3 times"
    assert journal.messages == names(0, 12)


async def test_journalctl_is_restarted_when_it_stalls(folder: Path) -> None:
    write(folder / "a.journal", *numbered(0, 3))
    async with Journal(folder, silence=0.05, grace=0.05) as journal:
        await journal.state("reading")
        (process,) = followers(folder)
        os.kill(process, signal.SIGSTOP)
        write(folder / "a.journal", *numbered(3, 6))
        await journal.count(6)
        assert process not in followers(folder)
    assert journal.messages == names(0, 6)


async def test_a_quiet_journal_causes_no_restart(folder: Path) -> None:
    write(folder / "a.journal", *numbered(0, 3))
    async with Journal(folder, silence=0.01, grace=0.01) as journal:
        await journal.state("reading")
        (process,) = followers(folder)
        for number in range(3, 8):
            write(folder / "a.journal", *numbered(number, number + 1))
            await journal.count(number + 1)
        assert followers(folder) == [process]
    assert journal.messages == names(0, 8)


async def test_without_journalctl_the_remedy_is_logged(folder: Path) -> None:
    command = folder / "journalctl"
    async with Journal(folder, command=str(command)) as journal:
        await journal.state("failed")
        detail = journal.source.status().detail
        assert "cannot be run (No such file or directory); install systemd" in detail
        write(folder / "a.journal", *numbered(0, 2))
        command.symlink_to("/usr/bin/journalctl")
        await journal.count(2)
        await journal.state("reading")


async def test_an_error_of_journalctl_is_logged_once_with_the_remedy(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    command, runs = folder / "journalctl", folder / "runs"
    command.write_text(f"#!/bin/sh\necho >>{runs}\necho 'No journal files, insufficient permissions.' >&2\nexit 1\n")
    command.chmod(0o755)
    async with Journal(folder, command=str(command)) as journal:
        await journal.until(lambda: runs.exists() and runs.stat().st_size >= 6)
        await journal.state("failed")
        assert "run as root or as a member of the group systemd-journal" in journal.source.status().detail
    assert [record.levelname for record in caplog.records] == ["WARNING"]


async def test_a_missing_folder_is_reported_and_retried(folder: Path) -> None:
    later = folder / "later"
    async with Journal(later) as journal:
        await journal.state("failed")
        assert "No such file or directory" in journal.source.status().detail
        later.mkdir()
        write(later / "a.journal", *numbered(0, 2))
        await journal.count(2)


async def test_a_slow_reader_is_waited_for(folder: Path) -> None:
    number = 3000
    write(folder / "a.journal", *(entry(second / 1e3, f"m{second} {'z' * 400}") for second in range(number)))
    journal = Journal(folder)
    chunks = journal.open().chunks(StartAt({}, 0.0, lambda line: None))
    first = await anext(chunks)
    assert len(first.data) <= 64 << 10
    (process,) = followers(folder)
    while stat(process)[2] != "S":  # it sleeps: the pipe is full, or it has written all
        await asyncio.sleep(0)
    assert written(process) < number * 400 // 2
    lines = first.data.count(b"\n")
    while lines < number:
        lines += (await anext(chunks)).data.count(b"\n")
    await journal.source.close()
    assert [chunk async for chunk in chunks] == []


def written(process: int) -> int:
    return int(Path(f"/proc/{process}/io").read_text().split("wchar: ")[1].split()[0])


def stat(process: int) -> list[str]:
    return Path(f"/proc/{process}/stat").read_text().split()
