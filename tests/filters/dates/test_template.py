"""Where a pattern is sought: the quick look and the bound for long lines miss nothing that is there."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardhooks.filters.dates.defaults import effective_list
from guardhooks.filters.dates.language import compile_pattern
from guardhooks.filters.dates.template import Template

YEAR = 2026
ENTRIES = [*effective_list([]), *effective_list(["x{DATE}", "^[^[]*\\[({DATE})"])]
PARTS = st.sampled_from(
    ["Aug 14 11:55:04", "Sun Aug 14 2005 1:5:4.5", "14/08/05 9:08:07", "14-Aug-200511:55:04", "08/14/2005:11:55:04",
     "08-14-2005  9:55:04", "[1124013600]", "<(1124013600", "audit(1124013600.123:7)", "<08/14/05@11:55:04>",
     "050814  1:55:04", "Aug 14, 2005 1:55:04 PM", "Aug-14-05 11:55:04", "20050814-115504", "20050814T11:55:04Z",
     "EST Aug 14 11:55:04", "+01:00 Aug 14 11:55:04", "@4000000042ff14a80d5a6c34", "2005-08-14 11:55:04.5 +0200",
     "x", "[", " ", "-", "1:", "20"]
)  # fmt: skip
LINES = st.lists(PARTS, max_size=6).map("".join)


@settings(deadline=None, max_examples=80)
@given(LINES)
def test_short_lines_are_searched_as_a_whole(line: str):
    for entry in ENTRIES:
        plain = compile_pattern(entry.pattern, YEAR).regex.search(line)
        found = Template(entry).search(line, YEAR, {})
        assert (found and found.span()) == (plain and plain.span()), entry.pattern


@settings(deadline=None, max_examples=25)
@given(LINES, st.sampled_from(["", "word ", "a1 ", "[] ", "- "]), st.sampled_from(["", " word", " 1:1:1", "="]))
def test_long_lines_without_other_dates_too(line: str, before: str, behind: str):
    line = before * 500 + line + behind * 500
    for entry in ENTRIES[:31]:
        plain = compile_pattern(entry.pattern, YEAR).regex.search(line)
        found = Template(entry).search(line, YEAR, {})
        assert (found and found.span()) == (plain and plain.span()), entry.pattern


@pytest.mark.parametrize(("noise", "found"), [("x1:1:1 ", False), ("2005-08-14 11:55:0x ", False), ("audit(1 ", True)])
def test_of_a_line_full_of_near_dates_only_a_part_is_searched(noise: str, found: bool):
    line = noise * (65536 // len(noise)) + "2005-08-14 11:55:04"
    matches = [Template(entry).search(line, YEAR, {}) for entry in effective_list([])]
    assert any(matches) is found
