"""The grammar of `name[option=value, …][…]` in `filter =` and `action =`, and of the list in `ignorecache =`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from guardhooks.errors import ConfigError

_WHOLE = re.compile(r"(?P<name>[^\[]+)(?:\[(?P<options>.*)\])?\s*", re.DOTALL)
_NAME = re.compile(r"[\w\-.]+(?:\?[\w\-.]+=[\w\-.]+)?(?==)")
_QUOTED = re.compile(r"\"([^\"]*)\"|'([^']*)'")
_BARE = re.compile(r"[^,\]]*")
_SEPARATOR = re.compile(r"\s*(?:,|\]\s*\[)\s*|\s*$")
_BLANK = re.compile(r"\s*")


def parse_brackets(text: str) -> tuple[str, dict[str, str]]:
    """Split `sshd[mode=aggressive]` into its name and options. Raises ConfigError that shows where it went wrong."""
    whole = _WHOLE.fullmatch(text)
    if whole is None or not whole["name"].strip():
        raise ConfigError(f"{text.strip()!r} is not of the form name[option=value, …]")
    return whole["name"].strip(), parse_options(whole["options"] or "")


def parse_options(text: str) -> dict[str, str]:
    """Parse `a=1, b="x, y"`; of a repeated option the last one counts. Raises ConfigError."""
    options: dict[str, str] = {}
    position = _skip(_BLANK, text, 0)
    while position < len(text):
        if options or not text.startswith(",", position):
            name = _NAME.match(text, position)
            if name is None:
                raise _wrong(text, position, "expected option=value here")
            options[name[0]], position = _value(text, name.end() + 1)
        separator = _SEPARATOR.match(text, position)
        if separator is None:
            raise _wrong(text, position, "expected ',' or the end of the options here")
        position = separator.end()
    return options


def split_words(text: str) -> Iterator[str]:
    """Split a list of `name[…]` at white space outside of brackets; `][` may have white space between."""
    position = _skip(_BLANK, text, 0)
    while position < len(text):
        end = _word_end(text, position)
        yield text[position:end].rstrip()
        position = _skip(_BLANK, text, end)


def _word_end(text: str, position: int) -> int:
    inside = False
    while position < len(text):
        character = text[position]
        if inside and character == "=":
            quoted = _QUOTED.match(text, position + 1)
            position = quoted.end() - 1 if quoted else position
        elif inside and character == "]":
            inside = False
            following = _skip(_BLANK, text, position + 1)
            position = following - 1 if text.startswith("[", following) else position
        elif not inside and character == "[":
            inside = True
        elif not inside and character.isspace():
            return position
        position += 1
    return position


def _value(text: str, position: int) -> tuple[str, int]:
    quoted = _QUOTED.match(text, position)
    if quoted:
        return (quoted[1] if quoted[1] is not None else quoted[2]).strip(), quoted.end()
    bare = _BARE.match(text, position)
    assert bare is not None
    return bare[0].strip(), bare.end()


def _skip(pattern: re.Pattern[str], text: str, position: int) -> int:
    match = pattern.match(text, position)
    return match.end() if match else position


def _wrong(text: str, position: int, expected: str) -> ConfigError:
    return ConfigError(f"[{text}]: {expected}: {text[position : position + 30]!r}")
