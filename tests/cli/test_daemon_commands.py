"""The client commands against a real daemon, as a user or a script meets them."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.running import Site, make_site


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One daemon for the tests that leave it running."""
    site = make_site(tmp_path_factory.mktemp("live"))
    with site.running():
        yield site


def test_ping(live: Site) -> None:
    run = live.guardhooks("ping")

    assert run.returncode == 0
    assert run.stdout.startswith("pong from pid ")
    assert json.loads(live.guardhooks("ping", "--json").stdout)["pid"] == int(run.stdout.split()[-1])


def test_ping_waits_as_long_as_it_is_told(live: Site) -> None:
    assert live.guardhooks("ping", "--timeout", "30").returncode == 0
    refused = live.guardhooks("ping", "--timeout", "0")
    assert refused.returncode == 2
    assert "0" in refused.stderr


def test_a_stopped_daemon_is_told_with_the_remedy(site: Site) -> None:
    with site.running() as daemon:
        daemon.send_signal(signal.SIGSTOP)
        told = site.guardhooks("status")
        pinged = site.guardhooks("ping", "--timeout", "1")
        daemon.send_signal(signal.SIGCONT)
    assert (told.returncode, pinged.returncode) == (5, 5)
    assert f"`kill -CONT {daemon.pid}` lets it continue" in told.stderr
    assert "did not answer within 1 second;" in pinged.stderr


def test_status_lists_the_jails_and_says_that_it_observes(live: Site) -> None:
    run = live.guardhooks("status")

    assert run.returncode == 0
    assert "observing: bans are decided and logged, nobody is kept out" in run.stdout
    rows = [line.split()[:2] for line in run.stdout.splitlines()]
    assert ["app", "running"] in rows
    assert ["other", "running"] in rows
    assert "\x1b" not in run.stdout


def test_a_ban_by_hand_comes_and_goes(live: Site) -> None:
    banned = live.guardhooks("ban", "app", "203.0.113.1", "2001:DB8::/33", "--for", "1h 30m")
    assert banned.returncode == 0, banned.stderr
    assert "[app] would ban 203.0.113.1 for 1h 30m, until " in banned.stdout
    assert "(observing: nobody is kept out)" in banned.stdout
    assert "[app] would ban 2001:db8::/33" in banned.stdout

    report = json.loads(live.guardhooks("status", "app", "--json").stdout)
    assert {ban["id"]: ban["state"] for ban in report["banned"]} == {"203.0.113.1": "active", "2001:db8::/33": "active"}
    table = live.guardhooks("status", "app").stdout
    assert "203.0.113.1" in table
    assert "by hand" in table
    assert "2 failures in 10m: banned for 10m" in table

    lifted = live.guardhooks("unban", "203.0.113.1", "203.0.113.2")
    assert lifted.returncode == 1
    assert lifted.stdout == "[app] unbanned 203.0.113.1\n"
    assert lifted.stderr == "guardhooks: error: 203.0.113.2 was not banned\n"
    assert live.guardhooks("unban", "--all").stdout == "1 ban lifted\n"


def test_many_addresses_are_sent_in_portions(live: Site) -> None:
    addresses = [f"198.51.{high}.{low}" for high in range(5) for low in range(250)]

    assert live.guardhooks("ban", "other", *addresses).returncode == 0
    assert live.guardhooks("unban", "--all", "--jail", "other", "--json").stdout == '{\n  "count": 1250\n}\n'


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (("status", "ap"), 1, "no jail is called 'ap'; did you mean 'app'?"),
        (("ban", "ap", "203.0.113.1"), 1, "did you mean 'app'?"),
        (("ban", "app", "192.0.2.256"), 2, "'192.0.2.256' is neither an address nor a network; for an id of another"),
        (("ban", "app", "0.0.0.0/0"), 1, "0.0.0.0/0 is everybody, you too"),
        (("ban", "app", "127.0.0.0/8"), 1, "covers 127.0.0.1, this machine's own address; add --force"),
        (("ban", "app"), 2, "missing argument 'IP...'; see `guardhooks ban --help`"),
        (("ban", "app", "203.0.113.1", "--for", "5x"), 2, "unknown unit 'x'"),
        (("unban",), 2, "name the addresses to unban, or --all, not both"),
        (("unban", "--all", "203.0.113.1"), 2, "not both"),
        (("stats",), 2, "no such command 'stats'; did you mean 'status'?"),
        (("status", "--jsn"), 2, "--jsn"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_an_exit_code(
    live: Site, arguments: tuple[str, ...], code: int, complaint: str
) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "guardhooks", *arguments, *live.place()] if arguments != ("stats",)
        else [sys.executable, "-m", "guardhooks", "-c", live.config, "stats"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert run.returncode == code
    [line] = run.stderr.splitlines()
    assert line.startswith("guardhooks: error: ")
    assert complaint in line
    assert "Traceback" not in run.stderr
    assert run.stdout == ""


def test_a_second_daemon_on_the_same_state_is_refused(live: Site) -> None:
    run = live.guardhooks("run")

    assert run.returncode == 5
    assert "in use by a guardhooks daemon (pid " in run.stderr
    assert live.guardhooks("ping").returncode == 0


def test_plugins_shows_who_is_asked(live: Site) -> None:
    rows = json.loads(live.guardhooks("plugins", "app", "--json").stdout)
    deciders = next(row["plugins"] for row in rows if row["hook"] == "decide_ban")
    assert {row["jail"] for row in rows} == {"app"}
    assert "threshold" in [plugin["name"] for plugin in deciders]

    table = live.guardhooks("plugins").stdout
    assert "line_matcher" in table
    assert "filterd (guardhooks " in table


def test_colour_only_on_a_terminal_and_never_with_no_color(live: Site) -> None:
    assert "\x1b[" in on_a_terminal(live, "status", {})
    assert "\x1b[" not in on_a_terminal(live, "status", {"NO_COLOR": "1"})


def on_a_terminal(site: Site, command: str, environment: dict[str, str]) -> str:
    master, slave = pty.openpty()
    arguments = [sys.executable, "-m", "guardhooks", command, *site.place()]
    base = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    subprocess.run(arguments, stdout=slave, check=True, env={**base, "TERM": "xterm", **environment})
    os.close(slave)
    with os.fdopen(master, "rb", closefd=True) as terminal:
        return os.read(terminal.fileno(), 65536).decode()


def test_a_reader_that_leaves_early_hears_no_complaint(live: Site) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    run = subprocess.run(
        [sys.executable, "-m", "guardhooks", "status", *live.place()],
        stdout=writer, stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    os.close(writer)

    assert run.stderr == ""


def test_nobody_there(site: Site) -> None:
    for command in ("ping", "status", "reload", "stop", "plugins"):
        run = site.guardhooks(command)
        assert run.returncode == 4
        assert run.stderr.startswith("guardhooks: error: no guardhooks daemon answers at ")
    assert not site.state.exists()


def test_a_state_folder_that_cannot_be_used(site: Site) -> None:
    site.state.write_text("a file")

    run = site.guardhooks("run", "--observe")

    assert run.returncode == 5
    assert "is not a folder" in run.stderr
    assert "Traceback" not in run.stderr


def test_a_configuration_directory_that_is_not_there(site: Site) -> None:
    wrong = Site(site.config / "nope", site.state, site.log)

    for command in ("run", "status", "ping"):
        run = wrong.guardhooks(command)
        assert run.returncode == 3
        assert "there is no such directory" in run.stderr
        assert "Traceback" not in run.stderr


def test_stop_waits_until_the_daemon_is_gone(site: Site) -> None:
    with site.running() as daemon:
        run = site.guardhooks("stop")
        assert run.stdout == "stopped; bans stay in force\n"
        assert daemon.wait(timeout=5) == 0
    assert site.guardhooks("ping").returncode == 4


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_stop_it_cleanly_and_bans_survive(site: Site, number: signal.Signals) -> None:
    with site.running() as daemon:
        assert site.guardhooks("ban", "app", "203.0.113.1").returncode == 0
        daemon.send_signal(number)
        assert daemon.wait(timeout=20) == 0
    with site.running():
        banned = json.loads(site.guardhooks("status", "app", "--json").stdout)["banned"]
        assert [ban["id"] for ban in banned] == ["203.0.113.1"]
        assert site.guardhooks("stop", "--flush").stdout == "stopped; all bans are lifted\n"
    with site.running():
        assert json.loads(site.guardhooks("status", "app", "--json").stdout)["banned"] == []


def test_reload_takes_the_new_configuration_and_keeps_bans(site: Site) -> None:
    jails = site.config / "jail.conf"
    with site.running():
        site.guardhooks("ban", "app", "203.0.113.1")
        jails.write_text(jails.read_text().replace("[other]\nenabled = true", "[other]\nenabled = false"))
        run = site.guardhooks("reload")
        assert run.returncode == 0
        assert run.stdout.startswith("reloaded\njail removed: other, 0 bans lifted\n\n")
        assert len(json.loads(site.guardhooks("status", "app", "--json").stdout)["banned"]) == 1

        jails.unlink()
        refused = site.guardhooks("reload")
        assert refused.returncode == 3
        assert "holds neither jail.conf nor jail.local" in refused.stderr
        assert site.guardhooks("status", "app").returncode == 0


def test_a_broken_jail_shows_with_its_reason_and_degrades(site: Site) -> None:
    jails = site.config / "jail.conf"
    jails.write_text(jails.read_text() + "[third]\nenabled = true\nfilter = ap\nlogpath = /x\naction = observe\n")
    with site.running():
        overview = site.guardhooks("status", "--check")
        assert overview.returncode == 6
        assert ["third", "broken"] in [line.split()[:2] for line in overview.stdout.splitlines()]
        assert "there is no filter 'ap'" in overview.stdout
        assert "After fixing it: guardhooks reload" in overview.stdout
        assert site.guardhooks("status", "app", "--check").returncode == 0
        assert site.guardhooks("status", "third").stdout.startswith("third: broken\n")


def test_a_socket_in_use_stops_the_start_and_nothing_is_half_started(site: Site, tmp_path: Path) -> None:
    socket = tmp_path / "control.sock"
    (site.config / "guardhooks.conf").write_text(f"[Guardhooks]\nsocket = {socket}\n")
    second = Site(site.config, tmp_path / "second", site.log)
    with site.running():
        run = second.guardhooks("run", "--observe")
        assert run.returncode == 5
        assert f"guardhooks: error: socket {socket} is in use by another daemon" in run.stderr
        assert "Traceback" not in run.stderr
        assert " ready: " not in run.stderr
        assert site.guardhooks("ping").returncode == 0


def test_two_daemons_run_side_by_side(site: Site, tmp_path: Path) -> None:
    second = Site(site.config, tmp_path / "second", site.log)
    with site.running(), second.running():
        assert site.guardhooks("ban", "app", "203.0.113.1").returncode == 0
        assert json.loads(second.guardhooks("status", "app", "--json").stdout)["banned"] == []


def test_the_configured_socket_is_found_by_clients(site: Site, tmp_path: Path) -> None:
    socket = tmp_path / "elsewhere" / "control.sock"
    (site.config / "guardhooks.conf").write_text(f"[Guardhooks]\nsocket = {socket}\n")
    with site.running():
        assert socket.is_socket()
        assert site.guardhooks("ping").returncode == 0
