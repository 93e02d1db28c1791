"""The set of one action for one IP version."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from guardhooks import ActionError
from guardhooks_core.actions.firewall.entries import Entries, Entry
from guardhooks_core.actions.firewall.names import kernel_name
from guardhooks_core.actions.ipset import kernel


@dataclass(frozen=True, slots=True)
class IpsetBackend:
    """See `SetBackend`. `limit` is the set's maxelem."""

    jail: str
    name: str
    version: int
    limit: int

    @property
    def longest(self) -> float:
        return kernel.LONGEST

    def set_of(self, entry: Entry) -> str:  # noqa: ARG002 -- all entries live in this set
        return self.name

    def read(self, wanted: Entries) -> Entries:  # noqa: ARG002 -- all is read
        current = kernel.read(self.name)
        return current.entries if current is not None and current.fits(self.version) else {}

    def prepare(self, wanted: Entries) -> None:
        """There is only this set, which `ensure` makes."""

    def add(self, entries: Entries) -> None:
        if entries:
            kernel.add(self.name, entries, self.limit)

    def replace(self, entries: Entries) -> None:
        self.add(entries)

    def remove(self, entries: Iterable[Entry]) -> None:
        kernel.remove(self.name, entries)

    def ensure(self, planned: Entries) -> int:
        """Make the set exist, of the right type and size; how many changes that took.

        :raises ActionError: when somebody else's set has that name.
        """
        current = kernel.read(self.name)
        if current is not None and not current.fits(self.version):
            raise ActionError(
                f"set {self.name} is a {current.type} set that is not guardhooks' own and is left alone: stop "
                f"fail2ban and `ipset destroy {self.name}`, or give the action another name="
            )
        if current is None:
            kernel.create(self.name, self.version, self.limit)
        elif current.max_elements != self.limit:
            self._resize(planned)
            return 1
        return 0

    def _resize(self, planned: Entries) -> None:
        """Fill a new set, and let it replace the old one atomically."""
        new = kernel_name("f2b-", self.name, ".new")
        kernel.destroy(new)
        kernel.create(new, self.version, self.limit)
        kernel.add(new, planned, self.limit)
        kernel.swap(self.name, new)
        kernel.destroy(new)
