"""`test --explain`: what happened to each line, step by step."""

from __future__ import annotations

from collections.abc import Iterator

from guardhooks.cli.exits import warn
from guardhooks.cli.layout import say
from guardhooks.cli.output import moment, paint
from guardhooks.cli.test.trial import Trial
from guardhooks.model import Failure
from guardhooks.text import safe_text
from guardhooks.workers import LineTrace


def print_explanation(trial: Trial, *, every: bool) -> None:
    """Print a paragraph for each line."""
    for problem in trial.problems:
        warn(str(problem))
    for number, trace in trial.traces(every=every):
        say(*_paragraph(number, trace, trial), "")


def _paragraph(number: int, trace: LineTrace, trial: Trial) -> Iterator[str]:
    yield f"{paint(f'line {number}:', 'strong')} {safe_text(trace.text.rstrip())}"
    yield _date(trace)
    for step in trace.steps:
        yield f"  {safe_text(step)}"
    yield f"  {_verdict(trace)}"
    for failure in trace.failures:
        yield from _failure(failure, trial)


def _date(trace: LineTrace) -> str:
    if trace.date:
        return f"  date {safe_text(trace.date)!r} by {safe_text(trace.datepattern)}: {moment(trace.time)}"
    return "  no date in it" + (f"; taken as {moment(trace.time)}" if trace.time is not None else "")


def _verdict(trace: LineTrace) -> str:
    if trace.ignoreregex >= 0:
        return paint(f"ignored, by ignoreregex {trace.ignoreregex + 1}", "warn")
    if not trace.failures:
        return paint("missed", "dim")
    if all(failure.nofail for failure in trace.failures):
        return paint("helps: it matched, and no failure is counted yet", "warn")
    return paint("matched", "good")


def _failure(failure: Failure, trial: Trial) -> Iterator[str]:
    blamed = failure.id or (f"{failure.resolve} (a name, to be looked up)" if failure.resolve else "nobody yet")
    kind = "helper of" if failure.nofail else "failure of"
    blamed = paint(safe_text(blamed), "strong")
    yield f"    failregex {failure.failregex + 1}: {kind} {blamed} at {moment(failure.time)}"
    assert trial.jail.filter is not None, "a trial has a filter"
    if 0 <= failure.failregex < len(trial.jail.filter.failregex):
        yield paint(f"      {safe_text(trial.jail.filter.failregex[failure.failregex])}", "dim")
    for name, value in failure.fields.items():
        if value is not None:
            yield f"      {name} = {safe_text(value if isinstance(value, str) else ', '.join(map(str, value)))}"
    for match in failure.matches:
        yield f"      | {safe_text(match)}"
