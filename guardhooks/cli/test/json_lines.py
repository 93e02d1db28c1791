"""`test --json`: exactly one JSON object for each input line, in order."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from typing import Final

from guardhooks.cli.exits import warn
from guardhooks.cli.test.trial import Trial
from guardhooks.model import Failure
from guardhooks.workers import LineTrace, MissedLines


def print_lines(trial: Trial) -> None:
    """Print the lines; all regexes are tried on each. Problems of the filter go to stderr."""
    for problem in trial.problems:
        warn(str(problem))
    number = 0
    for block in trial.surveys(every=True):
        for outcome in block:
            if isinstance(outcome, MissedLines):
                sys.stdout.write("".join([_MISSED % (number + more) for more in range(1, outcome.count + 1)]))
                number += outcome.count
            else:
                number += 1
                sys.stdout.write(json.dumps(line_to_dict(number, outcome)) + "\n")
        sys.stdout.flush()


_MISSED: Final = json.dumps({"line": 0, "ignored": False, "failures": []}).replace("0", "%d") + "\n"
"""`line_to_dict` of a line that nothing matches, with a place for its number."""


def line_to_dict(number: int, trace: LineTrace) -> dict[str, object]:
    """One line's object; strings in it are ASCII-escaped when printed. `failregex` counts from 1, as in the report."""
    return {
        "line": number,
        "ignored": trace.ignoreregex >= 0,
        "failures": [_failure_to_dict(failure) for failure in trace.failures],
    }


def _failure_to_dict(failure: Failure) -> dict[str, object]:
    return {
        "failregex": failure.failregex + 1,
        "id": failure.id or failure.resolve,
        "time": failure.time if math.isfinite(failure.time) else None,
        "fields": _fields_to_dict(failure.fields),
        "matches": list(failure.matches),
        "nofail": failure.nofail or not (failure.id or failure.resolve),
    }


def _fields_to_dict(fields: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None}
