"""Starting, reloading and stopping where something stands in the way; commands that the daemon refuses."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.daemon import Daemon
from tests.e2e.range import environment
from tests.e2e.unprivileged import Unprivileged, the_one_line
from tests.kit.guards import plain_config
from tests.kit.waiting import wait_for

NOBODY = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0 and "CI" not in os.environ, reason="changes owners: needs root")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A sound configuration, whose log is there."""
    (tmp_path / "log").touch()
    return plain_config(tmp_path / "config", tmp_path / "log")


@pytest.fixture
def daemon(config: Path, tmp_path: Path) -> Iterator[Daemon]:
    """It runs, and is still there at the end unless the test stopped it."""
    daemon = Daemon(Unprivileged(), config, tmp_path / "state")
    yield daemon
    daemon.kill()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One for all tests that leave it as it was."""
    folder = tmp_path_factory.mktemp("shared")
    daemon = Daemon(Unprivileged(), plain_config(folder / "config", folder / "log"), folder / "state")
    yield daemon
    daemon.kill()


# --- the state folder and the socket --------------------------------------------------------------------------------


def read_only(state: Path) -> None:
    state.mkdir(mode=0o500)


def open_to_all(state: Path) -> None:
    state.mkdir()
    state.chmod(0o777)


def of_another_user(state: Path) -> None:
    state.mkdir(mode=0o700)
    os.chown(state, NOBODY, NOBODY)


def a_file(state: Path) -> None:
    state.write_text("")


def file_for_a_socket(state: Path) -> None:
    state.mkdir(mode=0o700)
    (state / "guardhooks.sock").write_text("mine")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (read_only, ("state folder {state} cannot be written; make it writable or name another with --state",)),
        (open_to_all, ("state folder {state} is writable by others (mode 0777); chmod 0700 {state}",)),
        pytest.param(of_another_user, ("state folder {state} belongs to uid 65534", "chown it or"), marks=needs_root),
        (a_file, ("state folder {state} is not a folder; move it away or name another one",)),
        (file_for_a_socket, ("socket {state}/guardhooks.sock cannot be made", "is not a socket", "move it away")),
    ],
)
def test_a_state_folder_that_cannot_be_used_starts_nothing(
    config: Path, tmp_path: Path, spoil: Callable[[Path], None], says: tuple[str, ...]
) -> None:
    state = tmp_path / "state"
    spoil(state)
    run = Unprivileged().guardhooks("run", "-c", config, "--state", state)

    line = the_one_line(run.stderr)
    assert all(word.format(state=state) in line for word in says), line
    assert run.returncode == 5
    assert not (state / "guardhooks.sock").is_socket()
    assert Unprivileged().guardhooks("ping", "--state", state).returncode in {4, 5}


def test_a_socket_that_another_program_serves_is_left_alone(config: Path, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(tmp_path / "state" / "guardhooks.sock"))
        other.listen()
        run = Unprivileged().guardhooks("run", "-c", config, "--state", tmp_path / "state")
        assert "guardhooks.sock is in use by another daemon; stop it with" in the_one_line(run.stderr)
        assert run.returncode == 5
        assert (tmp_path / "state" / "guardhooks.sock").is_socket()

    daemon = Daemon(Unprivileged(), config, tmp_path / "state")  # nobody serves it any more
    assert daemon.stop() == 0


def test_a_second_daemon_on_the_same_state_does_not_disturb_the_first(daemon: Daemon) -> None:
    daemon.command("ban", "plain", "198.51.100.7")
    run = daemon.command("run", check=False)

    line = the_one_line(run.stderr)
    assert f"state folder {daemon.state} is in use by a guardhooks daemon (pid {daemon.pid})" in line
    assert "stop it with `guardhooks stop`" in line
    assert run.returncode == 5
    assert [ban["id"] for ban in daemon.ask("status", "plain")["banned"]] == ["198.51.100.7"]


def test_a_damaged_ledger_is_put_aside_and_that_is_said(daemon: Daemon, config: Path, tmp_path: Path) -> None:
    daemon.command("ban", "plain", "198.51.100.7")
    daemon.stop()
    ledger = tmp_path / "state" / "ledger.sqlite3"
    ledger.write_bytes(b"not a ledger\n" * 1000)

    again = Daemon(Unprivileged(), config, tmp_path / "state")
    [line] = [line for line in again.log.splitlines() if " was damaged " in line]
    [aside] = ledger.parent.glob("ledger.sqlite3.damaged-*[0-9]")
    assert f"{ledger} was damaged" in line
    assert f"it is kept as {aside.name} and a new ledger was started" in line
    assert aside.read_bytes().startswith(b"not a ledger")
    assert [problem for problem in again.ask("status")["problems"] if aside.name in problem]
    again.command("ban", "plain", "198.51.100.8")
    assert again.stop() == 0


# --- signals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(daemon: Daemon, number: signal.Signals) -> None:
    daemon.command("ban", "plain", "198.51.100.7")
    os.kill(daemon.pid, number)

    assert daemon.wait() == 0
    assert "stopped; bans stay in force" in daemon.log
    assert not (daemon.state / "guardhooks.sock").exists()
    assert "Traceback" not in daemon.log
    again = Daemon(Unprivileged(), daemon.config, daemon.state)
    assert [ban["id"] for ban in again.ask("status", "plain")["banned"]] == ["198.51.100.7"]
    assert again.command("stop", "--flush").stdout == "stopped; all bans are lifted\n"
    assert again.wait() == 0


def test_sighup_reads_the_configuration_again(daemon: Daemon) -> None:
    daemon.command("ban", "plain", "198.51.100.7")
    (daemon.config / "jail.local").write_text("[plain]\nmaxretry = 7\n")
    os.kill(daemon.pid, signal.SIGHUP)
    daemon.wait_for_log("reloaded: jails: plain")

    jail = daemon.ask("status", "plain")
    assert jail["maxretry"] == 7
    assert [ban["id"] for ban in jail["banned"]] == ["198.51.100.7"]


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ("[plain]\nenabled = true\nfilter = gone\n", "none of the enabled jails in "),
        (None, "holds neither jail.conf nor jail.local"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_refused_and_the_running_one_stays(
    daemon: Daemon, broken: str | None, says: str
) -> None:
    daemon.command("ban", "plain", "198.51.100.7")
    jails = daemon.config / "jail.conf"
    jails.unlink() if broken is None else jails.write_text(broken)

    run = daemon.command("reload", check=False)
    assert says in the_one_line(run.stderr)
    assert run.returncode == 3
    os.kill(daemon.pid, signal.SIGHUP)
    daemon.wait_for_log("reload refused, the running configuration stays: ")
    jail = daemon.ask("status", "plain")
    assert jail["state"] == "running"
    assert [ban["id"] for ban in jail["banned"]] == ["198.51.100.7"]


def test_a_jail_that_is_broken_by_a_reload_goes_on_as_it_was_and_says_so(daemon: Daemon) -> None:
    daemon.command("ban", "plain", "198.51.100.7")
    text = (daemon.config / "jail.conf").read_text()
    (daemon.config / "jail.conf").write_text(text.replace("filter = plain", "filter = plian"))
    (daemon.config / "jail.local").write_text(text.replace("[plain]", "[other]"))
    run = daemon.command("reload", check=False)

    assert run.returncode == 6
    assert "jail kept as it was: plain: " in run.stdout
    assert "jail added: other\n" in run.stdout
    fault = (
        f"{daemon.config}/jail.conf:3: [plain] filter: there is no filter 'plian' in filter.d; did you mean 'plain'?"
    )
    assert fault in run.stdout
    wait_for(lambda: fault in daemon.log, "the fault in the log")
    jails = {jail["name"]: jail for jail in daemon.ask("status")["jails"]}
    assert (jails["plain"]["state"], jails["other"]["state"]) == ("degraded", "running")
    assert [ban["id"] for ban in daemon.ask("status", "plain")["banned"]] == ["198.51.100.7"]


# --- commands -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("run", "--xyz"), 2, "no such option"),
        (("run", "--loglevel", "nonsense"), 2, "'nonsense' is not one of 'critical', 'error'"),
        (("run", "more"), 2, "unexpected extra argument (more)"),
        (("stauts",), 2, "no such command 'stauts'; did you mean 'status'?"),
        (("ban", "plain"), 2, "missing argument 'IP...'"),
        (("ban", "nosuch", "198.51.100.7"), 1, "no jail is called 'nosuch'; there are plain"),
        (("ban", "plain", "192.0.2.256"), 2, "'192.0.2.256' is neither an address nor a network"),
        (("ban", "plain", "127.0.0.1"), 1, "it is this machine's own address; add --force to ban it anyway"),
        (("ban", "plain", "::/0"), 1, "::/0 is everybody, you too; name a smaller network"),
        (("ban", "plain", "198.51.100.7", "--for", "5 parsecs"), 2, "unknown unit 'parsecs'"),
        (("unban", "198.51.100.7"), 1, "198.51.100.7 was not banned"),
        (("unban",), 2, "name the addresses to unban, or --all"),
        (("status", "palin"), 1, "no jail is called 'palin'; did you mean 'plain'?"),
    ],
)
def test_a_wrong_command_is_one_line_and_changes_nothing(
    shared: Daemon, words: tuple[str, ...], code: int, says: str
) -> None:
    run = shared.command(*words, check=False)

    assert run.stdout == ""
    assert run.stderr.count("\n") == 1
    assert says in the_one_line(run.stderr)
    assert run.returncode == code
    assert shared.ask("status", "plain")["banned"] == []


@pytest.mark.parametrize("command", ["status", "ping", "reload", "stop", "plugins"])
def test_without_a_daemon_a_command_says_where_it_looked(tmp_path: Path, command: str) -> None:
    run = Unprivileged().guardhooks(command, "--state", tmp_path / "state")

    line = the_one_line(run.stderr)
    assert f"no guardhooks daemon answers at {tmp_path}/state/guardhooks.sock; start it with `guardhooks run`" in line
    assert run.returncode == 4
    assert not (tmp_path / "state").exists()


def test_closed_standard_streams_are_never_a_lock_or_the_ledger(config: Path, tmp_path: Path) -> None:
    host, state = Unprivileged(), tmp_path / "state"
    words = [sys.executable, "-m", "guardhooks", "run", "-c", str(config), "--state", str(state)]
    command = host.command("sh", "-c", 'exec "$@" 0<&- 1>&- 2>&-', "sh", *words)
    process = subprocess.Popen(command, env=environment())
    try:
        wait_for(lambda: host.guardhooks("ping", "--state", state).returncode == 0, "the daemon answers")
        streams = {Path(f"/proc/{process.pid}/fd/{number}").readlink() for number in range(3)}
        assert streams == {Path(os.devnull)}
    finally:
        process.kill()
        process.wait()
