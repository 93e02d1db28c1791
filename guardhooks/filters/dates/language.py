"""The pattern language of `datepattern`: a regular expression with strptime-like `%` directives.

Owns what each directive matches and is called, and the rules for word boundaries and for what is cut out of the line.
The format is fail2ban's; see `datepattern` in jail.conf(5).
"""

import re
import warnings
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from guardhooks.errors import ConfigError
from guardhooks.text import safe_text

_MONTH_NAMES: Final = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip
_DAY_NAMES: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
MONTHS: Final = {name[:3]: number for number, name in enumerate(_MONTH_NAMES, 1)}
DAYS: Final = {name[:3]: number for number, name in enumerate(_DAY_NAMES)}

LINE_BEGIN: Final = "{^LN-BEG}"
UNBOUND: Final = "{UNB}"
# A clock that was set back must not exclude the years in the log.
_RELEASE_YEAR: Final = 2026

_DIRECTIVES: Final = {
    "d": (r"(?P<d>[1-2]\d|[0 ]?[1-9]|3[0-1])", "Day"),
    "Exd": (r"(?P<d>[1-2]\d|0[1-9]|3[0-1])", "ExDay"),
    "m": (r"(?P<m>0?[1-9]|1[0-2])", "Month"),
    "Exm": (r"(?P<m>0[1-9]|1[0-2])", "ExMonth"),
    "Y": (r"(?P<Y>\d{4})", "Year"),
    "y": (r"(?P<y>\d\d)", "Year2"),
    "Exy": (r"(?P<y>\d{2})", "ExYear2"),
    "H": (r"(?P<H>[0-1]?\d|2[0-3])", "24hour"),
    "ExH": (r"(?P<H>[0-1]\d|2[0-3])", "Ex24hour"),
    "k": (r" ?(?P<H>[0-2]?\d)", "%k"),
    "Exk": (r" ?(?P<H>[0-1]?\d|2[0-3])", "%Exk"),
    "I": (r"(?P<I>1[0-2]|0[1-9]|[1-9])", "12hour"),
    "l": (r" ?(?P<I>1?\d)", "%l"),
    "Exl": (r" ?(?P<I>1[0-2]|\d)", "%Exl"),
    "p": (r"(?P<p>am|pm)", "AMPM"),
    "M": (r"(?P<M>[0-5]?\d)", "Minute"),
    "ExM": (r"(?P<M>[0-5]\d)", "ExMinute"),
    "S": (r"(?P<S>[0-5]?\d|6[0-1])", "Second"),
    "ExS": (r"(?P<S>[0-5]\d|6[0-1])", "ExSecond"),
    # Nine digits, not six: nanosecond timestamps would lose the zone after them.
    "f": (r"(?P<f>[0-9]{1,9})", "Microseconds"),
    "j": (r"(?P<j>36[0-6]|3[0-5]\d|[1-2]\d\d|0[1-9]\d|00[1-9]|[1-9]\d|0[1-9]|[1-9])", "Yearday"),
    "b": (f"(?P<b>{'|'.join(MONTHS)})", "MON"),
    "B": (f"(?P<B>{'|'.join(_MONTH_NAMES)})", "MONTH"),
    "a": (f"(?P<a>{'|'.join(DAYS)})", "DAY"),
    "A": (f"(?P<A>{'|'.join(_DAY_NAMES)})", "DAYNAME"),
    "Z": (r"(?P<Z>Z|[A-Z]{3,5})", "Zone name"),
    "ExZ": (r"(?P<Z>[A-Z](?:[A-Z]{2,4})?)", "ExZone name"),
    "z": (r"(?P<z>Z|UTC|GMT|[+-][01]\d(?::?\d{2})?)", "Zone offset"),
    "Exz": (r"(?P<z>(?:[A-Z](?:[A-Z]{2,4})?)?[+-][01]\d(?::?\d{2})?|[A-Z](?:[A-Z]{2,4})?)", "ExZone offset"),
    "w": (r"(?P<w>[0-6])", "Weekday"),
    "u": (r"(?P<u>[1-7])", "%u"),
    "U": (r"(?P<U>5[0-3]|[0-4]\d|\d)", "Yearweek"),
    "W": (r"(?P<W>5[0-3]|[0-4]\d|\d)", "Yearweek"),
    "G": (r"(?P<G>\d\d\d\d)", "%G"),
    "V": (r"(?P<V>5[0-3]|0[1-9]|[1-4]\d|\d)", "%V"),
    "%": ("%", "%"),
}
_COMPOSITES: Final = {"%c": r"%a\s+%b\s+%d\s+%H:%M:%S\s+%Y", "%x": "%m/%d/%y", "%X": "%H:%M:%S"}
_COMPOSITE: Final = re.compile(r"(%%)|%[cxX]")
_DIRECTIVE: Final = re.compile(r"%(Ex.?|.?)", re.DOTALL)
_NAMES_IN_WORDS: Final = re.compile(r"(?<!%)(?:%%)*%[aAbBp]")
_LEADING_FLAGS: Final = re.compile(r"(?:\(\?[aimsux]+\))?")
_STARTS_NO_WORD: Final = re.compile(r"""(?:\\[^\w\s]|["'<>=#&,;:/@!~-])(?![?*{])""", re.ASCII)
_STARTS_WORD: Final = re.compile(r"(?:%(?:Ex[YymdHMS]|[YymHIMSjbBaA])|[A-Za-z0-9])(?![?*{])")
_OPEN_LEFT: Final = ("^", "(^", "(?:^", "**")
_OPEN_RIGHT: Final = ("$", "$)", r"\b", r"\s", "**")
EPOCH: Final = r"(?P<epoch>\d{10,11}\b(?:\.\d{3,6})?)"
TAI64N: Final = "(?P<tai>@[0-9a-f]{24})"
_LONG_EPOCH: Final = r"(?P<epoch>\d{10,11}(?:\d{3}(?:\.\d{1,6}|\d{3})?)?)"
# In an audit log the number is in `audit(…:serial)`, elsewhere at the line's start, perhaps after a bracket. As in
# fail2ban in practice, anything may follow: programs write further digits there.
_EPOCH_PLACE: Final = r"(?:^|(?<=^\[)|(?<=\baudit\())"
_SPECIAL: Final = {"EPOCH": EPOCH, "LEPOCH": _LONG_EPOCH, "TAI64N": TAI64N}
_INNER_EPOCH: Final = re.compile(r"\{(L?EPOCH)\}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Compiled:
    """A compiled date pattern."""

    regex: re.Pattern[str]
    cut: int  # the group that is cut out of the line
    from_begin: bool  # can only match at the begin of the line
    to_end: bool  # can only match at its end


def year_for(now_year: int) -> int:
    """The year that `%ExY` is built from if the current year is `now_year`."""
    return max(now_year, _RELEASE_YEAR)


def human_name(pattern: str) -> str:
    """The name of the pattern: `%ExY-%m` is `ExYear-Month`."""
    named = {"ExY": "ExYear"} | {key: words for key, (_, words) in _DIRECTIVES.items()}
    words = _DIRECTIVE.sub(lambda found: named.get(found[1], found[0]), pattern)
    return words.replace(EPOCH, "Epoch").replace(TAI64N, "TAI64N")


@lru_cache(maxsize=1024)
def compile_pattern(pattern: str, year: int) -> Compiled:
    """The regular expression for `pattern`, with `%ExY` as of `year`.

    :raises ConfigError: if the pattern is invalid.
    """
    prefix, body = _split_prefix(pattern)
    flags = re.IGNORECASE if _NAMES_IN_WORDS.search(_composed(body)) else re.NOFLAG
    before, body = _split_flags(body)
    if body.strip().upper() in _SPECIAL:
        return _compile_special(pattern, prefix, body.strip().upper())
    body = _INNER_EPOCH.sub(lambda found: f"({_SPECIAL[found[1].upper()]})", body)
    text = _expand(pattern, _composed(body), year)
    left, right = _boundaries(prefix, body)
    text = text.removeprefix("**").removesuffix("**")
    starts, text = text.startswith("^"), text.removeprefix("^")
    ends = text.endswith("$") and not text.endswith(r"\$")
    text = text[:-1] if ends else text
    inner = _compile(pattern, f"{before}{text}", flags)
    wrapped = text if _plain_group(inner) else f"({text})"
    begin = "^" if starts else left
    regex = _compile(pattern, f"{before}{begin}{wrapped}{'$' if ends else right}", flags)
    anchored = begin.startswith("^") and (wrapped != text or not _has_outer_choice(text))
    return Compiled(regex, _plain_group(regex), anchored, ends)


def _split_prefix(pattern: str) -> tuple[str, str]:
    if pattern.startswith("^") and pattern[1:].rstrip().upper() in _SPECIAL:
        return LINE_BEGIN, pattern[1:]
    for prefix in (LINE_BEGIN, UNBOUND):
        if pattern[: len(prefix)].upper() == prefix:
            return prefix, pattern[len(prefix) :]
    return "", pattern


def _split_flags(body: str) -> tuple[str, str]:
    """Global flags such as `(?i)` must be at the very start of the whole expression."""
    end = next(_LEADING_FLAGS.finditer(body)).end()
    return body[:end], body[end:]


def _composed(body: str) -> str:
    return _COMPOSITE.sub(lambda found: found[0] if found[1] else _COMPOSITES[found[0]], body)


def _boundaries(prefix: str, body: str) -> tuple[str, str]:
    r"""The conditions before and after: no word may start before the date or continue after it."""
    if prefix == UNBOUND:
        return "", ""
    left = "" if body.startswith(_OPEN_LEFT) else _left_boundary(body)
    right = "" if body.endswith(_OPEN_RIGHT) else r"(?:(?!\w)|(?<!\w))"
    return (r"^(?:\W{0,2})?" if prefix == LINE_BEGIN else left), right


def _left_boundary(body: str) -> str:
    """The cheapest test that no word is split; it is applied at every position of a line."""
    if not _has_outer_choice(body):
        if _STARTS_NO_WORD.match(body):
            return ""
        if _STARTS_WORD.match(body):
            return r"\b"
    return r"(?!(?<=\w)\w)"


def _compile_special(pattern: str, prefix: str, word: str) -> Compiled:
    left, right = _boundaries(prefix, word)
    number = _SPECIAL[word]
    if word == "TAI64N":
        text = f"{left if prefix else ''}({number}){right}"
    elif prefix == LINE_BEGIN:
        text = rf"{left}(?P<_square>(?<=^\[))?({number})(?(_square)(?=\])){right}"
    else:
        text = f"{_EPOCH_PLACE}({number}){right}"
    regex = _compile(pattern, text, re.NOFLAG)
    return Compiled(regex, _plain_group(regex), prefix == LINE_BEGIN, to_end=False)


def _expand(pattern: str, body: str, year: int) -> str:
    def directive(found: re.Match[str]) -> str:
        key = found[1]
        if key == "ExY":
            return _years(year)
        if key in _DIRECTIVES:
            return _DIRECTIVES[key][0]
        what = f"unknown directive {safe_text('%' + key, 20)}" if key else "a single % at the end"
        raise _refused(pattern, f"{what}; a percent sign itself is written %%")

    return _DIRECTIVE.sub(directive, body)


def _years(year: int) -> str:
    """The decades from 2000 to three years from now, so that few numbers are mistaken for a year."""
    decades = sorted({number // 10 for number in (*range(2000, year, 3), year - 1, year + 3)})
    centuries: dict[int, str] = {}
    for decade in decades:
        centuries[decade // 10] = centuries.get(decade // 10, "") + str(decade % 10)
    return "(?P<Y>" + "|".join(rf"{century}[{digits}]\d" for century, digits in centuries.items()) + ")"


def _compile(pattern: str, text: str, flags: int) -> re.Pattern[str]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return re.compile(text, flags)
    except (re.error, OverflowError, RecursionError) as error:
        raise _refused(pattern, safe_text(str(error), 200)) from None


def _plain_group(regex: re.Pattern[str]) -> int:
    """The number of the first unnamed group; 0 if there is none."""
    named = set(regex.groupindex.values())
    return next((number for number in range(1, regex.groups + 1) if number not in named), 0)


def _has_outer_choice(text: str) -> bool:
    """Whether a `|` is outside all groups, so that a leading `^` does not apply to the whole pattern."""
    depth, in_set, escaped = 0, False, False
    for char in text:
        if escaped:
            escaped = False
        elif char == "\\":
            escaped = True
        elif in_set:
            in_set = char != "]"
        elif char == "|" and depth == 0:
            return True
        else:
            depth += (char == "(") - (char == ")")
            in_set = char == "["
    return False


def _refused(pattern: str, why: str) -> ConfigError:
    return ConfigError(f"datepattern {safe_text(pattern, 200)!r}: {why}")
