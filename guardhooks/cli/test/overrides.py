"""What the command line changes in the jail that is tested."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from guardhooks.model import FilterSpec, Jail

_ALL: Final = 10_000
"""`maxmatches` of testers, who want to see every line of a session."""


@dataclass(frozen=True, slots=True)
class Overrides:
    """None leaves the jail's or filter's own value. `journal` means lines without dates."""

    ignoreregex: str | None = None
    timezone: str | None = None
    journal: bool = False
    encoding: str | None = None
    datepattern: str | None = None
    maxlines: int | None = None
    usedns: str | None = None
    maxretry: int | None = None
    findtime: float | None = None
    bantime: float | None = None

    def apply(self, jail: Jail) -> Jail:
        """The jail as it is to be tested."""
        from guardhooks.model import PERMANENT

        changes = {
            "logtimezone": self.timezone,
            "logencoding": self.encoding,
            "usedns": self.usedns,
            "maxretry": self.maxretry,
            "findtime": self.findtime,
            "bantime": PERMANENT if self.bantime is not None and self.bantime < 0 else self.bantime,
        }
        assert jail.filter is not None, "only jails with a filter are tested"
        return replace(jail, filter=self._filter(jail.filter), maxmatches=_ALL, **_given(changes))

    def _filter(self, filter_: FilterSpec) -> FilterSpec:
        changes = {
            "ignoreregex": None if self.ignoreregex is None else tuple(filter(None, [self.ignoreregex])),
            "datepattern": None if self.datepattern is None else (self.datepattern,),
            "maxlines": self.maxlines,
        }
        return replace(filter_, **_given(changes))


def _given(changes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in changes.items() if value is not None}
