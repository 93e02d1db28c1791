"""The core's two engines against Python's own, span by span."""

from __future__ import annotations

import json
import random
import re
import unicodedata

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

pytest.importorskip("guardhooks_native._core", reason="the native core is not built")
from guardhooks_native.characters import DIGIT, OTHER, SPACE, WORD, Characters
from guardhooks_native.translate import UntranslatableError, translate
from tests.native.fuzz import CORPUS
from tests.native.patterns import CHARACTERS, compiled, core_spans, spans
from tests.native.patterns import expression as random_expression
from tests.native.patterns import text as random_text

PUMPED = re.compile(r"(?P<a>\w+)(?P<b>\w+)(?P<c>\w+)x$")


@pytest.mark.parametrize(("expression", "line"), json.loads(CORPUS.read_text()))
def test_what_once_differed(expression: str, line: str) -> None:
    known = compiled(expression)
    assert known is not None
    pattern, translation, regex = known
    for linear in (False, True):
        assert core_spans(translation, regex, line, linear=linear) == spans(pattern, line)


sources = st.integers(0, 1 << 64).map(random.Random)


@settings(max_examples=1000, deadline=None)
@given(sources)
def test_both_engines_find_what_python_finds(source: random.Random) -> None:
    expression = random_expression(source)
    known = compiled(expression)
    if known is None:
        return
    pattern, translation, regex = known
    for line in (random_text(source) for _ in range(6)):
        wanted = spans(pattern, line)
        event("a match" if wanted else "no match")
        assert core_spans(translation, regex, line) == wanted, (expression, line)
        assert core_spans(translation, regex, line, linear=True) == wanted, (expression, line)


@settings(max_examples=300, deadline=None)
@given(sources)
def test_flags_mean_what_they_mean_to_python(source: random.Random) -> None:
    expression = random_expression(source)
    for flags in (re.IGNORECASE, re.IGNORECASE | re.ASCII, re.ASCII, re.DOTALL):
        if known := compiled(expression, flags):
            pattern, translation, regex = known
            line = random_text(source)
            assert core_spans(translation, regex, line) == spans(pattern, line), (expression, flags, line)


@pytest.mark.parametrize(
    "expression",
    [
        r"(\w)\1", r"(?>a+)b", r"a++b", r"(?:a*)*b", r"(?<=ab)c", r"(?m)^a$", r"[\x80-\xff]", r"(?i)é", r"(?=(a))b",
    ],
)  # fmt: skip
def test_what_is_not_certain_is_refused(expression: str) -> None:
    re.compile(expression)
    assert compiled(expression) is None


def test_classes_hold_all_characters_that_python_knows() -> None:
    characters = Characters()
    word, digit, space = re.compile(r"\w"), re.compile(r"\d"), re.compile(r"\s")
    for number in range(0x110000 // 256):
        page = characters.page(number)
        for code, point in zip(page, range(number * 256, number * 256 + 256), strict=True):
            character = chr(point)
            if point < 128 or unicodedata.category(character) == "Cs" or character in "\u0130\u0131\u017f\u212a":
                continue
            wanted = DIGIT if digit.match(character) else WORD if word.match(character) else OTHER
            wanted = SPACE if space.match(character) else wanted
            assert code == wanted, hex(point)


def test_out_of_steps_the_linear_engine_answers_the_same() -> None:
    known = compiled(PUMPED.pattern)
    assert known is not None
    pattern, translation, regex = known
    for text in ("a" * 300 + "\n", "a" * 300 + "x\n"):
        wanted = spans(pattern, text)
        assert core_spans(translation, regex, text) == wanted


def test_a_group_that_may_capture_the_end_of_the_line_is_known() -> None:
    assert translate(r"^(?P<content>[^\"]+)", CHARACTERS).newline_in("content")
    assert not translate(r"^(?P<content>.+)$", CHARACTERS).newline_in("content")


def test_a_refusal_says_why() -> None:
    with pytest.raises(UntranslatableError, match="a repeat of what may be empty"):
        translate("(?:a*)*", CHARACTERS)
