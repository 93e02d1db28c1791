"""What patterns match, what they cut out, and which are refused."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardhooks import ConfigError
from guardhooks.filters.dates import DateDetector
from guardhooks.filters.dates.language import compile_pattern, human_name

NOW = 1124013600.0  # 2005-08-14 10:00:00 UTC


def cut(pattern: str, line: str) -> str | None:
    """The line with `|` where the date was; None: no date."""
    found = DateDetector([pattern], timezone="UTC").find(line, NOW)
    return None if found is None else f"{line[: found.start]}|{line[found.end :]}"


@pytest.mark.parametrize(
    ("pattern", "line", "left"),
    [
        ("^d=(%Y-%m-%d) ", "d=2005-08-14 x", "d=| x"),
        ("^d=%Y-%m-%d ", "d=2005-08-14 x", "|x"),
        (r"\[%Y\]", "a [2005] x", "a | x"),
        ("[(]%Y", "a (2005 x", "a | x"),
        ("%Y", "a 2005 x", "a | x"),
        ("%Y", "a2005 x", None),
        ("%Y", "a 2005x", None),
        ("{UNB}%Y", "a2005x", "a|x"),
        ("**%Y**", "a2005x", "a|x"),
        ("**%Y", "a2005x", None),
        ("**%Y", "a2005 x", "a| x"),
        (r"%Y\s", "a 2005 x", "a |x"),
        ("%Y$", "2004 2005", "2004 |"),
        ("^%Y", "2005 x", "| x"),
        ("^%Y", " 2005 x", None),
        ("(^%Y)", "2005 x", "| x"),
        ("(?:^%Y)$", "2005", "|"),
        ("{^LN-BEG}%Y", "<[2005] x", "<[|] x"),
        ("{^LN-BEG}%Y", "(<[2005] x", None),
        ("{^LN-BEG}%Y", "a 2005", None),
        ("{^LN-BEG}^%Y", "[2005]", None),
        ("(?i)x%Y", "X2005", "|"),
        ("%%%Y", "a %2005 x", "a | x"),
        ("^WARNING:()**", "WARNING: x", "WARNING:| x"),
        ("a {EPOCH} b", "a 1124013600 b", "a | b"),
        ("^a|^b%Y", "a", "|"),
        ("%p %a", "PM mon", "|"),
        ("x={DATE}", "a x=1124013600 b", "a | b"),
        ("{date} x", "1124013600 x", "|"),
        ("^[^\\[]*\\[({DATE})", "ab [14/Aug/2005:11:55:04 +0200] x", "ab [|] x"),
        ("^[^\\[]*(\\[{DATE}\\s*\\])", "ab [14/Aug/2005:11:55:04 +0200] x", "ab | x"),
        ("^<\\d+>\\d+\\s+{DATE}", "<34>1 2005-08-14T11:55:04Z x", "| x"),
        ("^<\\d+>\\d+\\s+{DATE}", "<34>1 @4000000042ff14a80d5a6c34 x", "| x"),
        ("ISO8601", "x 20050814T115504Z x", "x | x"),
        ("{^LN-BEG}iso8601", "x 20050814T115504Z x", None),
        ("%ExY", "1999", None),
        ("%ExY", "2029", "|"),
        ("%ExY", "2013", "|"),
        ("%Exd", "7", None),
        ("%ExH:%ExM:%ExS", "7:08:09", None),
        ("%H:%M:%S.%f", "07:08:09.123456789 x", "| x"),
    ],
)
def test_cutting(pattern: str, line: str, left: str | None):
    assert cut(pattern, line) == left


@pytest.mark.parametrize(
    ("pattern", "fault"),
    [
        ("%Q", "unknown directive %Q"),
        ("%ExQ", "unknown directive %ExQ"),
        ("a%", "single %"),
        ("(%Y", "unterminated"),
        ("%Y %ExY", "redefinition"),
        ("%Y{999999999999}", "datepattern '%Y{999999999999}'"),
        ("{DATE}{DATE}", "datepattern"),
    ],
)
def test_bad_patterns_are_named(pattern: str, fault: str):
    with pytest.raises(ConfigError, match="datepattern") as refused:
        DateDetector([pattern])
    assert fault in str(refused.value)


def test_a_pattern_that_stands_twice_is_refused():
    with pytest.raises(ConfigError, match="twice"):
        DateDetector(["%Y-%m", "%Y-%m"])


def test_decades_follow_the_clock():
    assert compile_pattern("%ExY", 2028).regex.search("2031")
    assert not compile_pattern("%ExY", 2026).regex.search("2031")
    assert compile_pattern("%ExY", 2099).regex.search("2102")


def test_names_are_words():
    assert human_name("{^LN-BEG}%ExY-%m %k:%M%%") == "{^LN-BEG}ExYear-Month %k:Minute%"


PIECES = st.sampled_from(
    ["%Y", "%d", "%b", "%ExY", "%Exz", "%c", "%", "%%", "(", ")", "[", "]", "^", "$", "**", "{DATE}", "{^LN-BEG}",
     "{UNB}", "EPOCH", "{EPOCH}", "TAI64N", "|", "?", "*", "+", "\\", "(?i)", "(?P<d>", "()", " ", "a", "{2}", "(?=",
     "{NONE}", "{DEFAULT}"]
)  # fmt: skip


@settings(deadline=None, max_examples=150)
@given(st.lists(PIECES | st.text(max_size=3), max_size=8).map("".join), st.text(max_size=40))
def test_any_pattern_is_used_or_refused(pattern: str, line: str):
    try:
        detector = DateDetector([pattern], timezone="UTC")
    except ConfigError:
        return
    for text in (line, "2005-08-14 11:55:04 " + line):
        found = detector.find(text, NOW)
        assert found is None or 0 <= found.start <= found.end <= len(text)


NEAR_DATES = st.sampled_from(
    ["Aug 14 11:55:04 ", "14 ſep 2005", "Frı Aug 14 11:55:04 2005", "[31/Feb/2005:29:61:61 +1999]",
     "２００５-08-14 11:55:04 ", "2005-08-14T11:55:04.1234567890+0200", "@4", "f" * 24, "audit(99999999999.999:1)",
     "[9999999999]", "1900", "\u2028", "ſat aug  1 ١١:٥٥:٠٤ ", "00000000 00:00:00", "CET", "0", "9", ":", "/", "-", " "]
)  # fmt: skip


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.lists(NEAR_DATES | st.text(max_size=3), max_size=6).map("".join), max_size=4),
    st.sampled_from([(), ("{^LN-BEG}",), ("^x*({DATE})", "%c"), ("(?P<S>\\w+) %b (?P<w>.)",)]),
)
def test_any_line_has_a_date_or_none(lines: list[str], patterns: tuple[str, ...]):
    detector = DateDetector(patterns, timezone="UTC")
    for line in lines:
        peeked = detector.peek(line, NOW)
        found = detector.find(line, NOW)
        assert peeked == found
        assert found is None or 0 <= found.start <= found.end <= len(line)
