"""The ledger file on disk: who may use it, and what happens when it is damaged, foreign, locked or full."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from guardhooks import Ban, Failure, Jail, Position, StateError
from guardhooks.ledger import Ledger
from guardhooks.ledger.store import Store


def clock() -> float:
    return 1000.0


def opened(path: Path) -> Ledger:
    return Ledger.open(path, clock=clock)


def written(path: Path, bans: int = 1) -> None:
    async def write() -> None:
        ledger = opened(path)
        for number in range(bans):
            ledger.add(Ban(f"id {number}", "j", 1000, 600, matches=("x" * 50,)))
        await ledger.close()

    asyncio.run(write())


def closed(ledger: Ledger) -> None:
    asyncio.run(ledger.close())


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "state" / "ledger.sqlite"
    written(path)
    ledger = opened(path)
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    closed(ledger)
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_second_ledger_on_the_file_is_refused(tmp_path: Path) -> None:
    ledger = opened(tmp_path / "l")
    with pytest.raises(StateError, match=r"in use by another guardhooks; .*--state"):
        opened(tmp_path / "l")
    closed(ledger)
    closed(opened(tmp_path / "l"))


def test_others_may_read_while_it_is_in_use(tmp_path: Path) -> None:
    written(tmp_path / "l")
    ledger = opened(tmp_path / "l")
    reader = sqlite3.connect(f"file:{tmp_path / 'l'}?mode=ro", uri=True)
    assert reader.execute("SELECT id FROM bans").fetchall() == [("id 0",)]
    reader.close()
    closed(ledger)


@pytest.mark.parametrize("damage", [b"this is no database at all, but text" * 100, "middle"], ids=["text", "pages"])
def test_a_damaged_file_is_kept_and_a_new_one_begun(tmp_path: Path, damage: bytes | str) -> None:
    path = tmp_path / "ledger.sqlite"
    written(path, 2000)
    content = path.read_bytes()
    broken = damage if isinstance(damage, bytes) else content[:4096] + os.urandom(len(content) - 4096)
    path.write_bytes(broken)
    ledger = opened(path)
    (note,) = ledger.notes
    (kept,) = tmp_path.glob("ledger.sqlite.damaged-*")
    assert kept.name in note
    assert kept.read_bytes() == broken
    assert ledger.active() == []
    ledger.add(Ban("new", "j", 1000, 600))
    closed(ledger)
    ledger = opened(path)
    assert ([ban.id for ban in ledger.active()], ledger.notes) == (["new"], ())
    closed(ledger)


def test_a_foreign_database_is_left_alone(tmp_path: Path) -> None:
    foreign = sqlite3.connect(tmp_path / "l")
    foreign.execute("CREATE TABLE accounts (x)")
    foreign.commit()
    foreign.close()
    before = (tmp_path / "l").read_bytes()
    with pytest.raises(StateError, match="another program"):
        opened(tmp_path / "l")
    assert (tmp_path / "l").read_bytes() == before


@pytest.mark.parametrize(("layout", "age"), [(99, "newer"), (0, "older")])
def test_a_file_of_another_layout_is_kept_and_a_new_one_started(tmp_path: Path, layout: int, age: str) -> None:
    written(tmp_path / "l")
    with closing(sqlite3.connect(tmp_path / "l")) as other:
        other.execute(f"PRAGMA user_version = {layout}")
    ledger = opened(tmp_path / "l")
    (kept,) = tmp_path.glob(f"l.layout-{layout}-*")
    (note,) = ledger.notes
    assert f"was written by a{'n' * (age == 'older')} {age} guardhooks (layout {layout}, " in note
    assert f"it is kept as {kept.name} and a new ledger was started" in note
    assert ledger.rebuilt
    assert ledger.active() == []
    ledger.add(Ban("new", "j", 1000, 600))
    closed(ledger)
    with closing(sqlite3.connect(kept)) as other:
        assert other.execute("SELECT id FROM bans").fetchall() == [("id 0",)]
    ledger = opened(tmp_path / "l")
    assert ([ban.id for ban in ledger.active()], ledger.notes) == (["new"], ())
    closed(ledger)


def test_a_folder_in_its_place_is_moved_aside(tmp_path: Path) -> None:
    (tmp_path / "l").mkdir()
    ledger = opened(tmp_path / "l")
    assert "it is kept as l.damaged-" in "".join(ledger.notes)
    ledger.add(Ban("id", "j", 1000, 600))
    closed(ledger)
    assert (tmp_path / "l").is_file()
    assert next(tmp_path.glob("l.damaged-*")).is_dir()


def test_a_file_in_the_place_of_its_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match="cannot open the ledger"):
        opened(tmp_path / "file" / "l")


DAMAGED = {
    "a window": "INSERT INTO windows (jail, segment) VALUES ('j', x'ffffff')",
    "a window of impossible size": (
        "INSERT INTO windows (jail, segment)"
        " VALUES ('j', x'010000000100000011000000780100000003000000313233343536373839')"
    ),
    "an id": "UPDATE bans SET id = CAST(x'ff80' AS TEXT) WHERE number = 2",
    "an id as bytes": "UPDATE bans SET id = x'ff80' WHERE number = 2",
    "a reason": "UPDATE bans SET reason = CAST(x'80' AS TEXT) WHERE number = 2",
    "a jail": "UPDATE bans SET jail = CAST(x'80' AS TEXT) WHERE number = 2",
    "a number": "UPDATE bans SET number = 9223372036854775807 WHERE number = 2",
    "a negative number": "UPDATE bans SET number = -5 WHERE number = 2",
    "a length": "UPDATE bans SET length = -1 WHERE number = 2",
    "a start": "UPDATE bans SET start = 9e999 WHERE number = 2",
    "a position": "INSERT INTO positions VALUES ('tail', CAST(x'80' AS TEXT), 'x', 1000)",
}


@pytest.mark.parametrize("statement", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_row_is_kept_aside_and_costs_no_other(tmp_path: Path, statement: str) -> None:
    written(tmp_path / "l", 3)
    with closing(sqlite3.connect(tmp_path / "l")) as other, other:
        other.execute(statement)

    async def story() -> None:
        ledger = opened(tmp_path / "l")
        (note,) = ledger.notes
        assert "1 row was damaged" in note
        assert "is kept in l.damaged-rows" in note
        lost_a_ban = "UPDATE bans" in statement
        assert [ban.id for ban in ledger.active()] == ["id 0", "id 2"] if lost_a_ban else ["id 0", "id 1", "id 2"]
        assert ledger.rebuilt == lost_a_ban  # What the firewall still holds of it is adopted.
        ledger.add(Ban("new", "j", 1000, 600))
        await ledger.flush()
        assert len(ledger.expire(10_000)) == 3 + (not lost_a_ban)
        await ledger.close()
        assert len((tmp_path / "l.damaged-rows").read_text().splitlines()) == 1
        assert stat.S_IMODE((tmp_path / "l.damaged-rows").stat().st_mode) == 0o600
        again = opened(tmp_path / "l")
        assert again.notes == ()
        await again.close()

    asyncio.run(story())


@pytest.mark.parametrize("packed", ["'[[1], {}, {}]'", "'{'", "'[]'", "'7'", "CAST(x'80' AS TEXT)", "'[null, 1, 2]'"])
def test_damaged_details_of_a_ban_cost_only_them(tmp_path: Path, packed: str, caplog: pytest.LogCaptureFixture) -> None:
    written(tmp_path / "l", 2)
    with closing(sqlite3.connect(tmp_path / "l")) as other, other:
        other.execute(f"UPDATE details SET packed = {packed} WHERE number = 1")
    ledger = opened(tmp_path / "l")
    assert [(ban.id, ban.matches) for ban in ledger.active()] == [("id 0", ()), ("id 1", ("x" * 50,))]
    assert [ban.id for ban in ledger.expire(10_000)] == ["id 0", "id 1"]
    assert "CAST" in packed or "the ban counts without them" in caplog.text
    closed(ledger)


@pytest.mark.parametrize("loss", ["emptied", "removed"])
def test_an_empty_ledger_in_a_folder_that_was_in_use_is_a_loss_and_no_beginning(tmp_path: Path, loss: str) -> None:
    path = tmp_path / "l"
    fresh = opened(path)
    assert (fresh.rebuilt, fresh.notes) == (False, ())
    closed(fresh)
    path.unlink()
    if loss == "emptied":
        path.touch()
    ledger = opened(path)
    assert ledger.rebuilt
    (note,) = ledger.notes
    assert "was gone or empty though its folder was in use before" in note
    closed(ledger)
    again = opened(path)
    assert (again.rebuilt, again.notes) == (False, ())
    closed(again)


@pytest.mark.parametrize("sync", [True, False])
def test_bans_are_synced_and_failures_alone_are_not(tmp_path: Path, sync: bool) -> None:
    store = Store.open(tmp_path / "l")
    ledger = Ledger.load(store, clock)
    ledger.sync_bans(sync)
    levels = []

    async def story() -> None:
        for step in (
            lambda: ledger.count(Jail("j"), Failure("j", "192.0.2.1", 999.0)),
            lambda: ledger.add(Ban("192.0.2.1", "j", 1000, 600)),
            lambda: ledger.remove("j", "192.0.2.1"),
            lambda: ledger.advance(Position("source", "origin", "cursor")),
        ):
            step()
            await ledger.flush()
            levels.append(store.connection.execute("PRAGMA synchronous").fetchone()[0])
        await ledger.close()

    asyncio.run(story())
    assert levels == ([1, 2, 2, 1] if sync else [1, 1, 1, 1])  # 1: at checkpoints, 2: at every commit


def remove(path: Path) -> None:
    path.unlink()


def remove_the_folder(path: Path) -> None:
    shutil.rmtree(path.parent)


def put_text_in_its_place(path: Path) -> None:
    path.rename(path.with_name("former"))
    path.write_text("not a database\n" * 1000)


def put_an_older_state_in_its_place(path: Path) -> None:
    path.rename(path.with_name("former"))
    shutil.copy(path.with_name("former"), path)


def truncate(path: Path) -> None:
    for each in (path, path.with_name(path.name + "-wal")):
        os.truncate(each, 0)


@pytest.mark.parametrize(
    "harm", [remove, remove_the_folder, put_text_in_its_place, put_an_older_state_in_its_place, truncate]
)
def test_a_file_that_is_harmed_while_it_is_in_use_is_written_anew(tmp_path: Path, harm: Callable[[Path], None]) -> None:
    path = tmp_path / "state" / "l"
    jail = Jail(name="j", maxretry=9)

    async def scenario() -> Ledger:
        ledger = opened(path)
        ledger.add(Ban("before", "j", 1000, 600))
        ledger.add(Ban("lifted", "j", 1000, 600))
        ledger.remove("j", "lifted")
        ledger.count(jail, Failure("j", "failed", 999.0))
        ledger.advance(Position("source", "origin", "cursor"))
        await ledger.flush()
        harm(path)
        ledger.add(Ban("after", "j", 1000, 600))
        await ledger.flush()
        return ledger

    ledger = asyncio.run(scenario())
    assert "everything was written again from memory" in "".join(ledger.notes)
    closed(ledger)
    ledger = opened(path)
    assert not ledger.rebuilt
    assert {ban.id for ban in ledger.active()} == {"before", "after"}
    assert [ban.id for ban in ledger.history("lifted")] == ["lifted"]
    assert ledger.totals("j").tracked == 1
    assert ledger.positions("source")["origin"].cursor == "cursor"
    closed(ledger)


def test_a_file_that_others_could_write_is_the_owners_again(tmp_path: Path) -> None:
    written(tmp_path / "l")
    (tmp_path / "l").chmod(0o666)
    ledger = opened(tmp_path / "l")
    assert stat.S_IMODE((tmp_path / "l").stat().st_mode) == 0o600
    assert [ban.id for ban in ledger.active()] == ["id 0"]
    closed(ledger)


def test_a_disk_that_is_read_only_for_a_while_costs_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = Store.open(tmp_path / "l")
        ledger = Ledger.load(store, clock)
        store.connection.execute("PRAGMA query_only = ON")
        ledger.add(Ban("id", "j", 1000, 600))
        with pytest.raises(StateError, match="make the folder and the file writable"):
            await ledger.flush()
        store.connection.execute("PRAGMA query_only = OFF")
        await ledger.close()

    asyncio.run(scenario())
    ledger = opened(tmp_path / "l")
    assert [ban.id for ban in ledger.active()] == ["id"]
    closed(ledger)


def test_a_full_disk_is_reported_and_the_changes_wait(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = Store.open(tmp_path / "l")
        ledger = Ledger.load(store, clock)
        (pages,) = store.connection.execute("PRAGMA page_count").fetchone()
        store.connection.execute(f"PRAGMA max_page_count = {pages + 2}")
        for number in range(2000):
            ledger.add(Ban(f"id {number}", "j", 1000, 600))
        with pytest.raises(StateError, match="free some disk space"):
            await ledger.flush()
        store.connection.execute("PRAGMA max_page_count = 1000000")
        await ledger.close()

    asyncio.run(scenario())
    ledger = opened(tmp_path / "l")
    assert len(ledger.active()) == 2000
    closed(ledger)


def test_the_file_shrinks_when_the_flood_is_over(tmp_path: Path) -> None:
    path = tmp_path / "l"
    now = [1000.0]

    async def scenario() -> None:
        ledger = Ledger.open(path, clock=lambda: now[0])
        jail = Jail("j", findtime=60)
        for number in range(30_000):
            ledger.count(jail, Failure("j", f"a rather long identity {number}", 1000.0, matches=("y" * 200,)))
        await ledger.flush()
        now[0] = 2000.0
        for _ in range(10):
            ledger.expire(now[0])
            ledger.count(jail, Failure("j", "somebody", now[0]))
            await ledger.flush()
        await ledger.close()

    asyncio.run(scenario())
    assert path.stat().st_size < 4_500_000  # 11 MB at the height of the flood
