"""A mistake is reported at the line where it was made, not where the value was used."""

from __future__ import annotations

import pytest

from guardhooks.settings import load
from tests.settings.conftest import Write

MODES = (
    "[Definition]\nfailregex = <mdre-<mode>>\nmode = normal\nmdre-normal = ^a <HOST>$\nmdre-aggressive = ^b <HOST>$\n"
)
INHERITED = "[DEFAULT]\nfilter = %(__name__)s[mode=%(mode)s]\nmode = normal\n"


def test_a_mistyped_mode_is_told_at_its_own_line_with_the_nearest_mode(write: Write) -> None:
    files = {"filter.d/m.conf": MODES, "jail.conf": INHERITED, "jail.local": "[m]\nenabled = true\nmode = agressive\n"}
    settings = load(write(files))
    found = [problem for problem in settings.jails[0].problems if "mode" in problem.message]
    assert [(problem.file.rpartition("/")[2], problem.line, problem.section, problem.key) for problem in found] == [
        ("jail.local", 3, "m", "mode")
    ]
    assert "has no mode 'agressive'" in found[0].message
    assert found[0].message.endswith("did you mean 'aggressive'?")


def test_a_mistyped_mode_in_brackets_is_told_at_the_filter_line(write: Write) -> None:
    files = {"filter.d/m.conf": MODES, "jail.local": "[j]\nfilter = m[mode=agressive]\n"}
    (problem,) = (each for each in load(write(files)).jails[0].problems if "mode" in each.message)
    assert (problem.line, problem.key) == (2, "filter")


def test_a_mistyped_jail_is_told_at_the_jail_and_not_at_the_default_filter(write: Write) -> None:
    files = {"filter.d/sshd.conf": MODES, "jail.conf": INHERITED, "jail.local": "\n[ssh]\nenabled = true\n"}
    (problem,) = load(write(files)).broken["ssh"]
    assert (problem.file.rpartition("/")[2], problem.line, problem.section) == ("jail.local", 3, "ssh")
    assert "did you mean 'sshd'?" in problem.message


@pytest.mark.parametrize(
    ("header", "meant"), [("[default]", "DEFAULT"), ("[Default]", "DEFAULT"), ("[j ]", "j"), ("[J]", "j")]
)
def test_a_section_that_reaches_no_jail_is_told(write: Write, header: str, meant: str) -> None:
    settings = load(write({"jail.local": f"{header}\nmaxretry = 9\n"}))
    (problem,) = settings.problems
    assert problem.line == 2
    assert f"did you mean {meant!r}?" in problem.message


def test_a_section_with_a_typing_error_and_nothing_that_makes_a_jail_is_told(write: Write) -> None:
    settings = load(write({"jail.local": "[recidvie]\nmaxretry = 9\n[recidive]\nenabled = false\n"}))
    assert ["did you mean 'recidive'?" in str(problem) for problem in settings.problems] == [True]


def test_a_misspelt_key_of_a_filter_is_told_in_its_file(write: Write) -> None:
    settings = load(write({"filter.d/f.conf": "[Definition]\nfailregex = ^bad <HOST>$\nignoreregexp = x\n_own = 1\n"}))
    (problem,) = settings.jails[0].problems
    assert str(problem).endswith("f.conf:3: [Definition] ignoreregexp: no such option; did you mean 'ignoreregex'?")
