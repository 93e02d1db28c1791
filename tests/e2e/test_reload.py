"""Every option of the daemon that a reload applies changes the running value; the others are said to need a restart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from guardhooks.settings.daemon_options import SECTIONS
from tests.e2e.daemon import Daemon
from tests.e2e.unprivileged import Unprivileged
from tests.kit.guards import plain_config
from tests.kit.waiting import wait_for

SPY = """import logging, guardhooks
@guardhooks.hookimpl
def execute_action(action, op, bans):
    if op is guardhooks.Op.CHECK:
        logging.getLogger("guardhooks.spy").info("the spy compares")
    logging.getLogger("guardhooks.spy").debug("the spy does %s", op)
    return True
"""
ADDRESS = "198.51.100.7"


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """It never compares by itself, remembers bans for long, and logs no debug lines."""
    (tmp_path / "log").touch()
    config = plain_config(tmp_path / "config", tmp_path / "log")
    (config / "jail.local").write_text("[plain]\nfindtime = 1s\n")
    (config / "hooks.d").mkdir()
    (config / "hooks.d" / "spy.py").write_text(SPY)
    (config / "guardhooks.conf").write_text("[Guardhooks]\nhistory_age = 30d\nreconcile = 1d\n")
    daemon = Daemon(Unprivileged(), config, tmp_path / "state")
    yield daemon
    daemon.kill()


def reload(daemon: Daemon, section: str, line: str) -> None:
    (daemon.config / "guardhooks.local").write_text(f"[{section}]\n{line}\n")
    daemon.command("reload")


def count_of_a_ban(daemon: Daemon, *options: str) -> int:
    """Which ban of this id the ledger counts it as, from 1."""
    [ban] = daemon.ask("ban", "plain", ADDRESS, *options)["banned"]
    return int(ban["count"])


def loglevel(daemon: Daemon) -> None:
    daemon.command("ban", "plain", ADDRESS)
    wait_for(lambda: "Would ban 198" in daemon.log, "the ban")
    assert "the spy does" not in daemon.log
    reload(daemon, "Guardhooks", "loglevel = DEBUG")
    daemon.command("unban", ADDRESS)
    daemon.wait_for_log("the spy does unban")


def reconcile(daemon: Daemon) -> None:
    daemon.command("ban", "plain", ADDRESS)
    wait_for(lambda: "Would ban 198" in daemon.log, "the ban")
    assert "the spy compares" not in daemon.log
    reload(daemon, "Guardhooks", "reconcile = 1s")
    daemon.wait_for_log("the spy compares")


def history_age(daemon: Daemon) -> None:
    assert count_of_a_ban(daemon, "--for", "1s") == 1
    wait_for(lambda: not daemon.ask("status", "plain")["banned"], "the end of the ban")
    assert count_of_a_ban(daemon) == 2
    daemon.command("unban", ADDRESS)
    reload(daemon, "Guardhooks", "history_age = 1s")

    def forgotten() -> bool:
        found = count_of_a_ban(daemon) == 1
        daemon.command("unban", ADDRESS)  # what is lifted by hand does not count
        return found

    wait_for(forgotten, "the first ban to be forgotten")


def disable(daemon: Daemon) -> None:
    def asked() -> set[str]:
        return {plugin["name"] for row in daemon.ask("plugins") for plugin in row["plugins"]}

    assert {"spy", "recidive"} <= asked()
    reload(daemon, "Plugins", "disable = spy recidive")
    assert not {"spy", "recidive"} & asked()


def require(daemon: Daemon) -> None:
    (daemon.config / "guardhooks.local").write_text("[Plugins]\ndisable = recidive\nrequire = spy recidive\n")
    refused = daemon.command("reload", check=False)
    assert refused.returncode != 0
    assert "[Plugins] require: plugin 'recidive' is needed, and is not in use" in refused.stderr
    assert daemon.ask("ping")["pid"] == daemon.pid
    reload(daemon, "Plugins", "require = spy recidive")


def logtarget(daemon: Daemon) -> None:
    file = daemon.state / "guard.log"
    reload(daemon, "Guardhooks", f"logtarget = {file}")
    assert "reloaded: " in file.read_text()


def lognames(daemon: Daemon) -> None:
    reload(daemon, "Guardhooks", "lognames = fail2ban")
    daemon.wait_for_log(" fail2ban.daemon ")


def trust_writable(daemon: Daemon) -> None:
    action = daemon.config / "action.d" / "tell.conf"
    action.parent.mkdir()
    action.write_text("[Definition]\nactionban = true\n")
    action.chmod(0o666)
    (daemon.config / "jail.local").write_text("[plain]\naction = tell\n")
    daemon.command("reload")
    assert "the commands of action tell are not run" in str(daemon.ask("status", "plain")["problems"])
    reload(daemon, "Guardhooks", "trust_writable = yes")
    assert "are not run" not in str(daemon.ask("status", "plain")["problems"])


def style(daemon: Daemon) -> None:
    reload(daemon, "Log", "style = detailed")
    daemon.command("ban", "plain", ADDRESS, "--for", "2h")
    daemon.wait_for_log(f"Would ban {ADDRESS} (")


CHECKS: dict[str, Callable[[Daemon], None]] = {
    "loglevel": loglevel, "history_age": history_age, "reconcile": reconcile, "disable": disable,
    "require": require,
    "logtarget": logtarget, "lognames": lognames,
    "trust_writable": trust_writable, "style": style,
}  # fmt: skip


def test_every_option_that_a_reload_applies_is_tried_here() -> None:
    assert CHECKS.keys() == {option.name for table in SECTIONS.values() for option in table if option.reload}


@pytest.mark.parametrize("option", CHECKS)
def test_a_reload_applies(daemon: Daemon, option: str) -> None:
    CHECKS[option](daemon)


@pytest.mark.parametrize(
    ("section", "option"), [(name, o.name) for name, table in SECTIONS.items() for o in table if not o.reload]
)
def test_what_needs_a_restart_is_said_by_a_reload(daemon: Daemon, section: str, option: str) -> None:
    reload(daemon, "Guardhooks", "loglevel = INFO")
    assert "restart the daemon" not in daemon.log
    value = {"instance": "second", "sync_bans": "no"}.get(option, "/run/elsewhere")
    (daemon.config / "guardhooks.local").write_text(f"[{section}]\n{option} = {value}\n")
    daemon.host.run("kill", "-HUP", str(daemon.pid))
    daemon.wait_for_log(f"[{section}] {option}: was changed; restart the daemon to apply it")


def test_what_nobody_reads_is_logged_and_shown_by_status(daemon: Daemon) -> None:
    (daemon.config / "jail.local").write_text(
        "[plain]\nreconcile = 5\naction = auto[maxelm=5]\nfilter = plain[lgtype=x]\n"
    )
    assert "degraded" in daemon.command("reload").stdout
    for says in (
        "jail.local:2: [plain] reconcile: is an option of the daemon",
        "jail.local:3: [plain] action: action auto has no option 'maxelm'; did you mean 'maxelem'?",
        "jail.local:4: [plain] filter: filter plain has no option 'lgtype'; did you mean 'logtype'?",
    ):
        assert says in daemon.log
        assert says in str(daemon.ask("status", "plain")["problems"])


SOURCE = """
import asyncio, pathlib, time
import guardhooks

class Lines:
    key = "site-lines"

    async def chunks(self, start):
        self.open = True
        file, seen = pathlib.Path({path!r}), 0
        while self.open:
            lines = file.read_text().split() if file.exists() else []
            for line in lines[seen:]:
                data, now = f"login failed from {{line}}\\n".encode(), time.time()
                yield guardhooks.Chunk(data, "{name}", now, times=(now,))
            seen = len(lines)
            await asyncio.sleep(0.02)

    def status(self):
        return guardhooks.SourceStatus(self.key, "reading", label="{name}")

    async def close(self):
        self.open = False

@guardhooks.hookimpl
def log_source(spec):
    return Lines() if spec.text.startswith("lines:") else None
"""


def write_source(daemon: Daemon, name: str) -> None:
    """A site hook whose source is called `name`, and reads the file of this name."""
    text = SOURCE.format(path=str(daemon.state.parent / name), name=name)
    (daemon.config / "hooks.d" / "lines.py").write_text(text)


def source_of(daemon: Daemon) -> str:
    return str(daemon.ask("status", "plain")["sources"][0]["label"])


def test_a_reload_says_what_it_changed(daemon: Daemon) -> None:
    conf = (daemon.config / "jail.conf").read_text()
    (daemon.config / "jail.local").write_text(conf.replace("[plain]", "[gone]"))
    assert "jail added: gone\n" in daemon.command("reload").stdout
    daemon.command("ban", "gone", ADDRESS)
    (daemon.config / "jail.local").write_text(f"[plain]\nmaxretry = 9\n{conf.replace('[plain]', '[new]')}")
    (daemon.config / "hooks.d" / "spy.py").write_text(SPY + "\n")
    said = daemon.command("reload").stdout
    assert "jail removed: gone, 1 ban lifted\n" in said
    assert "jail changed: plain (maxretry)\n" in said
    assert "jail added: new\n" in said
    assert "plugin changed: spy\n" in said
    assert "action started again: plain/observe\n" in said
    assert "reloaded\nnothing changed\n" in daemon.command("reload").stdout


def test_code_of_a_source_in_hooks_d_is_replaced_kept_when_broken_and_gone_when_removed(daemon: Daemon) -> None:
    write_source(daemon, "first")
    (daemon.config / "jail.local").write_text("[plain]\nlogpath = lines:site\n")
    daemon.command("reload")
    assert source_of(daemon) == "first"
    write_source(daemon, "second")
    assert "plugin changed: lines\n" in daemon.command("reload").stdout
    assert source_of(daemon) == "second"
    (daemon.config / "hooks.d" / "lines.py").write_text("def log_source(:\n")
    kept = daemon.command("reload", check=False)
    assert kept.returncode == 6
    assert "plugin kept as it was: lines: " in kept.stdout
    assert "SyntaxError" in kept.stdout
    assert source_of(daemon) == "second"
    (daemon.state.parent / "second").write_text(f"{ADDRESS}\n" * 3)
    daemon.wait_for_log(f"[plain] Would ban {ADDRESS}")
    (daemon.config / "hooks.d" / "lines.py").unlink()
    assert "plugin removed: lines\n" in daemon.command("reload", check=False).stdout
    assert daemon.ask("status", "plain")["sources"] == []
