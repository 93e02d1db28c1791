"""Makes `Failure`s fast: one for each matching line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from guardhooks import Failure


@dataclass(slots=True)
class _Draft:
    """A `Failure` that is not frozen yet: the same slots, so that it can become one.

    A frozen dataclass sets each field through `object.__setattr__`, which takes five times as long.
    """

    jail: str
    id: str
    time: float
    address: str
    matches: tuple[str, ...]
    fields: Mapping[str, object]
    failregex: int
    resolve: str
    nofail: bool
    notes: dict[str, str]


def failure(  # noqa: PLR0917 -- one for each field; keywords would take longer
    jail: str,
    id: str,
    time: float,
    address: str,
    matches: tuple[str, ...],
    fields: Mapping[str, object],
    failregex: int,
    resolve: str,
    nofail: bool = False,
) -> Failure:
    """A `Failure` with these fields."""
    draft = _Draft(jail, id, time, address, matches, fields, failregex, resolve, nofail, {})
    draft.__class__ = Failure  # type: ignore[assignment]  # equal slots
    return cast("Failure", draft)
