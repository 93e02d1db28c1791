"""A ban as the ledger hands it out by the hundred thousand: its details are read when somebody asks for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, Final

from guardhooks.ledger.codec import Details
from guardhooks.model import Ban, Fields

_NAMES: Final = tuple(field.name for field in fields(Ban))
_set: Final = object.__setattr__


class StoredBan(Ban):
    """Equal to the `Ban` with the same values. Details that are gone from the disk are empty.

    Comparing what is due with the kernel takes neither matches nor fields, and of 100,000 bans they would take 100 MB.
    """

    __slots__ = ("_details", "_number", "_read")

    _read: Callable[[int], Details]
    _number: int
    _details: Details | None

    def __new__(cls, *args: Any, **values: Any) -> Any:  # noqa: ANN401 -- for `dataclasses.replace`: a plain one
        return Ban(*args, **values)

    @staticmethod
    def made(  # noqa: PLR0917 -- a row
        id: str, jail: str, start: float, length: float, count: int, failures: int, reason: str, number: int,
        read: Callable[[int], Details], *, restored: bool,
    ) -> Ban:  # fmt: skip
        """With `read`, which gets the details of the ban of that number; it may be called in any thread."""
        ban: StoredBan = object.__new__(StoredBan)
        _set(ban, "id", id)
        _set(ban, "jail", jail)
        _set(ban, "start", start)
        _set(ban, "length", length)
        _set(ban, "count", count)
        _set(ban, "failures", failures)
        _set(ban, "reason", reason)
        _set(ban, "restored", restored)
        _set(ban, "_number", number)
        _set(ban, "_read", read)
        _set(ban, "_details", None)
        return ban

    @property
    def matches(self) -> tuple[str, ...]:
        return self._loaded()[0]

    @property
    def fields(self) -> Fields:
        return self._loaded()[1]

    @property
    def notes(self) -> Mapping[str, str]:
        return self._loaded()[2]

    def _loaded(self) -> Details:
        details = self._details
        if details is None:
            details = self._read(self._number)
            _set(self, "_details", details)
        return details

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ban) and all(getattr(self, name) == getattr(other, name) for name in _NAMES)

    __hash__ = Ban.__hash__
