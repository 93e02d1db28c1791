"""The report of `guardhooks test`: hits per regex, date patterns, what was missed, totals and speed."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from guardhooks.cli.layout import say
from guardhooks.cli.output import columns, paint
from guardhooks.cli.test.trial import Trial
from guardhooks.text import safe_text
from guardhooks.workers import LineTrace, MissedLines

_SHOWN: Final = 20
"""As many missed lines are shown unasked."""

Verdict: TypeAlias = Literal["matched", "helped", "ignored", "missed"]


@dataclass(frozen=True, slots=True)
class Listed:
    """Which lines are printed as they come."""

    missed: bool = False
    ignored: bool = False
    matched: bool = False


def options(listed: Listed) -> dict[str, bool]:
    """The options that ask for these lists, and whether they were given."""
    return {
        "--print-missed": listed.missed,
        "--print-ignored": listed.ignored,
        "--print-matched": listed.matched,
    }


@dataclass(slots=True)
class Tally:
    """What a run amounts to. Bounded, whatever the length of the log."""

    verdicts: Counter[str] = field(default_factory=Counter)
    failregex: Counter[int] = field(default_factory=Counter)
    ignoreregex: Counter[int] = field(default_factory=Counter)
    dates: Counter[str] = field(default_factory=Counter)
    first_missed: list[tuple[int, str]] = field(default_factory=list)
    interrupted: bool = False

    def add(self, number: int, trace: LineTrace) -> Verdict:
        """Count one line."""
        verdict = _verdict(trace)
        self.verdicts[verdict] += 1
        self.dates[trace.datepattern if trace.date else ""] += 1
        self.failregex.update(failure.failregex for failure in trace.failures)
        if verdict == "ignored":
            self.ignoreregex[trace.ignoreregex] += 1
        if verdict == "missed" and self.wants_texts:
            self.first_missed.append((number, trace.text))
        return verdict

    def add_missed(self, lines: MissedLines) -> None:
        """Count lines that nothing matches, without their texts."""
        self.verdicts["missed"] += lines.count
        self.dates[lines.datepattern] += lines.count

    @property
    def wants_texts(self) -> bool:
        """Whether more missed lines are to be shown."""
        return len(self.first_missed) < _SHOWN


def _verdict(trace: LineTrace) -> Verdict:
    if trace.ignoreregex >= 0:
        return "ignored"
    if not trace.failures:
        return "missed"
    return "helped" if all(failure.nofail for failure in trace.failures) else "matched"


def print_report(trial: Trial, *, every: bool, listed: Listed) -> None:
    """Run the trial and print the report, after the lines that are to be listed.

    :raises KeyboardInterrupt: after a report on the lines until then.
    """
    tally, began = Tally(), time.perf_counter()
    try:
        _run(trial, tally, every=every, listed=listed)
    except KeyboardInterrupt:
        tally.interrupted = True
        raise
    finally:
        took = time.perf_counter() - began
        say(*_report(trial, tally, took, listed))


def _run(trial: Trial, tally: Tally, *, every: bool, listed: Listed) -> None:
    for block in trial.surveys(every=every, in_full=lambda: listed.missed or tally.wants_texts):
        for outcome in block:
            if isinstance(outcome, MissedLines):
                tally.add_missed(outcome)
            else:
                _add(tally, outcome, listed)


def _add(tally: Tally, trace: LineTrace, listed: Listed) -> None:
    number = sum(tally.verdicts.values()) + 1
    verdict = tally.add(number, trace)
    if _is_listed(verdict, listed):
        say(_listed_line(number, trace, verdict))


def _is_listed(verdict: Verdict, listed: Listed) -> bool:
    return {"matched": listed.matched, "helped": listed.matched, "ignored": listed.ignored}.get(verdict, listed.missed)


def _listed_line(number: int, trace: LineTrace, verdict: Verdict) -> str:
    blamed = dict.fromkeys(failure.id or failure.resolve for failure in trace.failures)
    whom = f" [{', '.join(safe_text(each) for each in blamed if each)}]" if any(blamed) else ""
    role = {"matched": "good", "missed": "dim"}.get(verdict, "warn")
    return f"{paint(verdict, role)} {number}{whom}: {safe_text(trace.text.rstrip())}"


def _report(trial: Trial, tally: Tally, took: float, listed: Listed) -> Iterator[str]:
    assert trial.jail.filter is not None, "a trial has a filter"
    spec = trial.jail.filter
    yield f"{paint(safe_text(trial.made_from), 'strong')} on {safe_text(trial.lines.origin)}"
    for problem in trial.problems:
        yield f"{paint('!', 'bad')} {safe_text(str(problem))}"
    for reason in trial.unfiltered:
        yield f"{paint('!', 'warn')} {safe_text(reason)}"
    yield ""
    yield from _hits("failregex", spec.failregex, tally.failregex)
    yield from _hits("ignoreregex", spec.ignoreregex, tally.ignoreregex)
    yield from _dates(tally.dates)
    if tally.first_missed and not listed.missed:
        yield from _missed(tally)
    if tally.interrupted:
        yield paint("Interrupted: this is about the lines until then.", "warn")
    yield _totals(tally, took)
    if tally.verdicts.total() and set(tally.dates) == {""} and not tally.verdicts["matched"]:
        yield "No line has a date that is known: try --datepattern, or --journal for lines that have none."


def _hits(kind: str, regexes: Sequence[str], hits: Counter[int]) -> Iterator[str]:
    """Every regex with its number (from 1) and how many lines it matched; those without any are dim."""
    if not regexes:
        return
    rows = [[str(hits[index]), str(index + 1), safe_text(regex)] for index, regex in enumerate(regexes)]
    head, *lines = columns(["Hits", "No.", kind], rows, right=(0, 1))
    yield head
    yield from (line if hits[index] else paint(line, "dim") for index, line in enumerate(lines))
    yield ""


def _dates(dates: Counter[str]) -> Iterator[str]:
    if not dates:
        return
    rows = [[str(count), safe_text(pattern) or "none: no date found"] for pattern, count in dates.most_common()]
    yield from columns(["Lines", "date pattern"], rows, right=(0,))
    yield ""


def _missed(tally: Tally) -> Iterator[str]:
    yield paint("Missed lines", "strong")
    for number, text in tally.first_missed:
        yield f"  {number}: {safe_text(text.rstrip())}"
    more = tally.verdicts["missed"] - len(tally.first_missed)
    if more:
        yield f"  and {more:,} more; --print-missed shows all"
    yield ""


def _totals(tally: Tally, took: float) -> str:
    total = tally.verdicts.total()
    counts = ", ".join(
        f"{tally.verdicts[verdict]:,} {verdict}" for verdict in ("matched", "helped", "ignored", "missed")
    )
    lines = "1 line" if total == 1 else f"{total:,} lines"
    return f"{lines}: {counts}; {took:.2f} s, {total / max(took, 1e-9):,.0f} lines/s"
