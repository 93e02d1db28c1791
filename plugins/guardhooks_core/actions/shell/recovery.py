"""After a restart: what an earlier process left in force, as far as receipts and `actioncheck` can tell.

Where both vouch for it, nothing is run: the bans held all the while, and only the differences are made. Where they do
not, leftovers are cleared away (`actionflush`, `actionstop`) before the action starts afresh; an action that has no
such command gets each ban undone before it is done again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from guardhooks import Ban
from guardhooks_core.actions.common.offender import address_of
from guardhooks_core.actions.shell.families import Families
from guardhooks_core.actions.shell.journal import Done


@dataclass
class Legacy:
    """Bans that are in force for certain, and those that may be."""

    held: dict[str, Ban] = field(default_factory=dict)
    doubtful: dict[str, Ban] = field(default_factory=dict)


async def take_over(families: Families, done: Done | None, due: Mapping[str, Ban], *, kept: bool) -> Legacy:
    """Adopt or clear away what an earlier process left.

    :param done: its receipts, None where there are none.
    :param due: the bans that should be in force.
    :param kept: whether receipts are kept at all, so that having none means that nothing was done.
    """
    legacy = Legacy()
    for family in families.invoker.commands.families:
        if families.is_shared(family):
            continue
        stands = await families.stands(family)
        if done is not None and _is_reliable(done, stands):
            _adopt(families, family, done, due, legacy)
            continue
        leftovers = done is not None or stands or (stands is None and not kept)
        if leftovers and not await _clear(families, family) and stands is not False:
            known = {**_bans_of(done, families.invoker.jail), **due}
            legacy.doubtful.update(_only(families, family, known))
    return legacy


def _is_reliable(done: Done, stands: bool | None) -> bool:
    return done.same_commands and stands is not False and (stands is True or done.same_boot)


async def _clear(families: Families, family: str) -> bool:
    """Run what removes bans or all that was built; whether anything did."""
    cleared = False
    for command in ("actionflush", "actionstop"):
        if families.invoker.has(command, family):
            cleared = (await families.invoker.run(command, family)).ok or cleared
    return cleared


def _adopt(families: Families, family: str, done: Done, due: Mapping[str, Ban], legacy: Legacy) -> None:
    if family in done.started:
        families.adopt(family)
    for id, ban in _only(families, family, _bans_of(done, families.invoker.jail)).items():
        into = legacy.held if id in done.held and done.same_boot else legacy.doubtful
        wanted = due.get(id, ban)
        into[id] = ban if wanted.end > ban.end else wanted  # the shorter one, so that it is seen to be prolonged


def _only(families: Families, family: str, bans: Mapping[str, Ban]) -> dict[str, Ban]:
    commands = families.invoker.commands
    return {id: ban for id, ban in bans.items() if commands.family_of(address_of(ban)) == family}


def _bans_of(done: Done | None, jail: str) -> dict[str, Ban]:
    """Bans of which only ids and ends are known."""
    if done is None:
        return {}
    return {id: Ban(id, jail, 0.0, end, restored=True) for id, end in {**done.held, **done.doubtful}.items()}
