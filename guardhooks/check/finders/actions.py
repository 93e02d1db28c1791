"""Actions that nothing carries out."""

from __future__ import annotations

from collections.abc import Iterator

from guardhooks.check.site import Site
from guardhooks.model import ConfigFinding, Severity


def unserved_actions(site: Site) -> Iterator[ConfigFinding]:
    """Actions without a file for which no plugin declares options, and jails without any action.

    A plugin that serves such an action may declare nothing; where one from elsewhere is installed it is a note.
    """
    declared = {name for table in site.tables if table.place == "action" for name in table.names}
    foreign = any(not origin.startswith("guardhooks ") for origin in site.plugins.names().values())
    for jail in site.jails.values():
        for action in jail.actions:
            if action.file or action.name in declared:
                continue
            file, line = _place(action.place)
            near = action.nearest
            yield ConfigFinding(
                f"there is no action {action.name!r} in action.d, and no plugin says that it serves it",
                Severity.NOTE if foreign and not near else Severity.ERROR,
                why="nobody is kept out by it",
                remedy=f"write {near!r}" if near else "correct its name, or install the plugin that serves it",
                nearest=near,
                jails=(jail.name,),
                file=file,
                line=line,
                key="action",
            )


def _place(text: str) -> tuple[str, int]:
    """File and line out of `file:line: [section] key`."""
    file, _, line = text.partition(": [")[0].rpartition(":")
    return (file, int(line)) if line.isdigit() else ("", 0)
