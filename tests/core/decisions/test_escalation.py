"""Known offenders are banned sooner and longer; formulas can neither run code nor run away."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardhooks import PERMANENT, Ban, Escalation, Failure, Jail, Record
from guardhooks_core.decisions.escalation import LONGEST, decide_ban, lengthened
from guardhooks_core.decisions.escalation.formula import DEFAULT, compiled, value_of


def length(rules: Escalation, earlier: int, bantime: float = 60.0, *, random: float = 0.5, jail: str = "j") -> float:
    history = [Ban("a", jail, number * 100.0, 60.0) for number in range(earlier)]
    ban = Ban("a", "j", 1e6, bantime)
    return lengthened(Jail("j", escalation=rules), ban, Record("a", history=lambda: history), lambda: random).length


def test_lengths_as_upstream() -> None:
    assert [length(Escalation(), count) for count in range(5)] == [60, 120, 240, 480, 960]
    assert [length(Escalation(multipliers=(1, 5, 30)), count) for count in range(5)] == [60, 300, 1800, 1800, 1800]
    assert length(Escalation(factor=2.5, multipliers=(1, 5)), 1) == 750
    assert length(Escalation(factor=-1, multipliers=(1, 5)), 1) == 60
    assert (
        length(Escalation(formula="ban.Time * math.exp(float(ban.Count+1)*banFactor)/math.exp(1*banFactor)"), 2) == 443
    )
    assert length(Escalation(maxtime=200, rndtime=100), 3) == 250
    assert length(Escalation(maxtime=10, rndtime=100), 0) == 60


def test_other_jails_count_if_configured() -> None:
    assert length(Escalation(), 2, jail="other") == 60
    assert length(Escalation(overalljails=True), 2, jail="other") == 240


def test_permanent_stays_permanent_and_nothing_runs_away() -> None:
    assert length(Escalation(), 3, PERMANENT) == PERMANENT
    assert length(Escalation(factor=16, formula="ban.Time ** 99 ** ban.Count"), 50) == round(LONGEST)
    assert length(Escalation(formula="1/0"), 1) == 120


def test_lifted_bans_are_forgiven() -> None:
    history = [Ban("a", "j", 1.0, 60.0, notes={"lifted": "by hand"})]
    ban = Ban("a", "j", 1e6, 60.0)
    assert lengthened(Jail("j", escalation=Escalation()), ban, Record("a", history=lambda: history)) == ban


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')", "ban.__class__", "ban.Time.real", "().__class__", "open('/x')", "[1]", "x",
        "lambda: 1", "'a' * 9", "ban", "random", "f'{ban.Time}'", "(y := 1)", "", "1 +", "min(*[1])",
        "math.factorial(9)",
    ],
)  # fmt: skip
def test_only_arithmetic_is_taken(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        compiled(text)


@given(st.integers(0, 10**9), st.floats(0, 1e9))
def test_the_default_formula_always_has_a_value(count: int, factor: float) -> None:
    assert 0 <= value_of(compiled(DEFAULT), time=600, count=count, factor=factor) <= 1e15


def test_known_offenders_are_banned_sooner() -> None:
    jail = Jail("j", maxretry=5, escalation=Escalation())

    def bans(earlier: int, failures: int) -> list[Ban] | None:
        history = [Ban("a", "j", float(number), 1.0) for number in range(earlier)]
        record = Record("a", tuple(100.0 + n for n in range(failures)), failures, history=lambda: history)
        wrapper = decide_ban(jail, Failure("j", "a", 200.0), record)
        next(wrapper)
        with pytest.raises(StopIteration) as stop:
            wrapper.send(None)
        value: list[Ban] | None = stop.value.value
        return value

    assert bans(0, 4) is None
    assert bans(1, 2) is None
    [ban] = bans(1, 3) or []
    assert ban.length == 1200
    assert bans(4, 1)
