"""Log lines in which a client's own text names somebody else, made from templates of the servers' lines."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Final

ATTACKER: Final = "198.51.100.7"
"""Whom the server means in every line."""
VICTIM: Final = "192.0.2.66"
"""Whom the client's text names."""


@cache
def templates(file: Path) -> dict[str, list[str]]:
    """By filter, lines with places for a client's text; empty where the file is missing."""
    try:
        found: dict[str, list[str]] = json.loads(file.read_text(encoding="utf-8"))
    except OSError:
        return {}
    return found


def attacks(template: str) -> Iterator[bytes]:
    """The line with each payload that is made of it."""
    return (fill(template, payload) for payload in forged_payloads(template))


def forged_payloads(template: str) -> Iterator[bytes]:
    """The line itself as payload, as if the victim had sent it; whole, and from each word of it on."""
    line = re.sub(r"\{\w+\}", "x", template).replace(ATTACKER, VICTIM)
    words = line.split(" ")
    for start in range(len(words)):
        text = " ".join(words[start:])
        if VICTIM in text:
            yield text.encode()


def fill(template: str, payload: bytes) -> bytes:
    """The line with the payload in all its places."""
    return re.sub(rb"\{(attack|json|quoted|hex|word)\}", lambda found: SPELLINGS[found[1]](payload), template.encode())


def _raw(payload: bytes) -> bytes:
    return payload


def _json(payload: bytes) -> bytes:
    return json.dumps(payload.decode("utf-8", "replace"), ensure_ascii=False)[1:-1].encode()


def _quoted(payload: bytes) -> bytes:
    escaped = payload.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    return re.sub(rb"[\x00-\x1f\x7f-\xff]", lambda found: b"\\x%02x" % found[0][0], escaped)


def _hex(payload: bytes) -> bytes:
    return re.sub(rb'["\\\x00-\x1f\x7f-\xff]', lambda found: b"\\x%02X" % found[0][0], payload)


def _word(payload: bytes) -> bytes:
    return re.sub(rb"[\x00-\x20\x7f]", b"+", payload)


SPELLINGS: Final[dict[bytes, Callable[[bytes], bytes]]] = {
    b"attack": _raw,
    b"json": _json,
    b"quoted": _quoted,
    b"hex": _hex,
    b"word": _word,
}
"""`{attack}` is the text as it is; `{json}` as in a JSON string; `{quoted}` with backslashes before quotes and `\\xNN`
for control characters, like Apache; `{hex}` with `\\xNN` for those and for quotes, like nginx; `{word}` without blanks,
where the server reads no further than a blank."""
