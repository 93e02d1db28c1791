"""What attackers write where their text stands in a log line, in the spelling in which each server writes it down."""

from __future__ import annotations

import codecs
import itertools
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

from guardhooks_core.matchers.filterd.attacks import ATTACKER as ATTACKER
from guardhooks_core.matchers.filterd.attacks import VICTIM as VICTIM
from guardhooks_core.matchers.filterd.attacks import fill as fill
from guardhooks_core.matchers.filterd.attacks import forged_payloads as forged_payloads
from tests.config.corpora import HERE

CORE: Final = frozenset({"dovecot", "postfix", "sshd"})
"""Filters that get every payload in every place; the others get a sample of the largest products."""
SAMPLE: Final = 800

_HOSTILE: Final = HERE / "hostile"


def hostile_filters() -> list[str]:
    """The filters that have a file of templates."""
    return sorted(path.stem for path in _HOSTILE.glob("*.txt") if path.stem != "payloads")


def entries(path: Path) -> list[str]:
    """The lines of a file, without comments and empty ones."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


@cache
def templates(name: str) -> tuple[list[str], list[str]]:
    """Lines of the filter with places for payloads: those that blame the attacker, and after `# decoys` the others."""
    text = (_HOSTILE / f"{name}.txt").read_text(encoding="utf-8")
    parts = re.split(r"^# decoys\b", text, maxsplit=1, flags=re.MULTILINE)
    both = [[line for line in part.splitlines() if line and not line.startswith("#")] for part in parts]
    return both[0], [line for line in both[1] if "{" in line] if len(both) > 1 else []


def variants(name: str) -> list[dict[str, str]]:
    """The bracket options with which the filter is tried: one set for each line `# with key=value ...`, else none."""
    text = (_HOSTILE / f"{name}.txt").read_text(encoding="utf-8")
    lines = re.findall(r"^# with (.+)$", text, re.MULTILINE)
    return [dict(word.split("=", 1) for word in line.split()) for line in lines] or [{}]


# --- payloads --------------------------------------------------------------------------------------------------------


@cache
def short_payloads() -> tuple[bytes, ...]:
    """Those of payloads.txt."""
    return tuple(_payload(entry) for entry in entries(_HOSTILE / "payloads.txt"))


def _payload(entry: str) -> bytes:
    quoted = len(entry) > 1 and entry[0] == entry[-1] == '"'
    text = entry[1:-1] if quoted else entry
    return codecs.escape_decode(text.encode())[0] if "\\x" in text else text.encode()


def long_payloads(name: str) -> tuple[bytes, ...]:
    """What should cost time, as long as a line may be."""
    size = 60_000 if name in CORE else 8_000
    repeated = f"x from {VICTIM} port 22 ssh2 ".encode()
    return (b"x" * size + VICTIM.encode(), repeated * (size // len(repeated)))


# --- lines -----------------------------------------------------------------------------------------------------------


def attacked_lines(name: str) -> Iterator[bytes]:
    """Every template with every payload."""
    real, decoys = templates(name)
    payloads = (*short_payloads(), *long_payloads(name))
    return (fill(template, payload) for template, payload in itertools.product([*real, *decoys], payloads))


def forged_lines(name: str) -> Iterator[bytes]:
    """Every template with every template inside; of the larger products each in its own and a sample of the others."""
    real, decoys = templates(name)
    lines = [*real, *decoys]
    own = [fill(template, payload) for template in lines for payload in forged_payloads(template)]
    payloads = [payload for template in lines for payload in forged_payloads(template)]
    product = [(template, payload) for template in lines for payload in payloads]
    step = 1 if name in CORE else len(product) // SAMPLE + 1
    return itertools.chain(own, (fill(*pair) for pair in product[::step]))
