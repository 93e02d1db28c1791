"""Log lines made from a filter's own regexes: what each asks for, with a date wherever logs have theirs."""

from __future__ import annotations

import random
import re
import string
import time
import warnings
from collections.abc import Iterator
from re import _constants as codes  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any, Final

from guardhooks import FilterSpec

_SAMPLES: Final = 3
_LONGEST: Final = 3
"""Repeats of what may be repeated without an end, beyond the least."""
_CONTENT: Final = re.compile(r"<F-CONTENT>.*</F-CONTENT>")
_ADDRESS_TAG: Final = re.compile(r"<(HOST|ADDR|IP4|IP6|SUBNET|CIDR)>")
_GROUP_TAG: Final = re.compile(r"<(/?)F-[\w-]+>")
_PLAIN: Final = string.ascii_letters + string.digits
_CATEGORY: Final = {
    codes.CATEGORY_DIGIT: string.digits, codes.CATEGORY_NOT_DIGIT: "abcxyz", codes.CATEGORY_SPACE: " ",
    codes.CATEGORY_NOT_SPACE: _PLAIN + "._-", codes.CATEGORY_WORD: _PLAIN + "_", codes.CATEGORY_NOT_WORD: " .-",
}  # fmt: skip


def lines_of(spec: FilterSpec, now: float) -> Iterator[str]:
    """Lines for each regex of a filter, the same in each run."""
    for regex in (*spec.failregex, *spec.ignoreregex):
        for number in range(_SAMPLES):
            # Begun alike for each regex, so that what they begin with (the name of a session) is alike.
            chance = random.Random(f"{spec.name} {number}")
            text = _sample(regex, chance)
            if spec.prefregex:
                before, _, after = _CONTENT.sub("\0", spec.prefregex).partition("\0")
                text = _sample(before, chance) + text + _sample(after, chance)
            if "\n" not in text and not text.startswith("#"):  # fail2ban-regex takes such a line for a remark
                yield from _dated(text, now)


def _dated(text: str, now: float) -> Iterator[str]:
    moment = time.localtime(now)
    iso, syslog = time.strftime("%Y-%m-%d %H:%M:%S", moment), time.strftime("%b %d %H:%M:%S", moment)
    access = time.strftime("[%d/%b/%Y:%H:%M:%S %z]", moment)
    yield f"{syslog} {text}"
    yield f"{iso}{text}"
    yield f"{iso} {text}"
    yield f"[{iso}] {text}"
    yield f"{time.strftime('[%Y-%b-%d %H:%M:%S]', moment)} {text}"
    yield f"{iso.replace('-', '/')} {text}"
    yield text.replace("[]", access, 1) if "[]" in text else f"{access} {text}"
    yield f"{text} {access}"
    yield f"{int(now)}.123{text}"
    yield text.replace("{", f'{{"time":"{iso.replace(" ", "T")}",', 1)
    yield f'{{"timestamp": "{iso.replace(" ", "T")}.5Z", {text}}}'


def _sample(regex: str, chance: random.Random) -> str:
    """A text that the regex asks for, as far as that can be seen without its assertions."""
    plain = _ADDRESS_TAG.sub(lambda tag: re.escape(_address(tag[1], chance)), regex)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # `[[]` is odd, and common
        tree = parser.parse(_GROUP_TAG.sub(lambda tag: ")" if tag[1] else "(?:", plain))
    return _Sampler(chance).text(tree)


def _address(tag: str, chance: random.Random) -> str:
    last = chance.randint(1, 250)
    if tag == "IP6" or (tag in {"HOST", "ADDR"} and last > 200):
        return f"fd00::{last:x}"  # no year, as `2001:` would be behind a date
    return f"198.51.100.{last}" + ("/30" if tag in {"SUBNET", "CIDR"} and last % 2 else "")


class _Sampler:
    """Walks the tree of a regex."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._groups: dict[int, str] = {}

    def text(self, tree: Any) -> str:  # noqa: ANN401 -- the parser has no types
        return "".join(self._of(code, argument) for code, argument in tree)

    def _of(self, code: Any, argument: Any) -> str:  # noqa: ANN401
        match code:
            case codes.LITERAL:
                return chr(argument)
            case codes.NOT_LITERAL:
                return self._pick(set(_PLAIN) - {chr(argument)})
            case codes.ANY:
                return self._pick(set(_PLAIN) | set(" .:-"))
            case codes.IN:
                return self._pick(_class(argument))
            case codes.BRANCH:
                return self.text(self._chance.choice(argument[1]))
            case codes.SUBPATTERN:
                number, _, _, inside = argument
                text = self.text(inside)
                self._groups[number] = text
                return text
            case codes.MAX_REPEAT | codes.MIN_REPEAT:
                least, most, inside = argument
                count = self._chance.randint(least, min(int(most), least + _LONGEST))
                return "".join(self.text(inside) for _ in range(count))
            case codes.GROUPREF:
                return self._groups.get(argument, "")
        return ""  # assertions and positions

    def _pick(self, characters: set[str]) -> str:
        return self._chance.choice(sorted(characters)) if characters else ""


def _class(items: Any) -> set[str]:  # noqa: ANN401
    found: set[str] = set()
    negated = False
    for code, argument in items:
        if code is codes.NEGATE:
            negated = True
        elif code is codes.LITERAL:
            found.add(chr(argument))
        elif code is codes.RANGE:
            found.update(map(chr, range(argument[0], argument[1] + 1)))
        elif code is codes.CATEGORY:
            found.update(_CATEGORY[argument])
    return set(_PLAIN + " .:_-") - found if negated else found
