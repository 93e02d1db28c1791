"""A glob that somebody fills leaves room for others, keeps what it reads, and says so."""

from __future__ import annotations

from pathlib import Path

from guardhooks_core.sources.tail.open_files import OpenFiles
from tests.core.sources.tail.conftest import Tail


def test_what_is_known_stays_and_the_rest_comes_by_name() -> None:
    files = OpenFiles()
    assert files.choose(Tail("/nowhere"), ["a", "b", "c", "d"], ["d"], most=2) == ["a", "d"]


def test_nobody_goes_without_any_file() -> None:
    files = OpenFiles()
    readers = [Tail(f"/nowhere/{number}") for number in range(1000)]
    for reader in readers:
        files.choose(reader, [f"{number}" for number in range(1000)], [], most=1000)
    assert files.choose(readers[0], ["a", "b"], [], most=1000) != []


async def test_a_glob_with_too_many_files_is_read_in_part_and_says_so(tmp_path: Path) -> None:
    for number in range(9):
        (tmp_path / f"{number}.log").write_text(f"from {number}\n")
    async with Tail(tmp_path / "*.log", most_files=5) as tail:
        await tail.until(lambda: len(tail.data) == 5)
        status = tail.source.status()
        assert status.state == "failed"
        assert "9 files match and only 5 are read" in status.detail
        (tmp_path / "0a.log").write_text("from a file that comes later\n")
        with (tmp_path / "3.log").open("a") as log:
            log.write("more\n")
        await tail.until(lambda: b"more\n" in tail.text)
        assert sorted(tail.data) == [str(tmp_path / f"{number}.log") for number in range(5)]
        for number in range(3, 9):
            (tmp_path / f"{number}.log").unlink()
        await tail.until(lambda: b"from a file that comes later\n" in tail.text)
        await tail.until(lambda: tail.source.status().state == "reading")
