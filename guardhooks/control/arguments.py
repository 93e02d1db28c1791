"""The kinds of arguments that a request can have, and how their JSON values are checked."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from guardhooks.control.protocol import RequestError
from guardhooks.model import PERMANENT
from guardhooks.net.addresses import canonical
from guardhooks.text import safe_text

_ID_LIMIT: Final = 512
"""Longest id in characters."""


class ArgumentKind(StrEnum):
    """What an argument may be."""

    TEXT = "text"
    FLAG = "flag"
    """true or false."""
    NUMBER = "number"
    """A finite number, as float."""
    DURATION = "duration"
    """1 to 1e10 seconds, or -1 (as `math.inf`): permanent."""
    IDS = "ids"
    """A list of texts that is not empty."""
    ADDRESS = "address"
    """A single IP address, in canonical spelling; empty text stays empty."""


def parse_argument(name: str, kind: ArgumentKind, value: object) -> Any:  # noqa: ANN401 -- the type follows from the kind
    """The value of an argument.

    :raises RequestError: when it is not of this kind.
    """
    return _PARSERS[kind](name, value)


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise RequestError(f'"{name}" must be text', "usage")
    return value


def _flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise RequestError(f'"{name}" must be true or false', "usage")
    return value


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise RequestError(f'"{name}" must be a number', "usage")
    return float(value)


def _duration(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RequestError(f'"{name}" must be a number of seconds, or -1 for a permanent ban', "usage")
    if value == -1:
        return PERMANENT
    if not math.isfinite(value) or not 1 <= value <= 1e10:
        raise RequestError(f'"{name}" must be 1 to 1e10 seconds, or -1 for a permanent ban', "usage")
    return float(value)


def _ids(name: str, value: object) -> list[str]:
    if not isinstance(value, list) or not value or not all(isinstance(each, str) for each in value):
        raise RequestError(f'"{name}" must be a list of addresses, networks or other ids, not empty', "usage")
    return value


def _address(name: str, value: object) -> str:
    text = _text(name, value)
    address = canonical(text.strip())
    if text and (not address or "/" in address):
        raise RequestError(f"{safe_text(text, 100)!r} is not a single address", "usage")
    return address


def canonical_ids(ids: list[str], *, any_text: bool) -> list[str]:
    """Ids in canonical spelling, each once. Text that is not an address is a typing error, unless `any_text`.

    :raises RequestError: naming the one that cannot be used.
    """
    return list(dict.fromkeys(_canonical_id(each, any_text=any_text) for each in ids))


def _canonical_id(text: str, *, any_text: bool) -> str:
    address = canonical(text.strip())
    if address:
        return address
    if not any_text:
        raise RequestError(
            f"{safe_text(text, 100)!r} is neither an address nor a network; for an id of another kind add --text",
            "usage",
        )
    if not text or len(text) > _ID_LIMIT or not text.isprintable():
        raise RequestError(f"an id is 1 to {_ID_LIMIT} printable characters", "usage")
    return text


_PARSERS: Final[Mapping[ArgumentKind, Callable[[str, object], object]]] = MappingProxyType(
    {
        ArgumentKind.TEXT: _text,
        ArgumentKind.FLAG: _flag,
        ArgumentKind.NUMBER: _number,
        ArgumentKind.DURATION: _duration,
        ArgumentKind.IDS: _ids,
        ArgumentKind.ADDRESS: _address,
    }
)
