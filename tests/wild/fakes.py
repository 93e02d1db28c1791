"""Fakes of the outside programs that actions call: they write down how they were called, and fail where told to.

Each command of an action file gets `ACTION=<actname>; export ACTION` in front: a fake knows for whom it runs. What
`actioncheck` calls is written down by itself, under the name of the action and `CHECK`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

_FAKE: Final = r"""#!/bin/sh
umask 022
line=$(printf '%s' "${0##*/}"; for each in "$@"; do printf ' <%s>' "$each"; done)
text=$(cat)
[ -z "$text" ] || line="$line
| $text"
printf '%s\n' "$line" >> "$CALLS/${ACTION:-unknown}"
[ ! -e "$FAILING/${ACTION:-unknown}" ] || ! grep -qxF -e "$1" -e "${0##*/}" "$FAILING/${ACTION:-unknown}"
"""
_COMMAND: Final = re.compile(
    r"^(action(?:start|stop|flush|check|repair|reload|ban|reban|unban|prolong)(?:\?family=\w+)?[ \t]*[=:])"
    r"(?=[ \t]*\S|[ \t]*\r?\n[ \t]+[^\s#;])",
    re.MULTILINE,
)
CHECK: Final = ".check"


class Fakes:
    """The programs of one daemon, and what they wrote down.

    :param programs: their names.
    """

    def __init__(self, folder: Path, programs: set[str]) -> None:
        self.bin, self._calls, self._failing = folder / "bin", folder / "calls", folder / "failing"
        for each in (self.bin, self._calls, self._failing):
            each.mkdir(parents=True)
        for name in programs:
            (self.bin / name).write_text(_FAKE)
            (self.bin / name).chmod(0o755)
        self.variables = {"CALLS": str(self._calls), "FAILING": str(self._failing)}

    def fail(self, action: str, *words: str) -> None:
        """Let the calls of this action fail whose program or first argument is one of `words`; no others."""
        for name in (action, action + CHECK):
            (self._failing / name).write_text("".join(f"{word}\n" for word in words))

    def of(self, action: str) -> list[str]:
        """What an action has called so far, in order; a line that begins with `| ` is what was piped in."""
        file = self._calls / action
        return file.read_text(errors="replace").splitlines() if file.exists() else []


def marked(text: str) -> str:
    """An action file whose commands tell the fakes for which action they run."""
    return _COMMAND.sub(_mark, text)


def _mark(command: re.Match[str]) -> str:
    which = CHECK if command[1].startswith("actioncheck") else ""
    return f"{command[1]} ACTION='<actname>{which}'; export ACTION;"
