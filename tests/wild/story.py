"""The same story told to Debian's fail2ban and to us: jails that share one log start, ban, unban and stop.

fail2ban goes first. What its actions call in each step is what ours are waited for, so no step depends on a pause.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from tests.e2e.daemon import Daemon
from tests.e2e.here import Here
from tests.e2e.range import end, environment
from tests.kit.waiting import wait_for
from tests.wild.fakes import CHECK, Fakes

MISSING: Final = not shutil.which("fail2ban-server", path=environment()["PATH"]) and "CI" not in os.environ
_PATIENCE: Final = 60.0
_SENTINEL: Final = "zz-told"
"""An action behind the others of each jail. fail2ban runs them in turn, so its call says that they are through."""
_FILTER: Final = "[Definition]\nfailregex = ^ *fail <F-USER>\\w+</F-USER> <ADDR>$\n"
_DEFAULTS: Final = """[DEFAULT]
backend = polling
usedns = no
bantime = 1h
maxretry = 1
ignoreself = false
ipv6prefix = 128
filter = story
logpath = {log}
"""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a story: `ban` or `unban` with an address, or `fail` with the words that the fakes fail at."""

    verb: str
    what: str = ""

    def __str__(self) -> str:
        return f"{self.verb} {self.what}".strip()


Calls: TypeAlias = dict[str, dict[str, list[str]]]
"""What was called, by action and step; the first step is `start`, the last `stop`. Checks have their own names."""


@dataclass(frozen=True)
class Story:
    """Jails, each with one action of its own name, and the steps that they go through.

    `prepare` writes `action.d` and whatever else the jails need into the folder of a configuration. `sections` are the
    jails; `logpath` and `filter` come from their defaults. The fakes fail from the start at the words in `failing`.
    """

    actions: Sequence[str]
    steps: Sequence[Step]
    programs: set[str]
    prepare: Callable[[Path], None]
    sections: str
    failing: str = ""


def jails(actions: Sequence[str], brackets: str = "") -> str:
    """A jail for each action, named like it."""
    return "".join(
        f"[{name}]\nenabled = true\naction = {name}[actname={name}{brackets}]\n"
        f"         {_SENTINEL}[actname={_SENTINEL}-{name}]\n"
        for name in actions
    )


class _Side:
    """One of the daemons: its folder, its configuration and its fakes."""

    def __init__(self, story: Story, folder: Path, expected: Calls | None = None) -> None:
        self.story, self.folder, self._expected = story, folder, expected
        self.fakes = Fakes(folder, story.programs | {"told"})
        self.fail(story.failing)
        self.host = Here(PATH=f"{self.fakes.bin}:{environment()['PATH']}", **self.fakes.variables)
        self.config = self._configuration()
        names = [name + which for name in story.actions for which in ("", CHECK)]
        self.calls: Calls = {name: {} for name in names}
        self._past = dict.fromkeys(names, 0)

    def _configuration(self) -> Path:
        config = self.folder / "etc"
        for name in ("action.d", "filter.d"):
            (config / name).mkdir(parents=True)
        (config / "filter.d" / "story.conf").write_text(_FILTER)
        self.story.prepare(config)
        told = (f"action{each} = ACTION='<actname>' told {each}<ip>\n" for each in ("start", "ban", "unban"))
        (config / "action.d" / f"{_SENTINEL}.conf").write_text("[Definition]\n" + "".join(told))
        log = self.folder / "log"
        log.touch()
        (config / "jail.conf").write_text(_DEFAULTS.format(log=log) + self.story.sections)
        (config / "fail2ban.conf").write_text("[Definition]\ndbfile = None\nloglevel = INFO\n")
        (config / "guardhooks.conf").write_text("[Guardhooks]\nreconcile = 1h\n")
        return config

    def fail(self, words: str) -> None:
        """Let the fakes fail at these words, and at no others."""
        for action in self.story.actions:
            self.fakes.fail(action, *words.split())

    def offend(self, address: str) -> None:
        """Write a line that every jail bans for, and wait until they have."""
        with (self.folder / "log").open("a") as stream:
            stream.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} fail bob {address}\n")
        self.wait_until_told(f"ban{address}")

    def wait_until_told(self, what: str) -> None:
        """Until the sentinel behind each action was called so."""
        names = [f"{_SENTINEL}-{name}" for name in self.story.actions]
        wait_for(lambda: all(f"told <{what}>" in self.fakes.of(name) for name in names), what, 120)

    def note(self, step: str) -> None:
        """Note down what was called in this step, once as much was called as is expected."""
        if self._expected is not None:
            self._wait(step)
        for action in self.calls:
            lines = self.fakes.of(action)
            new, self._past[action] = lines[self._past[action] :], len(lines)
            self.calls[action].setdefault(step, []).extend(new)

    def _wait(self, step: str) -> None:
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:  # What is missing then is told by the comparison, with all calls.
            if all(self._is_complete(action, step) for action in self.story.actions):
                return
            time.sleep(0.02)  # between two looks at other processes, which have no event to give us

    def _is_complete(self, action: str, step: str) -> bool:
        assert self._expected is not None
        return len(self.fakes.of(action)) - self._past[action] >= len(self._expected[action].get(step, []))


def through_fail2ban(story: Story, folder: Path) -> Calls:
    """What the actions call under Debian's daemon."""
    side = _Side(story, folder)
    place = ["-c", side.config, "-s", folder / "f2b.sock", "-p", folder / "f2b.pid"]
    process = subprocess.Popen(
        side.host.command("fail2ban-server", "-f", *place, "--logtarget", folder / "f2b.log", "start"),
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment(),
    )  # fmt: skip
    try:
        side.wait_until_told("start")
        side.note("start")
        for step in story.steps:
            if step.verb == "fail":
                side.fail(step.what)
            elif step.verb == "ban":
                side.offend(step.what)
            else:
                side.host.run("fail2ban-client", *place, step.verb, step.what, timeout=60)
                side.wait_until_told(f"{step.verb}{step.what}")
            side.note(str(step))
    finally:
        end(process, 120)
    side.note("stop")
    return side.calls


def through_us(
    story: Story, folder: Path, theirs: Calls, look: Callable[[Daemon], object] = lambda daemon: None
) -> Calls:
    """What the actions call under our daemon; each step is over when as much was called as by fail2ban.

    :param look: called with the daemon before it stops.
    """
    side = _Side(story, folder, theirs)
    daemon = Daemon(side.host, side.config, folder / "state", patience=60)
    try:
        side.note("start")
        for step in story.steps:
            if step.verb == "fail":
                side.fail(step.what)
            elif step.verb == "ban":
                side.offend(step.what)
            else:
                daemon.command(step.verb, step.what)
            side.note(str(step))
        look(daemon)
        place = ["-c", side.config, "--state", folder / "state"]
        side.host.run(sys.executable, "-m", "guardhooks", "stop", "--flush", *place, timeout=120)
        side.note("stop")
    finally:
        daemon.stop()
        (folder / "guardhooks.log").write_text(daemon.log)
    return side.calls


def tell(story: Story, folder: Path) -> tuple[Calls, Calls]:
    """What is called by fail2ban and by us."""
    theirs = through_fail2ban(story, folder / "theirs")
    return theirs, through_us(story, folder / "ours", theirs)
