"""fail2ban's database is read in every version that its tables have had."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from guardhooks.errors import StateError
from guardhooks.ledger.fail2ban_database import read_fail2ban
from guardhooks.model import PERMANENT

DATA = json.dumps({"matches": ["line one", ["a ", "date", " b"]], "failures": 4, "ip4": "192.0.2.1"})
COLUMNS = {
    1: "jail TEXT, ip TEXT, timeofban INTEGER, data JSON",
    2: "jail TEXT, ip TEXT, timeofban INTEGER, data JSON",
    3: "jail TEXT, ip TEXT, timeofban INTEGER, bantime INTEGER, bancount INTEGER DEFAULT 1, data JSON",
    4: "jail TEXT, ip TEXT, timeofban INTEGER, bantime INTEGER, bancount INTEGER DEFAULT 1, data JSON",
}


def database(path: Path, version: int, *rows: tuple[object, ...], last: tuple[tuple[object, ...], ...] = ()) -> Path:
    with closing(sqlite3.connect(path)) as made, made:
        made.execute("CREATE TABLE fail2banDb(version INTEGER)")
        made.execute("INSERT INTO fail2banDb VALUES (?)", (version,))
        for table, found in (("bans", rows), ("bips", last)):
            if table == "bans" or version >= 3:
                made.execute(f"CREATE TABLE {table}({COLUMNS.get(version, COLUMNS[4])})")
            for row in found:
                made.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)
    return path


def bantime(_jail: str) -> float:
    return 600.0


@pytest.mark.parametrize("version", [1, 2])
def test_old_tables_have_the_jails_ban_time(tmp_path: Path, version: int) -> None:
    found = read_fail2ban(database(tmp_path / "db", version, ("sshd", "192.0.2.1", 1000, DATA)), bantime)
    [ban] = found.bans
    assert (found.version, ban.id, ban.jail, ban.start, ban.length) == (version, "192.0.2.1", "sshd", 1000, 600)
    assert (ban.failures, ban.matches) == (4, ("line one", "a date b"))


@pytest.mark.parametrize("version", [3, 4])
def test_bans_come_with_all_that_fail2ban_has_counted_before(tmp_path: Path, version: int) -> None:
    """The rows of old bans are purged after a day, their number is kept."""
    rows = [("sshd", "192.0.2.1", 5000, 60, 1, DATA.encode()), ("sshd", "192.0.2.1", 9000, 7200, 1, DATA.encode())]
    last = (("sshd", "192.0.2.1", 9000, 7200, 4, DATA.encode()), ("web", "x-id", 100, -1, 1, None))
    found = read_fail2ban(database(tmp_path / "db", version, *rows, last=last), bantime)
    of_sshd = [ban for ban in found.bans if ban.jail == "sshd"]
    assert [ban.start for ban in of_sshd][2:] == [5000, 9000]
    assert len(of_sshd) == 4
    assert all(ban.end < 5000 for ban in of_sshd[:2])
    [other] = [ban for ban in found.bans if ban.jail == "web"]
    assert (other.id, other.length) == ("x-id", PERMANENT)


@pytest.mark.parametrize("data", [None, "", "[", "[]", b"\xff\xfe", '{"matches": 7}', '{"failures": "many"}'])
def test_evidence_that_cannot_be_understood_costs_no_ban(tmp_path: Path, data: object) -> None:
    found = read_fail2ban(database(tmp_path / "db", 4, ("sshd", "192.0.2.1", 1000, 60, 1, data)), bantime)
    assert [ban.id for ban in found.bans] == ["192.0.2.1"]


def test_what_is_no_database_of_fail2ban_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database")
    with closing(sqlite3.connect(tmp_path / "other")) as other, other:
        other.execute("CREATE TABLE x(y)")
    database(tmp_path / "newer", 5)
    for name in ("text", "other", "newer", "absent"):
        with pytest.raises(StateError, match=name):
            read_fail2ban(tmp_path / name, bantime)
    assert not (tmp_path / "absent").exists()
