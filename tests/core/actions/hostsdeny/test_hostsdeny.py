"""What becomes of a hosts.deny that belongs to others too; and what tcp wrappers make of it."""

from __future__ import annotations

import fcntl
import ipaddress
import os
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from guardhooks import ActionError, ActionSpec, Ban, ConfigError, Jail, Level, Op, Outcome
from guardhooks_core.actions.hostsdeny import HostsDenyAction, diagnose

NOW = 1_800_000_000.0
THEIRS = b"# /etc/hosts.deny\nALL: 203.0.113.9\nsshd: .example.org EXCEPT good.example.org\n\xff caf\xe9: odd\r\n"
V4, V6 = "192.0.2.1", "2001:db8::1"


class Bench:
    """One file, one plugin, any number of jails."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "hosts.deny"
        self.restart()

    def restart(self) -> None:
        self.plugin = HostsDenyAction(lambda: NOW)

    def do(self, op: Op, *ids: str, jail: str = "sshd", **options: str) -> bool | Outcome | None:
        action = ActionSpec("hostsdeny", "hostsdeny", {"name": jail, "file": str(self.file), **options})
        bans = [Ban(id_, jail, NOW, 600) for id_ in ids]
        return self.plugin.execute_action(Jail(jail), action, op, bans)

    def counts(self, op: Op, *ids: str) -> tuple[int, int]:
        outcome = self.do(op, *ids)
        assert isinstance(outcome, Outcome)
        return outcome.added, outcome.removed

    @property
    def entries(self) -> list[str]:
        text = self.file.read_text(errors="surrogateescape") if self.file.exists() else ""
        return [line for line in text.splitlines() if ": " in line and not line.startswith("#")]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_start_ban_unban_and_flush(bench: Bench) -> None:
    bench.file.write_bytes(THEIRS)
    assert bench.counts(Op.START) == (0, 0)
    assert bench.file.read_bytes() == THEIRS
    bench.do(Op.BAN, V4, V6)
    bench.do(Op.BAN, V4, "192.0.2.0/25", "2001:db8:1::/64")
    assert bench.file.read_bytes().startswith(THEIRS)
    ours = [f"ALL: {V4}", f"ALL: [{V6}]", "ALL: 192.0.2.0/255.255.255.128", "ALL: [2001:db8:1::]/64"]
    assert bench.file.read_text(errors="replace").split("begin, do not edit\n")[1].splitlines()[:-1] == ours
    bench.do(Op.UNBAN, V6, "192.0.2.0/25", "198.51.100.1")
    bench.do(Op.STOP, V4)
    bench.restart()
    assert bench.counts(Op.START, V4, "192.0.2.2") == (1, 1)
    assert bench.counts(Op.CHECK, V4, "192.0.2.2") == (0, 0)
    bench.do(Op.FLUSH)
    assert bench.file.read_bytes() == THEIRS


def test_check_restores_what_others_removed(bench: Bench) -> None:
    bench.do(Op.START, V4, V6)
    bench.file.write_bytes(THEIRS)
    assert bench.counts(Op.CHECK, V4, V6) == (2, 0)
    bench.file.unlink()
    assert bench.counts(Op.CHECK, V4, V6) == (2, 0)
    assert bench.entries == [f"ALL: {V4}", f"ALL: [{V6}]"]


def test_jails_do_not_undo_each_others_bans(bench: Bench) -> None:
    for jail in ("one", "two"):
        bench.do(Op.START, V4, jail=jail)
    bench.do(Op.UNBAN, V4, jail="one")
    assert bench.entries == [f"ALL: {V4}"]
    with pytest.raises(ActionError, match="belongs to jail two"):
        bench.do(Op.START, V4, jail="three", name="two")


def test_parameters_are_fail2bans(bench: Bench) -> None:
    options = {"daemon_list": "sshd, vsftpd", "ip_value": "<ip> : DENY", "ip_value?family=inet6": "[<ip>] : DENY"}
    bench.do(Op.START, V4, V6, "2001:db8:1::/64", **options)
    assert bench.entries == [
        "sshd, vsftpd: 192.0.2.1 : DENY",
        "sshd, vsftpd: [2001:db8::1] : DENY",
        "sshd, vsftpd: [2001:db8:1::]/64 : DENY",
    ]
    bench.do(Op.START, V4)
    assert bench.entries == [f"ALL: {V4}"]


def in_the_middle(data: bytes) -> bytes:
    return data.replace(b"ALL: 192.0.2.2\n", b"ALL: 192.0.2.2\n# a note of mine\nlocal thing\n")


def no_end(data: bytes) -> bytes:
    return data.replace(b"# guardhooks sshd: end\n", b"# mine\nALL: 203.0.113.1\n")


def more_behind(data: bytes) -> bytes:
    return data + b"ALL: 203.0.113.1"


def continued_before(data: bytes) -> bytes:
    return b"ALL: 203.0.113.1 \\\n" + data


@pytest.mark.parametrize("meddle", [in_the_middle, no_end, more_behind, continued_before])
def test_lines_of_others_are_never_changed(bench: Bench, meddle: Callable[[bytes], bytes]) -> None:
    bench.file.write_bytes(THEIRS)
    bench.do(Op.START, V4, "192.0.2.2", "192.0.2.3")
    ours = {b"ALL: 192.0.2.1", b"ALL: 192.0.2.2", b"ALL: 192.0.2.3"}
    bench.file.write_bytes(meddle(bench.file.read_bytes()))
    theirs = [line for line in bench.file.read_bytes().split(b"\n") if line and b"guardhooks" not in line]
    theirs = [line for line in theirs if line not in ours]
    for op in (Op.UNBAN, Op.BAN, Op.CHECK):
        bench.do(op, "192.0.2.2")
        left = bench.file.read_bytes().split(b"\n")
        assert [line for line in left if line in theirs] == theirs
    bench.do(Op.FLUSH)
    assert [line for line in bench.file.read_bytes().split(b"\n") if line] == theirs


def test_a_continued_line_does_not_absorb_ours(bench: Bench) -> None:
    bench.file.write_bytes(b"ALL: 203.0.113.1 \\")
    bench.do(Op.START, V4)
    assert bench.file.read_bytes().startswith(b"ALL: 203.0.113.1 \\\n\n# guardhooks sshd: begin")


def test_a_link_is_followed_and_mode_and_owner_are_kept(bench: Bench) -> None:
    real = bench.file.with_name("elsewhere") / "real"
    real.parent.mkdir()
    real.write_bytes(THEIRS)
    real.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(real, 7, 8)
    before = real.stat()
    bench.file.symlink_to("elsewhere/real")
    bench.do(Op.START, V4)
    after = real.stat()
    assert bench.file.is_symlink()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert b"ALL: 192.0.2.1\n" in real.read_bytes()
    assert [path.name for path in real.parent.iterdir()] == ["real"]


def test_a_new_file_can_be_read_by_all(bench: Bench) -> None:
    bench.do(Op.START)
    assert not bench.file.exists()
    bench.do(Op.BAN, V4)
    assert stat.S_IMODE(bench.file.stat().st_mode) == 0o644


def test_a_reader_never_sees_a_partial_file(bench: Bench) -> None:
    ids = [str(ipaddress.ip_address(0x0A000000 + i)) for i in range(10_000)]
    bench.file.write_bytes(THEIRS)
    bench.do(Op.START)
    seen: set[int] = set()
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            seen.add(bench.file.read_bytes().count(b"\nALL: 10."))

    reader = threading.Thread(target=look)
    reader.start()
    try:
        bench.do(Op.BAN, *ids)
        bench.do(Op.UNBAN, *ids[:5000])
    finally:
        over.set()
        reader.join()
    assert seen <= {0, 10_000, 5000}
    assert len(bench.entries) == 5000 + 3


def test_another_process_that_edits_is_waited_for(bench: Bench) -> None:
    bench.do(Op.START)
    folder = os.open(bench.file.parent, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    banning = threading.Thread(target=bench.do, args=(Op.BAN, V4))
    banning.start()
    banning.join(0.2)
    assert not bench.file.exists()
    os.close(folder)
    banning.join(30)
    assert bench.entries == [f"ALL: {V4}"]


def test_processes_that_edit_at_the_same_time_lose_nothing(bench: Bench) -> None:
    code = """if True:
        import sys
        from guardhooks import ActionSpec, Ban, Jail, Op
        from guardhooks_core.actions.hostsdeny import HostsDenyAction, diagnose
        jail, file = sys.argv[1:]
        plugin = HostsDenyAction(lambda: 0.0)
        action = ActionSpec("hostsdeny", "hostsdeny", {"name": jail, "file": file})
        plugin.execute_action(Jail(jail), action, Op.START, [])
        for last in range(30):
            plugin.execute_action(Jail(jail), action, Op.BAN, [Ban(f"192.0.2.{last}", jail, 0, 600)])
    """
    command = [sys.executable, "-c", code]
    running = [subprocess.Popen([*command, jail, str(bench.file)]) for jail in ("one", "two", "three")]
    assert [process.wait() for process in running] == [0, 0, 0]
    assert len(bench.entries) == 90


@pytest.mark.parametrize("what", ["folder", "pipe", "nowhere"])
def test_a_file_that_cannot_be_edited_is_an_error_that_names_it(bench: Bench, what: str) -> None:
    if what == "folder":
        bench.file.mkdir()
    elif what == "pipe":
        os.mkfifo(bench.file)
    else:
        bench.file = bench.file.parent / "missing" / "hosts.deny"
    with pytest.raises(ActionError, match=r"hosts\.deny"):
        bench.do(Op.START, V4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"file": "etc/hosts.deny"}, "not an absolute path"),
        ({"daemon_list": "ALL: ALL\nsshd"}, "not a list of programs"),
        ({"ip_value": "1.2.3.4"}, "contains <ip> once"),
        ({"ip_value": "<ip>\nALL: ALL"}, "must be one line"),
        ({"deamon_list": "ALL"}, r"did you mean daemon_list\?"),
    ],
)
def test_invalid_options_are_refused(bench: Bench, options: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        bench.do(Op.START, V4, **options)
    assert not bench.file.exists()


@pytest.mark.parametrize("id_", ["bob", "192.0.2.1\nALL: ALL", "0.0.0.0/0", "# x", "ALL", "", "-rf", "\x1b[2J"])
def test_a_text_id_writes_nothing(bench: Bench, id_: str) -> None:
    bench.do(Op.START, "192.0.2.2", id_)
    bench.do(Op.BAN, id_)
    bench.do(Op.UNBAN, id_)
    assert bench.entries == ["ALL: 192.0.2.2"]


@pytest.mark.parametrize("jail", ["a\nALL: ALL\n", "# x", "x: ALL", "ü", "a" * 300])
def test_a_hostile_name_is_only_a_name(bench: Bench, jail: str) -> None:
    bench.do(Op.START, V4, jail=jail)
    assert bench.entries == [f"ALL: {V4}"]
    bench.do(Op.FLUSH, jail=jail)
    assert bench.file.read_bytes() == b""


def test_the_doctor_looks_for_our_lines(bench: Bench) -> None:
    action = ActionSpec("hostsdeny", "hostsdeny", {"name": "sshd", "file": str(bench.file)})
    guard = SimpleNamespace(clock=lambda: NOW)
    bans = [Ban(V4, "sshd", NOW, 600), Ban(V6, "sshd", NOW, 600)]

    def levels(*about: Ban, address: str = "") -> list[tuple[Level, bool | None]]:
        return [(each.level, each.blocks) for each in diagnose(guard, action, about, address) or []]

    assert levels(*bans) == [(Level.BAD, None)]
    bench.do(Op.START, V4)
    assert levels(*bans) == [(Level.BAD, None)]
    assert levels(bans[0]) == [(Level.GOOD, None)]
    assert levels(bans[0], address=V4) == [(Level.GOOD, True)]
    assert levels(bans[1], address=V6) == [(Level.BAD, False)]
    assert levels(address="192.0.2.9") == [(Level.GOOD, False)]


STOCK_BAN = 'printf %b "ALL: <ip_value>\\n" >> /etc/hosts.deny'


@pytest.mark.parametrize(
    ("changed", "served"),
    [
        ({}, True),
        ({"actionban": f"{STOCK_BAN} && logger banned"}, False),
        ({"actionstart": "cp /etc/hosts.deny /tmp"}, False),
    ],
)
def test_a_sites_own_file_is_left_to_the_shell_action(tmp_path: Path, changed: dict[str, str], served: bool) -> None:
    properties = {"file": "/etc/hosts.deny", "daemon_list": "ALL", "ip_value": "<ip>", "actionban": STOCK_BAN}
    action = ActionSpec("hostsdeny", "hostsdeny", {"name": "x"}, {**properties, **changed}, "/etc/hostsdeny.conf")
    assert (HostsDenyAction().execute_action(Jail("x"), action, Op.STOP, []) is True) is served


@pytest.mark.skipif(not shutil.which("tcpdmatch") and "CI" not in os.environ, reason="needs tcpdmatch (tcpd)")
@pytest.mark.parametrize(
    ("client", "access"),
    [
        ("192.0.2.1", "denied"), ("192.0.2.2", "granted"), ("198.51.100.200", "denied"), ("198.51.101.1", "granted"),
        ("2001:db8::1", "denied"), ("2001:db8::2", "granted"), ("2001:db8:1::99", "denied"),
        ("2001:db8:2::99", "granted"),
    ],
)  # fmt: skip
def test_tcp_wrappers_understand_it(bench: Bench, client: str, access: str) -> None:
    bench.do(Op.START, V4, V6, "198.51.100.0/24", "2001:db8:1::/64", daemon_list="sshd")
    (bench.file.parent / "hosts.allow").touch()
    said = subprocess.run(
        ["tcpdmatch", "-d", "sshd", client], cwd=bench.file.parent, capture_output=True, text=True, check=False
    )
    assert f"access:   {access}" in said.stdout, said
