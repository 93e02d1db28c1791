"""A memory of bans that is shorter than what the jails look back on."""

from __future__ import annotations

from collections.abc import Iterator

from guardhooks.check.site import Site
from guardhooks.model import ConfigFinding, Severity
from guardhooks.settings.option_types import render_duration


def short_history(site: Site) -> Iterator[ConfigFinding]:
    """A note: the daemon remembers for as long as the longest findtime, whatever the file says."""
    age = site.settings.history_age
    setting = next((found for section in site.daemon if (found := section.find("history_age"))), None)
    if setting is None or setting.place is None:
        return
    for jail in site.jails.values():
        if jail.findtime > age:
            yield ConfigFinding(
                f"bans are to be forgotten after {render_duration(age)}, before findtime = "
                f"{render_duration(jail.findtime)} is over",
                Severity.NOTE,
                why="they are remembered for the longer time",
                remedy=f"set {setting.place.key} = {render_duration(jail.findtime)}",
                file=setting.place.file,
                line=setting.place.line,
                jails=(jail.name,),
            )
