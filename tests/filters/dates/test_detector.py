"""Which date of a line is chosen, and what the detector learns."""

from datetime import UTC, datetime
from random import Random

import pytest

from guardhooks.filters.dates import DateDetector, DateMatch
from guardhooks.filters.dates.defaults import DEFAULTS, effective_list

NOW = datetime(2026, 11, 22, 16, 16, 37, tzinfo=UTC).timestamp()
SYSLOG = "Aug 14 11:55:04 host sshd: x"
ISO = "2005-08-14T11:55:04 host sshd: x"
APACHE = '10.0.0.1 - - [14/Aug/2005:11:55:04 +0000] "GET /"'


def utc(match: DateMatch | None) -> str:
    return "" if match is None else datetime.fromtimestamp(match.time or 0, UTC).strftime("%Y-%m-%d %H:%M:%S")


def test_the_defaults_are_31_anchored_ones_first():
    patterns = [entry.pattern for entry in effective_list([])]
    assert len(patterns) == 31
    assert patterns[14:] == list(DEFAULTS)
    assert all(pattern.startswith("{^LN-BEG}") for pattern in patterns[:14])


@pytest.mark.parametrize(
    ("patterns", "count"),
    [(["{^LN-BEG}"], 17), (["{DEFAULT}"], 31), (["{default}", "%Y"], 32), (["^x {DATE}"], 17), (["{^LN-BEG}Epoch"], 1),
     (["{^LN-BEG}Epoch", "{^LN-BEG}"], 18), (["{NONE}"], 1), (["%Y", "{NONE}"], 2)],
)  # fmt: skip
def test_words_stand_for_patterns(patterns: list[str], count: int):
    assert len(DateDetector(patterns).names) == count


def test_a_change_of_format_in_mid_file_is_followed():
    detector = DateDetector(timezone="UTC")
    for line, expected in (
        [(SYSLOG, "2026-08-14 11:55:04")] * 5
        + [(ISO, "2005-08-14 11:55:04")] * 5
        + [
            (APACHE, "2005-08-14 11:55:04"),
            (SYSLOG, "2026-08-14 11:55:04"),
        ]
    ):
        assert utc(detector.find(line, NOW)) == expected
    assert sum(detector.hits.values()) == 12


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (f"{SYSLOG} at 2004-01-02 03:04:05", "2026-08-14 11:55:04"),
        ("[2005-08-14 11:55:04] Jan 02 03:04:05", "2005-08-14 11:55:04"),
        ("id 2004-01-02 03:04:05 and Aug 14 2005 11:55:04", "2004-01-02 03:04:05"),
        ("id Aug 14 2005 11:55:04 and 2004-01-02 03:04:05", "2005-08-14 11:55:04"),
    ],
)
def test_of_two_dates_the_first_counts_and_one_at_the_begin_most_of_all(line: str, expected: str):
    detector = DateDetector(timezone="UTC")
    assert utc(detector.find(line, NOW)) == expected
    detector.find(APACHE, NOW)
    assert utc(detector.find(line, NOW)) == expected


def test_a_date_that_a_client_slips_in_before_the_usual_place_is_not_taken():
    detector = DateDetector(timezone="UTC")
    for _ in range(3):
        detector.find(APACHE, NOW)
    forged = '10.0.0.1 - - [14/Aug/2005:11:55:04 +0000] "GET /[01/Jan/2001:00:00:00 +0000]"'
    assert utc(detector.find(forged, NOW)) == "2005-08-14 11:55:04"


def test_a_used_pattern_moves_to_the_front():
    detector = DateDetector(["%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y", "%Y%m%d"], timezone="UTC")
    for _ in range(4):
        for line in ("x 08/14/2005", "x y"):
            detector.find(line, NOW)
    assert detector.names[0] == "Month/Day/Year"
    assert detector.hits["Month/Day/Year"] == 4


def test_an_outdated_favourite_gives_way():
    detector = DateDetector(["%Y-%m-%d", "%d.%m.%Y"], timezone="UTC")
    for _ in range(50):
        detector.find("2005-08-14", NOW)
    detector.find("14.08.2005", NOW + 10)
    assert detector.names[0] == "Year-Month-Day"
    detector.find("2005-08-14", NOW + 20)
    detector.find("14.08.2005", NOW + 400)
    assert detector.names[0] == "Day.Month.Year"


def test_peek_finds_the_same_and_learns_nothing():
    detector = DateDetector(timezone="UTC")
    assert utc(detector.peek(SYSLOG, NOW)) == "2026-08-14 11:55:04"
    assert not any(detector.hits.values())
    found = detector.find(SYSLOG, NOW)
    assert detector.peek(SYSLOG, NOW) == found
    assert sum(detector.hits.values()) == 1


def test_none_is_an_empty_date_in_every_line():
    detector = DateDetector(["{NONE}"])
    assert detector.none
    assert detector.find("2005-08-14 11:55:04", NOW) == DateMatch(None, 0, 0, "{NONE}")
    assert detector.hits == {"{NONE}": 1}


def test_own_patterns_come_before_none():
    detector = DateDetector(["%Y-%m-%d", "{NONE}"], timezone="UTC")
    assert utc(detector.find("2005-08-14", NOW)) == "2005-08-14 00:00:00"
    assert detector.find("x", NOW) == DateMatch(None, 0, 0, "{NONE}")


def test_an_undated_line_has_no_date():
    detector = DateDetector()
    for line in ("", "x", "12:34", "1.2.3.4", "sshd[1234]: port 22", "a" * 5000):
        assert detector.find(line, NOW) is None


def test_a_decade_that_begins_while_the_daemon_runs_is_known():
    detector = DateDetector(timezone="UTC")
    line = "2033-01-02 03:04:05 x"
    assert detector.find(line, NOW) is None
    assert utc(detector.find(line, datetime(2033, 1, 2, 3, 4, 6, tzinfo=UTC).timestamp())) == "2033-01-02 03:04:05"


def test_years_after_now_match_as_they_do_today():
    assert utc(DateDetector(timezone="UTC").find("2013-08-14 11:55:04", 1124013600.0)) == "2013-08-14 11:55:04"


@pytest.mark.parametrize("date", ["2005-08-14 11:55:04.123+0000", "Aug 14 2005 11:55:04", "20050814T115504Z"])
@pytest.mark.parametrize("filler", ["word ", "-", "1", "a1:", "[] "])
def test_a_date_far_behind_in_a_long_line_is_found_whole(date: str, filler: str):
    noise = (filler * 30000)[:30000]
    for line in (f"{noise} {date} x", f"{noise} {date}", f"x {date}{noise[:0]} " + noise):
        found = DateDetector(timezone="UTC").find(line, NOW)
        assert found is not None
        assert line[found.start : found.end] == date
        assert utc(found) == "2005-08-14 11:55:04"


@pytest.mark.parametrize("pattern", ["date={DATE}", "^[^=]*date={DATE}", "date=({DATE})"])
@pytest.mark.parametrize("date", ["1124020504", "@4000000042ff32d80d5a6c34", "Aug 14 2005 11:55:04", "20050814 115504"])
def test_a_default_inside_an_own_pattern_is_found_in_long_lines_too(pattern: str, date: str):
    detector = DateDetector([pattern], timezone="UTC")
    for line in (f"x date={date} y", f"{'word ' * 1000}date={date} y", f"x date={date} {'1:1:1 ' * 1000}"):
        assert utc(detector.find(line, NOW))[:10] == "2005-08-14"


def test_what_was_learnt_never_changes_the_time_of_an_unambiguous_line():
    random = Random(1)
    lines = [
        SYSLOG,
        ISO,
        APACHE,
        "[1124020504] x",
        "@4000000042ff32d80d5a6c34 x",
        "type=A msg=audit(1124020504.5:77): x",
        "x",
    ]
    detector = DateDetector(timezone="UTC")
    for line in random.choices(lines, k=500):
        found = detector.find(line, NOW)
        alone = DateDetector(timezone="UTC").find(line, NOW)
        assert (found and (found.time, found.start, found.end)) == (alone and (alone.time, alone.start, alone.end))


@pytest.mark.parametrize("line", ["[1124020504.25] x", "[1124020504 x", "msg=audit(1124020504 x"])
def test_what_follows_an_epoch_number_is_free(line: str) -> None:
    found = DateDetector(("EPOCH",)).find(line, NOW)
    assert found is not None
    assert found.time == 1124020504


def test_a_pattern_whose_cut_group_is_not_met_cuts_nothing() -> None:
    found = DateDetector(("{EPOCH}|",)).find("", NOW)
    assert found is not None
    assert (found.start, found.end) == (0, 0)
