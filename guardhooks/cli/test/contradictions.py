"""Options of `guardhooks test` that cannot be meant together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import click

_FORMS: Final = (("--bans", "--explain"), ("--json", "--explain"))
_LISTS: Final = ("--print-missed", "--print-ignored", "--print-matched")
_ONLY_WITH_BANS: Final = ("maxretry", "findtime", "bantime")


def refuse_contradictions(flags: Mapping[str, bool], changes: Mapping[str, object]) -> None:
    """Refuse what would otherwise win in silence over another option.

    :param flags: by name, whether it was given.
    :param changes: by the names of `Overrides`, what replaces values of the jail; None where it was not given.
    :raises click.UsageError: naming both options.
    """
    pairs = [
        *_FORMS,
        *((form, option) for form in ("--bans", "--explain", "--json") for option in _LISTS),
        *((form, "--all") for form in ("--bans", "--json")),
    ]
    for one, other in pairs:
        if flags[one] and flags[other]:
            raise click.UsageError(f"{one} and {other} cannot be combined")
    for name in _ONLY_WITH_BANS:
        if changes[name] is not None and not flags["--bans"]:
            raise click.UsageError(f"--{name} needs --bans; without it nothing is counted")
    if changes["journal"]:
        for name in ("datepattern", "timezone"):
            if changes[name] is not None:
                raise click.UsageError(f"--journal and --{name} cannot be combined: journal text has no date")
