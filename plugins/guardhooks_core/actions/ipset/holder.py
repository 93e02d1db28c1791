"""The set of one action for one IP version."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from guardhooks import ActionError
from guardhooks_core.actions.firewall.entries import Entries, Entry
from guardhooks_core.actions.firewall.names import kernel_name
from guardhooks_core.actions.ipset import sets


@dataclass(frozen=True, slots=True)
class FamilySet:
    """See `Holder`."""

    jail: str
    name: str
    version: int
    limit: int

    @property
    def longest(self) -> float:
        return sets.LONGEST

    def set_of(self, entry: Entry) -> str:  # noqa: ARG002 -- all entries live in this set
        return self.name

    def read(self, wanted: Entries) -> Entries:  # noqa: ARG002 -- all is read
        held = sets.read(self.name)
        return held.entries if held is not None and held.fits(self.version) else {}

    def prepare(self, wanted: Entries) -> None:
        """There is only this set, which `stand` makes."""

    def add(self, entries: Entries) -> None:
        if entries:
            sets.add(self.name, entries, self.limit)

    def replace(self, entries: Entries) -> None:
        self.add(entries)

    def remove(self, entries: Iterable[Entry]) -> None:
        sets.remove(self.name, entries)

    def stand(self, planned: Entries) -> int:
        """Make the set be there, of the right type and size; how many changes that took.

        :raises ActionError: when another's set of that name is in use.
        """
        held = sets.read(self.name)
        if held is not None and not held.fits(self.version):
            if held.references:
                raise ActionError(
                    f"set {self.name} is a {held.type} set that is not guardhooks' own and is in use: stop fail2ban, "
                    "remove its rules, or give the action another name="
                )
            sets.destroy(self.name)
            held = None
        if held is None:
            sets.create(self.name, self.version, self.limit)
        elif held.max_elements != self.limit:
            self._resize(planned)
            return 1
        return 0

    def _resize(self, planned: Entries) -> None:
        """A new set is filled and takes the old one's place in one moment."""
        new = kernel_name("f2b-", self.name, ".new")
        sets.destroy(new)
        sets.create(new, self.version, self.limit)
        sets.add(new, planned, self.limit)
        sets.swap(self.name, new)
        sets.destroy(new)
