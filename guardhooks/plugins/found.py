"""What a matcher found in a chunk, as columns. The plugin boundary of `Findings`: its faults are caught here."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TypeAlias

from guardhooks.errors import PluginError
from guardhooks.findings import FailureLines, Findings
from guardhooks.model import Failure
from guardhooks.plugins.boundary import as_exception
from guardhooks.plugins.values import sound_failures

OnFault: TypeAlias = Callable[[Exception], None]


class Found:
    """Failures in order, each a row of the columns; a `Failure` is made of a row only where somebody asks for it.

    Helper lines (`nofail`) are not among them. `unresolved` are the rows with a host name that must be looked up.
    """

    __slots__ = ("_failures", "_fault", "_served", "addresses", "ids", "jails", "times", "unresolved")

    def __init__(
        self, failures: Iterable[Failure] = (), fault: OnFault | None = None, served: Collection[str] = ()
    ) -> None:
        """
        :param fault: is told when `failures` raise later, where a row is looked at, or are not what they should be.
        :param served: the jails whose failures these may be.
        :raises Exception: whatever they raise now.
        """
        self._fault, self._served = fault, served
        if isinstance(failures, Findings):
            self._take_columns(failures)
            return
        counting = [failure for failure in failures if not failure.nofail]
        self._failures: Sequence[Failure] = counting
        self.jails: Sequence[str] = [failure.jail for failure in counting]
        self.ids: Sequence[str] = [failure.id for failure in counting]
        self.addresses: Sequence[str] = [failure.address for failure in counting]
        self.times: Sequence[float] = [failure.time for failure in counting]
        self.unresolved: Sequence[int] = [row for row, failure in enumerate(counting) if failure.resolve]

    def _take_columns(self, findings: Findings) -> None:
        self._failures = findings
        self.jails, self.ids, self.addresses, self.times = columns = (
            findings.jails, findings.ids, findings.addresses, findings.times,
        )  # fmt: skip
        self.unresolved = findings.unresolved
        lengths = sorted({len(findings), *map(len, columns)})
        if len(lengths) > 1 or not all(0 <= row < lengths[0] for row in self.unresolved):
            raise PluginError(f"its Findings have columns of different lengths: {lengths}, {len(findings)} failures")

    def __len__(self) -> int:
        return len(self.jails)

    def failure(self, row: int) -> Failure | None:
        """The whole failure; None where the plugin cannot give it, which has been reported as its fault."""
        if self._fault is None:
            return self._failures[row]
        try:
            right, wrong = sound_failures([self._failures[row]], self._served)
        except BaseException as error:  # noqa: BLE001 -- the plugin boundary
            self._fault(as_exception(error))
            return None
        if wrong:
            self._fault(PluginError(f"it returned {wrong}"))
        return right[0] if right else None

    def lines(self, rows: Sequence[int]) -> FailureLines:
        """The log lines of the failures in these rows."""
        return FailureLines(self.matches, rows, self._failures if isinstance(self._failures, Findings) else None)

    def matches(self, row: int) -> Sequence[str]:
        """The log lines of a failure; none where the plugin cannot give them, which has been reported as its fault."""
        failures = self._failures
        if not isinstance(failures, Findings):
            return failures[row].matches
        try:
            return failures.matches(row)
        except BaseException as error:
            if self._fault is None:
                raise
            self._fault(as_exception(error))
            return ()
