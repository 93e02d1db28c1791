"""Shell commands from files that others may write are not run: whoever wrote them would act as root."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from guardhooks.errors import ConfigError
from guardhooks.model import ActionSpec, Jail, Problem
from guardhooks.settings.action_options import COMMANDS
from guardhooks.settings.definitions import PACKAGED
from guardhooks.settings.jail_files import JailFiles
from guardhooks.system.writers import Doubt, Writers

SWITCH: Final = "trust_writable"
_COMMANDS: Final = frozenset(option.name for option in COMMANDS if option.name.startswith("action"))
_WHO: Final = "who can write it decides who is banned, and could run commands as this user"


class Trust:
    """Which configuration files are trusted: all in the packaged folder, which are as safe as the program itself."""

    def __init__(self) -> None:
        self._writers = Writers()
        self._packaged = {PACKAGED, PACKAGED.resolve()}

    def doubt(self, files: Iterable[Path]) -> Doubt | None:
        """The first reason for which one of these files is not trusted; None if all are."""
        for file in files:
            if not self._packaged & {*file.parents, *file.resolve().parents} and (found := self._writers.doubt(file)):
                return found
        return None

    def problems(self, files: Iterable[Path]) -> list[Problem]:
        """One problem for each file, folder or link that others may write."""
        found = dict.fromkeys(doubt for file in files if (doubt := self.doubt([file])))
        return [Problem(f"{doubt.reason}: {_WHO}; {doubt.remedy}", str(doubt.path)) for doubt in found]

    def without_commands(self, jail: Jail, files: JailFiles) -> Jail:
        """The jail without the shell commands that others may have written, and with the problems that follow."""
        in_jail = self.doubt(files.config.files)
        problems = list(jail.problems)
        actions = []
        for action in jail.actions:
            doubt = in_jail or self.doubt(_files_of(action, files))
            if doubt and _has_commands(action):
                problems.append(_refused(f"the commands of action {action.actname}", jail, "action", doubt))
                actions.append(_without_commands(action))
            else:
                actions.append(action)
        jail = replace(jail, actions=tuple(actions))
        if in_jail and jail.ignorecommand:
            problems.append(_refused("ignorecommand", jail, "ignorecommand", in_jail))
            jail = replace(jail, ignorecommand="")
        return replace(jail, problems=tuple(dict.fromkeys(problems)))


def _refused(what: str, jail: Jail, key: str, doubt: Doubt) -> Problem:
    plural = "are" if what.startswith("the commands") else "is"
    message = f"{what} {plural} not run: {doubt}, or say `{SWITCH} = yes` in guardhooks.conf"
    return Problem(message, section=jail.name, key=key)


def _files_of(action: ActionSpec, files: JailFiles) -> Iterator[Path]:
    try:
        found = files.library.find("action.d", action.name)
    except ConfigError:
        found = None
    yield from found.files if found else ()


def _has_commands(action: ActionSpec) -> bool:
    return any(
        key.partition("?")[0] in _COMMANDS and text.strip()
        for values in (action.options, action.properties)
        for key, text in values.items()
    )


def _without_commands(action: ActionSpec) -> ActionSpec:
    """Left are the options, for a plugin that serves the action; where none does, it is unserved and says so."""

    def left(values: Mapping[str, str]) -> dict[str, str]:
        return {key: text for key, text in values.items() if key.partition("?")[0] not in _COMMANDS}

    return replace(action, options=left(action.options), properties=left(action.properties))
