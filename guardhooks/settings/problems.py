"""How a setting that cannot be used is reported: one `Problem` with its place, and the nearest name that would do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from guardhooks.errors import ConfigError
from guardhooks.model import Problem
from guardhooks.settings.ini import Value
from guardhooks.text import did_you_mean, nearest, nearest_or_all

__all__ = [
    "SettingError",
    "as_problem",
    "did_you_mean",
    "error_at",
    "nearest",
    "nearest_or_all",
    "problem_at",
    "remark_at",
    "sorted_out",
]


class SettingError(ConfigError):
    """A ConfigError that still knows its place, so that whoever reads the jail can report it as a `Problem`."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


def problem_at(value: Value, message: str, *, fatal: bool = False) -> Problem:
    """A problem of this value, at the file and line where it was written."""
    return Problem(message, value.file, value.line, value.section, value.key, fatal)


def remark_at(value: Value, message: str) -> Problem:
    """A remark about this value."""
    return Problem(message, value.file, value.line, value.section, value.key, remark=True)


def sorted_out(found: Iterable[Problem]) -> tuple[tuple[Problem, ...], tuple[Problem, ...]]:
    """The problems and the remarks among them, each once."""
    once = tuple(dict.fromkeys(found))
    return tuple(each for each in once if not each.remark), tuple(each for each in once if each.remark)


def error_at(value: Value | None, message: str) -> SettingError:
    """The same as an exception; without a value only the message is known."""
    return SettingError(problem_at(value, message, fatal=True) if value else Problem(message, fatal=True))


def as_problem(error: ConfigError, value: Value | None = None, *, fatal: bool) -> Problem:
    """The problem behind an error; one that knows no place of its own gets that of `value`."""
    if isinstance(error, SettingError) and (error.problem.file or value is None):
        return replace(error.problem, fatal=fatal)
    message = error.problem.message if isinstance(error, SettingError) else str(error)
    return problem_at(value, message, fatal=fatal) if value else Problem(message, fatal=fatal)
