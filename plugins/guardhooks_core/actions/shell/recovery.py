"""After a restart: recovers what an earlier process left in force, according to its journal and `actioncheck`.

If both confirm it, no command runs: the bans were in force all the time, and only the differences are applied. If not,
leftovers are cleared (`actionflush`, `actionstop`) before the action starts; an action without such commands gets each
ban undone before it is done again. Without a journal nothing was done, and nothing is asked or cleared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from guardhooks import Ban
from guardhooks_core.actions.common.offender import address_of
from guardhooks_core.actions.shell.families import Families
from guardhooks_core.actions.shell.journal import JournalState


@dataclass
class Recovered:
    """Bans that are certainly in force, and bans that may be."""

    held: dict[str, Ban] = field(default_factory=dict)
    in_doubt: dict[str, Ban] = field(default_factory=dict)


async def recover(
    families: Families, state: JournalState | None, desired: Mapping[str, Ban], *, has_journal: bool
) -> Recovered:
    """Adopt or clear what an earlier process left.

    :param state: what its journal says; None if there is none.
    :param desired: the bans that should be in force.
    :param has_journal: whether journals are written at all, so that a missing one means that nothing was done.
    """
    recovered = Recovered()
    for family in families.invoker.commands.families:
        if families.is_shared(family) or (state is None and has_journal):
            continue
        intact = await families.is_intact(family)
        if state is not None and _is_reliable(state, intact):
            _adopt(families, family, state, desired, recovered)
            continue
        leftovers = state is not None or intact is not False
        if leftovers and not await families.clear(family) and intact is not False:
            known = {**_bans_of(state, families.invoker.jail), **desired}
            recovered.in_doubt.update(_only(families, family, known))
    return recovered


def _is_reliable(state: JournalState, intact: bool | None) -> bool:
    return state.same_commands and intact is not False and (intact is True or state.same_boot)


def _adopt(
    families: Families, family: str, state: JournalState, desired: Mapping[str, Ban], recovered: Recovered
) -> None:
    if family in state.started:
        families.adopt(family)
    for id, ban in _only(families, family, _bans_of(state, families.invoker.jail)).items():
        into = recovered.held if id in state.held and state.same_boot else recovered.in_doubt
        wanted = desired.get(id, ban)
        # The shorter of both ends, so that a longer ban is recognised and prolonged.
        into[id] = ban if wanted.end > ban.end else wanted


def _only(families: Families, family: str, bans: Mapping[str, Ban]) -> dict[str, Ban]:
    commands = families.invoker.commands
    return {id: ban for id, ban in bans.items() if commands.family_of(address_of(ban)) == family}


def _bans_of(state: JournalState | None, jail: str) -> dict[str, Ban]:
    """Bans of which only the id and the end are known."""
    if state is None:
        return {}
    return {id: Ban(id, jail, 0.0, end, restored=True) for id, end in {**state.held, **state.in_doubt}.items()}
