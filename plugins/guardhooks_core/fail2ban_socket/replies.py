"""Writes answers as pickles, opcode by opcode: plain values, and exceptions by reference.

Clients unpickle what they get, so it never depends on a module of ours: `builtins` and `fail2ban.exceptions` only.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

END: Final = b"<F2B_END_COMMAND>"
_END_TEXT: Final = END.decode()
_PROTOCOL: Final = b"\x80\x02"


@dataclass(frozen=True, slots=True)
class Kind:
    """A class of exceptions that clients have."""

    module: str
    name: str


PLAIN: Final = Kind("builtins", "Exception")
INDEX_ERROR: Final = Kind("builtins", "IndexError")
VALUE_ERROR: Final = Kind("builtins", "ValueError")
KEY_ERROR: Final = Kind("builtins", "KeyError")
ATTRIBUTE_ERROR: Final = Kind("builtins", "AttributeError")
RUNTIME_ERROR: Final = Kind("builtins", "RuntimeError")
UNKNOWN_JAIL: Final = Kind("fail2ban.exceptions", "UnknownJailException")
DUPLICATE_JAIL: Final = Kind("fail2ban.exceptions", "DuplicateJailException")


class CommandError(Exception):
    """What a command of fail2ban's answers when it fails: an exception of this kind, with this text."""

    def __init__(self, text: str, kind: Kind = PLAIN) -> None:
        super().__init__(text)
        self.text, self.kind = text, kind


def success(value: object) -> bytes:
    """The answer `(0, value)`, ready to be sent."""
    return _PROTOCOL + _value(0) + _value(value) + b"\x86." + END


def failure(error: CommandError) -> bytes:
    """The answer `(1, exception)`, ready to be sent."""
    reference = f"c{error.kind.module}\n{error.kind.name}\n".encode("ascii")
    return _PROTOCOL + _value(1) + reference + _value(error.text) + b"\x85R" + b"\x86." + END


def _value(value: object) -> bytes:
    if value is None:
        return b"N"
    if isinstance(value, bool):
        return b"\x88" if value else b"\x89"
    if isinstance(value, int):
        return _integer(value)
    if isinstance(value, float):
        return b"G" + struct.pack(">d", value)
    if isinstance(value, str):
        text = _shown(value).encode("utf-8", "replace")
        return b"X" + struct.pack("<I", len(text)) + text
    if isinstance(value, tuple):
        return b"(" + b"".join(map(_value, value)) + b"t"
    if isinstance(value, Mapping):
        return b"}(" + b"".join(_value(key) + _value(each) for key, each in value.items()) + b"u"
    assert isinstance(value, Sequence), f"answers are plain values, not {type(value).__name__}"
    return b"](" + b"".join(map(_value, value)) + b"e"


def _integer(value: int) -> bytes:
    if -(1 << 31) <= value < 1 << 31:
        return b"J" + struct.pack("<i", value)
    data = value.to_bytes((value.bit_length() + 8) // 8, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def _shown(text: str) -> str:
    """The text as a terminal may show it, and without the mark that ends an answer: ids are written by attackers."""
    if not text.isprintable():
        text = "".join(each if each.isprintable() or each in "\t\n" else ascii(each)[1:-1] for each in text)
    return text.replace(_END_TEXT, _END_TEXT.replace("_", "-"))
