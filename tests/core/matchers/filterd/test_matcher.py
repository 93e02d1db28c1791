"""What a jail finds in lines, told through the matcher's own interface."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import pytest

from guardhooks import Chunk, Failure, FilterSpec, Jail, LineMatcher
from guardhooks_core.matchers.filterd import line_matcher
from guardhooks_core.matchers.filterd.matcher import FilterMatcher

NOW = 1_700_000_000.0


def jail(*failregex: str, name: str = "demo", usedns: str = "warn", **parts: object) -> Jail:
    spec = FilterSpec(name, failregex=failregex, datepattern=("^EPOCH",), **parts)  # type: ignore[arg-type]
    return Jail(name, spec, usedns=usedns, maxmatches=10)


def chunk(*lines: str, live: bool = True, at: float = NOW, times: tuple[float, ...] | None = None) -> Chunk:
    return Chunk("".join(f"{line}\n" for line in lines).encode(), "log", at, live=live, times=times)


def dated(*lines: str, at: float = NOW) -> Chunk:
    return chunk(*(f"{at:.0f} {line}" for line in lines))


def found(matcher: FilterMatcher, block: Chunk) -> list[Failure]:
    return list(matcher.feed(block))


def ids(failures: Sequence[Failure]) -> list[str]:
    return [failure.id for failure in failures]


def test_the_hook_serves_jails_that_have_a_filter() -> None:
    matcher = line_matcher([jail("<HOST>"), Jail("bare")])
    assert isinstance(matcher, LineMatcher)
    assert list(matcher.jails) == ["demo"]
    assert line_matcher([Jail("bare")]) is None


def test_a_failure_tells_everything() -> None:
    matcher = FilterMatcher([jail("^ nothing <HOST>$", r"^ bad <F-USER>\S+</F-USER> from <HOST>$")])
    assert found(matcher, dated("bad bob from 2001:DB8::1")) == [
        Failure(
            "demo",
            "2001:db8::1",
            NOW,
            address="2001:db8::1",
            matches=(f"{NOW:.0f} bad bob from 2001:DB8::1",),
            fields={"user": "bob", "ip6": "2001:DB8::1"},
            failregex=1,
        )
    ]


def test_names_wait_for_the_resolver_or_count_as_text() -> None:
    line = dated("bad example.com")
    (failure,) = found(FilterMatcher([jail("bad <HOST>$")]), line)
    assert (failure.id, failure.resolve) == ("", "example.com")
    assert ids(found(FilterMatcher([jail("bad <HOST>$", usedns="raw")]), line)) == ["example.com"]
    assert found(FilterMatcher([jail("bad <DNS>$", usedns="no")]), line) == []


def test_an_address_that_is_none_is_refused_but_shown_to_testers() -> None:
    matcher = FilterMatcher([jail("bad <HOST>$")])
    assert found(matcher, dated("bad 999.1.1.1")) == []
    (traced,) = matcher.trace(dated("bad 999.1.1.1"))
    assert ids(traced.failures) == ["999.1.1.1"]


def test_the_first_failregex_decides_and_all_are_traced() -> None:
    matcher = FilterMatcher([jail("bad <HOST>", "bad <F-ID>.*</F-ID>")])
    assert [failure.failregex for failure in found(matcher, dated("bad 192.0.2.1"))] == [0]
    (traced,) = matcher.trace(dated("bad 192.0.2.1"))
    assert [failure.failregex for failure in traced.failures] == [0, 1]
    (traced,) = matcher.trace(dated("bad 192.0.2.1"), every=False)
    assert [failure.failregex for failure in traced.failures] == [0]


def test_content_of_the_prefregex_is_what_the_others_see() -> None:
    one = jail("^bad <HOST>$", prefregex=r"^ \w+: <F-CONTENT>.+</F-CONTENT> end$")
    assert ids(found(FilterMatcher([one]), dated("d: bad 192.0.2.1 end", "bad 192.0.2.2", "d: bad 192.0.2.3"))) == [
        "192.0.2.1"
    ]


def test_groups_of_the_prefregex_stay_unless_overwritten() -> None:
    one = jail("^bad(?: <F-USER>bob</F-USER>)?$", prefregex="^ <F-USER>eve</F-USER> <HOST> <F-CONTENT>.+</F-CONTENT>$")
    first, second = found(FilterMatcher([one]), dated("eve 192.0.2.1 bad", "eve 192.0.2.1 bad bob"))
    assert first.fields == {"user": "eve", "ip4": "192.0.2.1"}
    assert second.fields == {"user": "bob", "ip4": "192.0.2.1"}


def test_few_ignoreregexes_are_asked_first_on_the_whole_line() -> None:
    spare = ("never <HOST>",) * 3
    prefix = r"^ \w+: <F-CONTENT>.+</F-CONTENT>$"
    early = jail("^bad <HOST>$", *spare, prefregex=prefix, ignoreregex=("ours:",))
    late = jail("^bad <HOST>$", prefregex=prefix, ignoreregex=("ours:",))
    line = dated("ours: bad 192.0.2.1")
    assert found(FilterMatcher([early]), line) == []
    assert ids(found(FilterMatcher([late]), line)) == ["192.0.2.1"]
    again = jail("^bad <HOST>$", *spare, prefregex=prefix, ignoreregex=(r"^bad \S+1$",))
    assert found(FilterMatcher([again]), line) == []
    (traced,) = FilterMatcher([early]).trace(line)
    assert (traced.ignoreregex, traced.failures) == (0, ())


def test_a_late_ignoreregex_ends_the_line() -> None:
    one = jail("bad <HOST>", "b.d <HOST>", ignoreregex=("192",))
    assert found(FilterMatcher([one]), dated("bad 192.0.2.1")) == []


def test_lines_of_a_buffer_make_one_failure() -> None:
    one = jail(r"^ (?P<n>\d+) from <HOST>$<SKIPLINES>^ (?P=n) failed$", maxlines=5)
    matcher = FilterMatcher([one])
    assert found(matcher, dated("1 from 192.0.2.1", "other", "2 from 192.0.2.2")) == []
    (failure,) = found(matcher, dated("1 failed"))
    assert failure.id == "192.0.2.1"
    assert [line.split(" ", 1)[1] for line in failure.matches] == ["1 from 192.0.2.1", "1 failed"]
    assert ids(found(matcher, dated("2 failed", "2 failed"))) == ["192.0.2.2"]
    assert found(matcher, dated("1 from 192.0.2.1", *"abcde", "1 failed")) == []


# --- when a line counts ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("age", "live", "expected"),
    [
        (10, True, NOW - 10),
        (60, True, NOW - 60),
        (61, True, NOW),
        (-30, True, NOW),
        (-7200, True, NOW),
        (300, True, NOW),
        (601, True, None),
        (3600, True, NOW),
        (3630, True, NOW - 30),
        (4 * 3600 + 450, True, None),
        (26 * 3600, True, NOW),
        (27 * 3600, True, None),
        (259_200, True, None),
        (-27 * 3600, True, None),
        (599, False, NOW - 599),
        (601, False, None),
    ],
)
def test_age_rules(age: float, live: bool, expected: float | None) -> None:
    block = chunk(f"{NOW - age:.0f} bad 192.0.2.1", live=live)
    failures = found(FilterMatcher([jail("bad <HOST>")]), block)
    assert [failure.time for failure in failures] == ([] if expected is None else [expected])


def test_old_lines_that_are_appended_stay_old_whatever_their_age(caplog: pytest.LogCaptureFixture) -> None:
    """Four hours of a backup: some of its lines are a multiple of 15 minutes old, its last line is not."""
    backup = chunk(*(f"{NOW - age} bad 192.0.2.1" for age in range(6 * 3600, 2 * 3600 + 400, -30)))
    with caplog.at_level(logging.WARNING, "guardhooks.filterd"):
        assert found(FilterMatcher([jail("bad <HOST>")]), backup) == []
    [message] = caplog.messages
    assert message.startswith("[demo] log: a line is dated -21600 s from now")
    assert "logtimezone" in message


def test_a_wrong_time_zone_is_corrected_and_told_with_file_offset_and_remedy(caplog: pytest.LogCaptureFixture) -> None:
    block = chunk(*(f"{NOW - 7200 - age} bad 192.0.2.1" for age in (700, 500, 3)), "no date")
    with caplog.at_level(logging.WARNING, "guardhooks.filterd"):
        failures = found(FilterMatcher([jail("bad <HOST>")]), block)
    assert [one.time for one in failures] == [NOW - 500, NOW - 3]
    assert any("log: a line is dated -7200 s from now" in one and "set logtimezone" in one for one in caplog.messages)


def test_a_source_that_knows_its_times_has_no_wrong_time_zone() -> None:
    assert found(FilterMatcher([jail("^bad <HOST>")]), chunk("bad 192.0.2.1", times=(NOW - 7200,))) == []


def test_undated_lines_count_now_or_as_the_last_date_but_not_while_catching_up(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bad = "bad 192.0.2.1"
    assert [one.time for one in found(FilterMatcher([jail("bad <HOST>")]), chunk(bad))] == [NOW]
    matcher = FilterMatcher([jail("bad <HOST>")])
    block = chunk(f"{NOW - 20:.0f} {bad}", bad)
    assert [one.time for one in found(matcher, block)] == [NOW - 20, NOW - 20]
    caplog.clear()
    with caplog.at_level(logging.WARNING, "guardhooks.filterd"):
        assert found(FilterMatcher([jail("bad <HOST>")]), chunk(bad, bad, live=False)) == []
    assert len(caplog.messages) == 1
    assert "no valid date" in caplog.messages[0]


def test_times_of_the_source_stand_for_dates() -> None:
    lines = ("innocent", "bad 192.0.2.1", "innocent", "bad 192.0.2.2")
    block = chunk(*lines, times=(NOW - 4, NOW - 3, NOW - 2, NOW - 1))
    assert [(one.id, one.time) for one in found(FilterMatcher([jail("^bad <HOST>")]), block)] == [
        ("192.0.2.1", NOW - 3),
        ("192.0.2.2", NOW - 1),
    ]


def test_time_of_reads_the_date_only() -> None:
    matcher = FilterMatcher([jail("bad <HOST>")], clock=lambda: NOW)
    assert matcher.time_of(b"1700000000 anything\n") == NOW
    assert matcher.time_of(b"nothing\n") is None


# --- what is wrong ---------------------------------------------------------------------------------------------------


def test_a_bad_regex_costs_itself_only() -> None:
    matcher = FilterMatcher([jail("bad <HOST>", "(", "no id", "<HOST> <HOST>"), jail("bad <HOST>", name="other")])
    assert set(matcher.problems) == {"demo"}
    messages = [problem.message for problem in matcher.problems["demo"]]
    assert [message.split(" ")[1] for message in messages] == ["2", "3", "4"]
    assert not any(problem.fatal for problem in matcher.problems["demo"])
    assert [(one.jail, one.failregex) for one in found(matcher, dated("bad 192.0.2.1"))] == [("demo", 0), ("other", 0)]


@pytest.mark.parametrize(
    ("key", "broken"),
    [
        ("filter", FilterSpec("f", failregex=("(",))),
        ("filter", FilterSpec("f")),
        ("prefregex", FilterSpec("f", failregex=("<HOST>",), prefregex="(")),
        ("datepattern", FilterSpec("f", failregex=("<HOST>",), datepattern=("%!",))),
    ],
)
def test_a_jail_that_cannot_work_is_fatal_and_the_others_run(key: str, broken: FilterSpec) -> None:
    matcher = FilterMatcher([Jail("broken", broken), jail("bad <HOST>")])
    last = matcher.problems["broken"][-1]
    assert (last.key, last.fatal) == (key, True)
    assert "cannot find anything" in last.message
    assert ids(found(matcher, dated("bad 192.0.2.1"))) == ["192.0.2.1"]


def test_a_runaway_regex_is_stopped_and_reported_once() -> None:
    matcher = FilterMatcher([jail(r"^ <F-ID>(?:[^\[]+ )*(?:x|y)\d</F-ID>", r"^ .* <HOST> is bad$")])
    evil = "a " * 30_000
    failures = found(matcher, dated(evil, evil, "so 192.0.2.1 is bad"))
    assert [(one.id, one.failregex) for one in failures] == [("192.0.2.1", 1)]
    (problem,) = matcher.problems["demo"]
    assert "failregex 1 takes too long" in problem.message
    assert not problem.fatal


def test_an_unknown_encoding_is_reported_and_utf8_is_used() -> None:
    spec = FilterSpec("f", failregex=("bad <HOST>",))
    matcher = FilterMatcher([Jail("j", spec, logencoding="klingon")])
    assert "klingon" in matcher.problems["j"][0].message
    assert ids(found(matcher, chunk("bad 192.0.2.1"))) == ["192.0.2.1"]


# --- bytes -----------------------------------------------------------------------------------------------------------


def test_what_cannot_be_decoded_becomes_a_replacement_character() -> None:
    data = b"1700000000 bad \xff\xfe from 192.0.2.1\r\n"
    (failure,) = found(FilterMatcher([jail(r"bad \S+ from <HOST>$")]), Chunk(data, "log", NOW))
    assert failure.matches == ("1700000000 bad \ufffd\ufffd from 192.0.2.1",)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-16", "latin-1", "shift_jis", "utf-8"])
def test_encodings(encoding: str) -> None:
    spec = FilterSpec("f", failregex=(r"^ bad <F-USER>\w+</F-USER> from <HOST>$",), datepattern=("^EPOCH",))
    text = "1700000000 bad n from 192.0.2.1\r\n1700000000 other\n1700000000 bad m from 192.0.2.2\n"
    matcher = FilterMatcher([Jail("j", spec, logencoding=encoding)])
    data = text.encode(encoding)
    whole = data[: data.rindex(b"\n") + 1]
    assert ids(found(matcher, Chunk(whole, "log", NOW))) == ["192.0.2.1", "192.0.2.2"]
