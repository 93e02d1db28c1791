"""Lines out of one file, however it grows."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guardhooks_core.sources.tail.bisect_by_date import offset_since
from guardhooks_core.sources.tail.cursor import FileCursor, dump, load
from guardhooks_core.sources.tail.polling import remote_type
from guardhooks_core.sources.tail.reader import LineReader, open_regular

LIMIT = 8
_pieces = st.lists(st.text("a\n\r\xff", max_size=30).map(lambda text: text.encode("latin-1")), max_size=8)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=_pieces, reopen=st.booleans())
def test_lines_are_the_same_however_they_were_written_and_resumed(
    tmp_path: Path, pieces: list[bytes], reopen: bool
) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"")
    reader = LineReader(open_regular(str(path)), line_limit=LIMIT)
    got = b""
    for piece in pieces:
        with path.open("ab") as file:
            file.write(piece)
        if reopen:
            (cursor,) = load(dump([FileCursor.of(reader)]))
            reader.close()
            reader = LineReader(open_regular(str(path)), line_limit=LIMIT)
            assert cursor.fits(reader)
            reader.seek(cursor.position, skipping=cursor.skipping)
        while lines := reader.read():
            got += lines
    reader.close()
    *lines_written, last = b"".join(pieces).split(b"\n")
    expected = b"".join(line[:LIMIT] + b"\n" for line in lines_written)
    # Of a last line that is too long already the head need not be waited for.
    assert got == expected + (last[:LIMIT] + b"\n" if len(last) > LIMIT else b"")


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seconds=st.lists(st.integers(0, 100), max_size=2000),
    since=st.integers(-10, 200_000),
    undated=st.integers(1, 7),
)
def test_bisecting_never_skips_a_newer_line(tmp_path: Path, seconds: list[int], since: int, undated: int) -> None:
    path = tmp_path / "log"
    time, data, newer = 0, b"", b""
    for index, step in enumerate(seconds):
        time += step
        line = b"%d %s\n" % (time, b"x" * 40) if index % undated == 0 else b"- more\n"
        data += line
        if line[:1] != b"-" and time >= since and not newer:
            newer = line
    path.write_bytes(data)
    reader = LineReader(open_regular(str(path)))
    offset = offset_since(reader, since, lambda line: float(line.split()[0]) if line[:1].isdigit() else None)
    reader.close()
    assert offset == 0 or data[offset - 1 : offset] == b"\n"
    assert newer in data[offset:]


def test_a_changed_file_does_not_fit_its_cursor(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"one\ntwo\n")
    reader = LineReader(open_regular(str(path)))
    assert reader.read() == b"one\ntwo\n"
    cursor = FileCursor.of(reader)
    assert cursor.fits(reader)
    path.write_bytes(b"one\nTWO\nthree\n")
    assert not cursor.fits(reader)
    os.truncate(path, 4)
    assert not cursor.fits(reader)
    reader.close()


@pytest.mark.parametrize(
    ("directory", "kind"),
    [("/", ""), ("/mnt/x", "nfs4"), ("/mntx", ""), ("/a b/c", "fuse.sshfs"), ("/mnt/x/local", "")],
)
def test_knows_file_systems_that_report_no_changes(tmp_path: Path, directory: str, kind: str) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(
        "1 0 8:1 / / rw - ext4 /dev/a rw\n"
        "2 1 0:1 / /mnt/x rw shared:1 - nfs4 server:/x rw\n"
        "3 2 8:2 / /mnt/x/local rw - xfs /dev/b rw\n"
        "4 1 0:2 / /a\\040b rw - fuse.sshfs x rw\n"
    )
    assert remote_type(directory, table) == kind
