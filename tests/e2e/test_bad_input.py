"""A fault in the configuration costs at most what it concerns, and is told in one line with place, cause and remedy."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from tests.e2e.daemon import Daemon
from tests.e2e.here import Here
from tests.e2e.unprivileged import Unprivileged, the_one_line
from tests.kit.guards import plain_config
from tests.kit.waiting import wait_for

PLAIN: Final = {"enabled": "true", "filter": "plain", "logpath": "{folder}/plain.log", "action": "observe"}


@dataclass(frozen=True, slots=True)
class Fault:
    """A jail named `name` with one fault in it.

    `says` are the words by which one line tells it; `{jail}` and `{filter}` in the first of them stand for the file
    where the fault lies and are followed by its line, found by the text `at`.
    """

    name: str
    options: dict[str, str]
    says: tuple[str, ...]
    at: str = ""
    filter: str | bytes | None = None
    state: str = "degraded"

    def write(self, folder: Path) -> None:
        values = {**PLAIN, **self.options}
        if self.filter is not None:
            values["filter"] = self.name
            content = self.filter if isinstance(self.filter, bytes) else self.filter.encode()
            self.filter_file(folder).write_bytes(content)
        lines = [f"[{self.name}]", *(f"{key} = {value}" for key, value in values.items() if value != "-")]
        self.jail_file(folder).write_text("\n".join(lines).format(folder=folder) + "\n")

    def jail_file(self, folder: Path) -> Path:
        return folder / "config" / "jail.d" / f"{self.name}.conf"

    def filter_file(self, folder: Path) -> Path:
        return folder / "config" / "filter.d" / f"{self.name}.conf"

    def words(self, folder: Path) -> list[str]:
        """What the line must hold."""
        files = {"jail": self._place(self.jail_file(folder)), "filter": self._place(self.filter_file(folder))}
        return [self.says[0].format(**files, folder=folder), *self.says[1:]]

    def _place(self, file: Path) -> str:
        lines = file.read_text(errors="replace").splitlines() if file.is_file() else []
        number = next((number for number, line in enumerate(lines, 1) if self.at and self.at in line), 0)
        return f"{file}:{number}" if number else str(file)


def option(key: str, value: str, *says: str, state: str = "degraded") -> Fault:
    """A jail with a wrong value."""
    name = f"{key.replace('.', '-')}-{state}"
    return Fault(name, {key: value}, (f"{{jail}}: [{name}] {key}: ", *says), at=f"{key} = ", state=state)


def rules(name: str, text: str | bytes, *says: str, at: str = "", state: str = "degraded") -> Fault:
    """A jail with a wrong filter."""
    return Fault(name, {}, says, at=at, filter=text, state=state)


USED: Final = "is used instead"
FAULTS: Final = (
    option("maxretyr", "3", "no such option; did you mean 'maxretry'?"),
    option("maxretry", "three", "'three' is not a whole number from 1 to 1000000", USED),
    option("findtime", "10 parsecs", "unknown unit 'parsecs'", "such as 10m", USED),
    option("bantime", "0x", "'0x' is not a time", USED),
    option("ignoreself", "perhaps", "'perhaps' is neither true nor false; use one of", "true is used instead"),
    option("enabled", "perhaps", "'perhaps' is neither true nor false; use one of", state="broken"),
    option("usedns", "perhaps", "'perhaps' is none of yes, warn, no, raw", USED),
    option("ipv6prefix", "129", "'129' is not a whole number from 0 to 128", USED),
    option("ignoreip", "300.1.1.1/24", "'300.1.1.1/24' is not an address, network, host name", "it exempts nobody"),
    option("backend", "telepathy", "'telepathy' is none of auto, polling", USED),
    option("logencoding", "klingon", "'klingon' is not a text encoding", USED),
    option("filter", "plian", "there is no filter 'plian' in filter.d; did you mean 'plain'?", state="broken"),
    Fault("brackets", {"filter": "plain[mode"}, ("{jail}: [brackets] filter: ", "form name[option=value"), "filter = ",
          state="broken"),
    Fault("stray", {"port": "1\nstray words"}, ("{jail}: [stray]: 'stray words' is neither", "ignored"), "stray words"),
    Fault("no-log", {"logpath": "-"}, ("[no-log] logpath: is not set", "name its log"), "enabled"),
    Fault("switch", {"plugins": "-nosuch"}, ("[switch] plugins: no plugin is called 'nosuch'", "guardhooks plugins")),
    rules("bad-regex", "[Definition]\nfailregex = ^x <HOST>$\n  ^(y <HOST>$\n", "{filter}: [bad-regex] failregex: ",
          "failregex 2 does not compile: missing )", "left out: ^(y <HOST>$", at="failregex"),
    rules("no-group", "[Definition]\nfailregex = ^x <HOST>$\n  ^y$\n", "{filter}: [no-group] failregex: ",
          "failregex 2 names no offender: it needs <HOST>", at="failregex"),
    rules("include", "[INCLUDES]\nbefore = gone.conf\n[Definition]\nfailregex = ^x <HOST>$\n",
          "{filter}: [INCLUDES] before: ", "gone.conf does not exist; the rest is used", at="before"),
    rules("binary", bytes(range(256)), "{filter}: is not a text file (it holds NUL bytes)", state="broken"),
    rules("empty", "", "{filter}: has no section [Definition], so it is not a filter", state="broken"),
    Fault("directory", {"logpath": "{folder}"}, ("{folder}: ", "is a directory, not a file")),
    Fault("fifo", {"logpath": "{folder}/fifo"}, ("{folder}/fifo: ", "is a FIFO, not a file")),
    Fault("secret", {"logpath": "{folder}/secret"}, ("{folder}/secret: ", "Permission denied")),
)  # fmt: skip


def names(fault: Fault) -> str:
    return fault.name


# --- one jail of many -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Scene:
    folder: Path
    daemon: Daemon
    report: dict[str, Any]
    """What `status --json` printed."""
    shown: list[str]
    """The lines about faults that `status` printed."""


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """One daemon with every broken jail at once, beside the sound jail `plain`."""
    folder = tmp_path_factory.mktemp("bad")
    (folder / "plain.log").touch()
    os.mkfifo(folder / "fifo")
    (folder / "secret").write_text("nothing to see\n")
    (folder / "secret").chmod(0)
    if os.geteuid() == 0:
        os.chown(folder / "secret", 65534, 65534)  # else root would read it as its owner, whatever the mode
    (plain_config(folder / "config", folder / "plain.log") / "jail.d").mkdir()
    for fault in FAULTS:
        fault.write(folder)
    daemon = Daemon(Unprivileged(), folder / "config", folder / "state")
    for fault in FAULTS:
        daemon.wait_for_log(fault.words(folder)[-1])
    shown = [line for line in daemon.command("status").stdout.splitlines() if line.startswith("! ")]
    yield Scene(folder, daemon, daemon.ask("status"), shown)
    daemon.kill()


@pytest.mark.parametrize("fault", FAULTS, ids=names)
def test_a_fault_is_logged_once_with_place_cause_and_remedy(scene: Scene, fault: Fault) -> None:
    words = fault.words(scene.folder)
    of_jail = [line for line in scene.daemon.log.splitlines() if f"[{fault.name}]" in line]
    told = [line for line in of_jail if all(word in line for word in words)]

    assert len(told) == 1, of_jail
    assert " ERROR " in told[0] or " WARNING " in told[0]


@pytest.mark.parametrize("fault", FAULTS, ids=names)
def test_status_shows_the_fault_and_how_much_of_the_jail_is_left(scene: Scene, fault: Fault) -> None:
    words = fault.words(scene.folder)
    shown = [line for line in scene.shown if f"[{fault.name}]" in line]

    assert len([line for line in shown if all(word in line for word in words)]) == 1, shown
    assert {jail["name"]: jail["state"] for jail in scene.report["jails"]}[fault.name] == fault.state


def test_the_sound_jail_bans_and_nothing_was_left_untold(scene: Scene) -> None:
    stamp = time.strftime("%Y-%m-%d %H:%M:%S")
    with (scene.folder / "plain.log").open("a") as log:
        log.write(f"{stamp} login failed from 198.51.100.7\n" * 3)
    scene.daemon.wait_for_log("[plain] Would ban 198.51.100.7")

    jails = {jail["name"]: jail["state"] for jail in scene.report["jails"]}
    assert jails == {"plain": "running", **{fault.name: fault.state for fault in FAULTS}}
    assert scene.daemon.command("status", "--check", check=False).returncode == 6
    assert "Traceback" not in scene.daemon.log


# --- the whole configuration ----------------------------------------------------------------------------------------


def nothing(config: Path) -> None:
    (config / "jail.conf").unlink()


def all_broken(config: Path) -> None:
    (config / "jail.conf").write_text("[a]\nenabled = true\nfilter = a\n[b]\nenabled = true\nfilter = b\n")


def unreadable(config: Path) -> None:
    (config / "jail.conf").unlink()
    (config / "jail.conf").mkdir()


def lacking(config: Path) -> None:
    """A plugin that spares people does not load."""
    (config / "hooks.d").mkdir()
    (config / "hooks.d" / "geo.py").write_text("import nowhere_to_be_found\n")
    (config / "guardhooks.conf").write_text("[Plugins]\nrequire = geo\n")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (nothing, ("{config}: holds neither jail.conf nor jail.local",)),
        (all_broken, ("none of the enabled jails in {config} can run", "see the reasons above")),
        (unreadable, ("{config}/jail.conf: is not a regular file",)),
        (lacking, ("[Plugins] require: plugin 'geo' is needed, and is not in use: ", "{config}/hooks.d/geo.py")),
    ],
)
def test_a_configuration_that_cannot_be_used_starts_nothing(tmp_path: Path, spoil, says: tuple[str, ...]) -> None:  # noqa: ANN001
    config = plain_config(tmp_path / "config", tmp_path / "log")
    spoil(config)
    run = Unprivileged().guardhooks("run", "-c", config, "--state", tmp_path / "state")

    line = the_one_line(run.stderr)
    assert all(word.format(config=config) in line for word in says), line
    assert run.returncode == 3
    assert not (tmp_path / "state" / "guardhooks.sock").exists()
    assert not (tmp_path / "state" / "ledger.sqlite3").exists()


@pytest.mark.parametrize("where", ["nowhere", "config/jail.conf"])
def test_a_configuration_directory_that_is_none(tmp_path: Path, where: str) -> None:
    plain_config(tmp_path / "config", tmp_path / "log")
    for command in ("run", "status", "reload"):
        run = Unprivileged().guardhooks(command, "-c", tmp_path / where, "--state", tmp_path / "state")

        assert f"{tmp_path / where}: there is no such directory" in the_one_line(run.stderr)
        assert run.returncode == 3
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    ("name", "content", "mode", "says"),
    [
        ("jail.local", None, 0o755, ("is not a regular file", "the rest is used without this file")),
        ("jail.local", bytes(range(256)), 0o644, ("is not a text file (it holds NUL bytes)", "without this file")),
        ("jail.local", b"[plain]\nmaxretry = 9\n", 0, ("cannot be read: Permission denied", "without this file")),
        ("jail.local", b"maxretry = 9\n", 0o644, (":1: 'maxretry = 9' stands before any [section] and is ignored",)),
        ("jail.local", b"[DEFAULT]\nignoresefl = no\n", 0o644, (":2: [DEFAULT] ignoresefl: ", "'ignoreself'")),
        ("jail.local", b"[INCLUDES]\nbefore = gone.conf\n", 0o644, (":2: [INCLUDES] before: ", "does not exist")),
        ("guardhooks.local", b"[Guardhooks]\nlogleve = DEBUG\n", 0o644, (":2: [Guardhooks] logleve: ", "'loglevel'")),
        ("guardhooks.local", b"[Guardhooks]\nreconcile = soon\n", 0o644, (":2: [Guardhooks] reconcile: 'soon'", USED)),
        ("guardhooks.local", b"[Guardhooks]\nsocket = s\n", 0o644, ("'s' is not an absolute path; the default",)),
        ("guardhooks.local", b"[Plugins]\ndisable = no-such\n", 0o644, ("no plugin is called 'no-such'",)),
        ("hooks.d/typo.py", b"import guardhooks\n@guardhooks.hookimpl\ndef on_failur(jail): ...\n", 0o644,
         (" is refused: on_failur: there is no such hook; did you mean on_failure?",)),
        ("hooks.d/typo.py", b"import guardhooks\n@guardhooks.hookimpl\ndef on_failure(jial): ...\n", 0o644,
         (" is refused: on_failure: it wants an argument 'jial' (did you mean 'jail'?)",)),
        ("hooks.d/stranger.py", b"", 0o666, (" is refused: others may write it (mode 0666); chmod go-w ",)),
        ("hooks.d/broken.py", b"def\n", 0o644, (" cannot be loaded: SyntaxError: invalid syntax (broken.py, line 1)",)),
    ],
)  # fmt: skip
def test_the_rest_of_the_configuration_is_used(
    tmp_path: Path, name: str, content: bytes | None, mode: int, says: tuple[str, ...]
) -> None:
    config = plain_config(tmp_path / "config", tmp_path / "log")
    file = config / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(content) if content is not None else file.mkdir()
    file.chmod(mode)
    daemon = Daemon(Unprivileged(), config, tmp_path / "state")
    try:
        told = [line for line in daemon.log.splitlines() if all(word in line for word in says)]
        assert len(told) == 1, daemon.log
        if not name.startswith("guardhooks") and b"disable" not in (content or b""):
            assert str(file) in told[0]
        report = daemon.ask("status")
        assert [jail["state"] for jail in report["jails"]] == ["running"]
        assert [problem for problem in report["problems"] if all(word in problem for word in says)]
    finally:
        assert daemon.stop() == 0
    assert "Traceback" not in daemon.log


def test_without_an_enabled_jail_it_runs_and_says_that_nothing_is_guarded(tmp_path: Path) -> None:
    config = plain_config(tmp_path / "config", tmp_path / "log")
    (config / "jail.local").write_text("[plain]\nenabled = false\n")
    daemon = Daemon(Unprivileged(), config, tmp_path / "state")

    assert f"no jail is enabled in {config}: nothing is guarded" in daemon.log
    assert "no jail is enabled: nothing is guarded" in daemon.command("status").stdout
    assert daemon.stop() == 0


# --- logs and actions -----------------------------------------------------------------------------------------------


def test_a_missing_log_is_waited_for_and_read_when_it_comes(tmp_path: Path) -> None:
    config = plain_config(tmp_path / "config", tmp_path / "later.log")
    daemon = Daemon(Unprivileged(), config, tmp_path / "state")
    daemon.wait_for_log(f"[plain] waiting: no file {tmp_path}/later.log yet")
    [jail] = daemon.ask("status")["jails"]
    assert (jail["state"], jail["sources"][0]["state"]) == ("running", "waiting")

    (tmp_path / "later.log").write_text(f"{time.strftime('%Y-%m-%d %H:%M:%S')} login failed from 198.51.100.7\n" * 3)
    daemon.wait_for_log("[plain] Would ban 198.51.100.7")
    daemon.wait_for_log(f"[plain] reading: {tmp_path}/later.log")
    assert daemon.stop() == 0


class Apart(Here):
    """This machine with a network, and so a firewall, of its own for each process."""

    def command(self, *argv: str | Path) -> list[str]:
        return ["unshare", "--net", *super().command(*argv)]


@pytest.mark.usefixtures("_range_works")
@pytest.mark.parametrize(
    ("action", "state", "says"),
    [
        (
            "teleport",
            "unserved",
            "jail.conf:8: [plain] action: no plugin serves action 'teleport'; nor is there a file",
        ),
        ("nftabels", "unserved", "nor is there a file of that name in action.d; did you mean 'nftables'?"),
        (
            "nftables[port=htps]",
            "failing",
            "port 'htps' is no number and no service of /etc/services for tcp, udp; did you",
        ),
        ("nftables[port=nosuch]", "failing", "port 'nosuch' is no number and no service of /etc/services"),
        ("ipset[chain=a;b]", "failing", "chain 'a;b' is not a chain name"),
    ],
)
def test_an_action_that_cannot_work_is_shown_and_no_ban_passes_for_real(
    tmp_path: Path, action: str, state: str, says: str
) -> None:
    config = plain_config(tmp_path / "config", tmp_path / "log", action=action)
    daemon = Daemon(Apart(), config, tmp_path / "state")
    try:
        wait_for(lambda: says in daemon.log, says)
        assert len([line for line in daemon.log.splitlines() if says in line]) == 1
        [jail] = daemon.ask("status")["jails"]
        assert (jail["state"], jail["actions"][0]["state"]) == ("degraded", state)
        assert len([line for line in daemon.command("status").stdout.splitlines() if says in line]) == 1
        ban = daemon.command("ban", "plain", "198.51.100.7", check=False)
        assert ban.returncode == 1
        assert "is not in force" in ban.stderr
    finally:
        daemon.kill()
