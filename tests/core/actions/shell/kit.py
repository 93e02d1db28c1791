"""Actions made of commands that write to files, and bans."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from guardhooks import ActionSpec, Ban, Jail, Op, Outcome
from guardhooks_core.actions.shell import ShellAction

JAIL = Jail("jail")
NOW = 1_800_000_000.0


def ban(id: str, length: float = 600.0, **more: Any) -> Ban:  # noqa: ANN401 -- Ban's own
    return Ban(id, JAIL.name, NOW, length, **more)


class Ledger:
    def __init__(self, bans: Sequence[Ban] = ()) -> None:
        self.bans = bans

    def find(self, id: str, jail: str | None = None) -> list[Ban]:
        return [ban for ban in self.bans if ban.id == id and jail in {None, ban.jail}]

    def totals(self, jail: str) -> SimpleNamespace:
        return SimpleNamespace(failures=30, bans=20, banned=10)

    def history(self, id: str) -> Sequence[Ban]:
        return [Ban(id, "other", 0, 1, failures=4), Ban(id, JAIL.name, 0, 1, failures=3)]


class Bench:
    """One action under one plugin; `restart` is what a restart of the daemon is to it."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self.folder = folder
        self.clock = clock
        self.restart()

    def restart(self, *jails: Jail, bans: Sequence[Ban] = ()) -> None:
        """:param bans: those in the ledger."""
        self.plugin = ShellAction(self.clock)
        self.plugin.on_start(
            SimpleNamespace(
                ledger=Ledger(bans),
                ledger_file=self.folder / "ledger.sqlite3",
                jails={jail.name: jail for jail in jails},
            )
        )

    def action(self, *, name: str = "test", options: dict[str, str] | None = None, **properties: str) -> ActionSpec:
        """An action with these properties; `FOLDER` in them stands for the folder, `__family_inet6` for a condition."""
        ready = {
            key.replace("__family_", "?family="): text.replace("FOLDER", str(self.folder))
            for key, text in properties.items()
        }
        return ActionSpec(name, name, {"name": "jail", "actname": name, **(options or {})}, ready)

    async def do(self, action: ActionSpec, op: Op, *bans: Ban) -> Outcome | bool | None:
        return await self.plugin.execute_action(JAIL, action, op, bans)

    def logger(self, **more: str) -> ActionSpec:
        """An action that writes a line for each of its commands."""
        commands = {key: f"echo {key.removeprefix('action')} >> FOLDER/log" for key in ("actionstart", "actionstop")}
        bans = {key: f"echo {key.removeprefix('action')} <ip> >> FOLDER/log" for key in ("actionban", "actionunban")}
        return self.action(**{**commands, **bans, **more})

    @property
    def log_length(self) -> int:
        """Lines so far."""
        file = self.folder / "log"
        return len(file.read_text().splitlines()) if file.exists() else 0

    @property
    def log(self) -> list[str]:
        """The lines of `logger`, which is emptied."""
        file = self.folder / "log"
        lines = file.read_text().splitlines() if file.exists() else []
        file.unlink(missing_ok=True)
        return lines
