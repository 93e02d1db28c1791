"""What a line matcher found in one chunk: columns that become `Failure` objects where somebody looks at one."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

from guardhooks.model import Failure, Fields


class Findings(Sequence[Failure]):
    """The failures of one chunk as columns, for matchers that find many at a time. Only if you like: a list does too.

    The columns stand beside the failures, without helper lines (`nofail`). They must not change any more.
    A `Failure` is made only of those that somebody must look at: a plugin that has no `screen_failures`, or one that
    decides about a ban.
    """

    __slots__ = ()

    @property
    @abstractmethod
    def jails(self) -> Sequence[str]:
        """The jail of each failure."""

    @property
    @abstractmethod
    def ids(self) -> Sequence[str]:
        """Whom each failure counts against; empty where `unresolved` has it."""

    @property
    @abstractmethod
    def addresses(self) -> Sequence[str]:
        """The offender's single address of each failure; empty where only a text id is known."""

    @property
    @abstractmethod
    def times(self) -> Sequence[float]:
        """When each failure happened, in epoch seconds."""

    @property
    @abstractmethod
    def unresolved(self) -> Sequence[int]:
        """The indexes of the failures with a host name that must be looked up."""

    @abstractmethod
    def matches(self, index: int) -> tuple[str, ...]:
        """The log lines of one failure."""


@dataclass(frozen=True, slots=True)
class FailureLines:
    """The log lines of failures that are counted together: a call with the place of one of them gives its lines.

    `findings` has them as columns, where there are some; `rows` says at which row the failure of a place stands.
    """

    read: Callable[[int], Sequence[str]]
    rows: Sequence[int]
    findings: Findings | None = None

    def __call__(self, place: int) -> Sequence[str]:
        return self.read(self.rows[place])

    @classmethod
    def of(cls, failure: Failure) -> FailureLines:
        """Those of a single failure."""
        return cls(lambda _: failure.matches, (0,))


@dataclass(slots=True)
class _Draft:
    """A `Failure` that is not frozen yet, with the same slots, so that its class can be changed.

    A frozen dataclass sets each field through `object.__setattr__`, which takes five times as long.
    """

    jail: str
    id: str
    time: float
    address: str
    matches: tuple[str, ...]
    fields: Fields
    failregex: int
    resolve: str
    nofail: bool
    notes: dict[str, str]


def new_failure(  # noqa: PLR0917 -- one argument for each field; keywords would take longer
    jail: str,
    id: str,
    time: float,
    address: str,
    matches: tuple[str, ...],
    fields: Fields,
    failregex: int,
    resolve: str,
    nofail: bool = False,
) -> Failure:
    """A `Failure` with these fields, made faster than by its constructor."""
    draft = _Draft(jail, id, time, address, matches, fields, failregex, resolve, nofail, {})
    draft.__class__ = Failure  # type: ignore[assignment]  # equal slots
    return cast("Failure", draft)
