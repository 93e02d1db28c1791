"""Decodes the bytes of log lines. Invalid bytes become U+FFFD."""

from __future__ import annotations

import codecs
from typing import Final

_CODE_UNITS: Final = {"utf-16": 2, "utf-16-le": 2, "utf-16-be": 2, "utf-32": 4, "utf-32-le": 4, "utf-32-be": 4}


class Decoder:
    """Decodes lines of one encoding; `auto` is UTF-8."""

    def __init__(self, encoding: str) -> None:
        """:raises LookupError: if Python does not know the encoding."""
        wanted = "utf-8" if encoding.strip().lower() in {"", "auto"} else encoding.strip()
        self.name = codecs.lookup(wanted).name
        self._unit = _CODE_UNITS.get(self.name, 1)
        # Without a byte order mark, little-endian is assumed.
        self._codec = f"{self.name}-le" if self.name in {"utf-16", "utf-32"} else self.name
        self.ascii_bytes = self._unit == 1 and _keeps_ascii(self.name)

    def decode(self, line: bytes) -> str:
        """`line` as text, without its line end."""
        if self._unit > 1:
            return self._decode_wide(line)
        return line.decode(self._codec, "replace").rstrip("\r\n")

    def decode_all(self, lines: bytes) -> list[str]:
        """Several whole lines as texts; equal to `decode` for each, but faster."""
        if self._codec != "utf-8":
            return [self.decode(line) for line in lines.removesuffix(b"\n").split(b"\n")]
        texts = lines.removesuffix(b"\n").decode("utf-8", "replace").split("\n")
        return [text.rstrip("\r") for text in texts] if b"\r" in lines else texts

    def _decode_wide(self, line: bytes) -> str:
        """The source splits at the byte 0x0A, which leaves part of the newline's code unit at one end of a line."""
        body = line.removesuffix(b"\n")
        if self._codec.endswith("le"):
            excess = len(body) % self._unit
            body = body[self._unit - 1 :] if body.startswith(b"\0" * (self._unit - 1)) else body
            body = body[: len(body) - excess] if len(body) % self._unit else body
        else:
            body = body[: len(body) - len(body) % self._unit]
        text = body.decode(self._codec, "replace").rstrip("\r\n")
        return text.removeprefix("\ufeff")


def _keeps_ascii(name: str) -> bool:
    """Whether each ASCII character is encoded as its own byte, and no other character contains such a byte."""
    if name in {"utf-8", "utf-8-sig", "ascii"}:
        return True
    try:
        # Single-byte encodings decode each byte by itself; longer or stateful codes do not.
        decoded = [bytes([code]).decode(name, "strict" if code < 128 else "replace") for code in range(256)]
    except UnicodeDecodeError:
        return False
    plain = all(character == chr(code) for code, character in enumerate(decoded[:128]))
    return plain and all(len(character) == 1 for character in decoded) and name.startswith(("iso8859", "cp125", "koi8"))
