"""Programs that action files call and that are not installed."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from guardhooks.check.site import Site
from guardhooks.model import ActionSpec, ConfigFinding, Severity

_COMMANDS: Final = ("actionstart", "actionban", "actionunban")
_PROGRAM: Final = re.compile(r"(?:/[\w.+-]+)+|[a-z][\w.+-]*")
_SHELL: Final = frozenset({
    "alias", "bg", "break", "builtin", "case", "cd", "command", "continue", "do", "done", "echo", "elif", "else",
    "esac", "eval", "exec", "exit", "export", "false", "fg", "fi", "for", "function", "getopts", "hash", "if", "in",
    "jobs", "kill", "let", "local", "printf", "pwd", "read", "readonly", "return", "set", "shift", "source", "test",
    "then", "time", "times", "trap", "true", "type", "ulimit", "umask", "unalias", "unset", "until", "wait", "while",
})  # fmt: skip
"""Keywords and built-in commands of the shell."""
_OFF: Final = frozenset({"no", "false", "off", "0"})
"""`native = no`: the commands of the file run all the same."""
_LATER: Final = re.compile(r"[<%$`]")
"""What is only known when the command runs."""


def missing_programs(site: Site) -> Iterator[ConfigFinding]:
    """The first word of each line of a command. Actions that a plugin carries out need none."""
    served = {name for table in site.tables if table.place == "action" for name in table.names}
    for jail in site.jails.values():
        for action in jail.actions:
            if action.name in served and action.get("native").strip().lower() not in _OFF:
                continue
            for program in dict.fromkeys(_programs(action)):
                if shutil.which(program) is None:
                    yield ConfigFinding(
                        f"action {action.name} calls {program}, which is not installed",
                        Severity.ERROR,
                        why="its bans fail",
                        remedy=f"install {Path(program).name}, or use another action",
                        file=action.file,
                        jails=(jail.name,),
                    )


def _programs(action: ActionSpec) -> Iterator[str]:
    """Programs that are surely called: words that begin a line, and are no assignment, function or built-in."""
    for key in _COMMANDS:
        script = action.properties.get(key, "")
        if "()" in script or "<<" in script or "\\\n" in script:
            continue
        for line in script.split("\n"):
            word = line.strip().partition(" ")[0]
            if _PROGRAM.fullmatch(word) and word not in _SHELL and not _LATER.search(word):
                yield word
