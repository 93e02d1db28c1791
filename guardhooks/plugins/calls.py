"""One call of a hook, one plugin's implementation that takes it, and a worker that comes of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from inspect import iscoroutinefunction
from types import CodeType
from typing import Any, Final, Generic, NamedTuple, TypeAlias, TypeVar

import pluggy

from guardhooks.marker import skips_first_time_offenders
from guardhooks.model import Problem
from guardhooks.plugins.values import shown
from guardhooks.text import safe_text

_Worker_co = TypeVar("_Worker_co", covariant=True)
_Function = TypeVar("_Function", bound=Callable[..., Any])

logger = logging.getLogger("guardhooks.plugins")


class Call(NamedTuple):
    """One call of a hook: for which jail (empty: none in particular), with what, and of which type answers must be.

    `values` are all arguments of the hook, in the order of its specification.
    """

    hook: str
    jail: str
    values: tuple[object, ...]
    expected: type = object


@dataclass(frozen=True, slots=True)
class Implementation:
    """One plugin's implementation of one hook; `call` takes all arguments of the hook and passes on those it wants.

    Two are equal if they are the same `function`: a module that a reload found unchanged. An object that a reload
    creates again, such as a site hook that was edited, has other functions.
    """

    plugin: str
    function: Callable[..., Any]
    call: Callable[..., Any] = field(compare=False)
    wrapper: bool
    is_async: bool
    skips_first_time_offenders: bool

    @classmethod
    def of(cls, hookimpl: pluggy.HookImpl, offered: Sequence[str]) -> Implementation:
        """What pluggy registered, for a hook that offers these arguments."""
        return cls(
            plugin=hookimpl.plugin_name,
            function=hookimpl.function,
            call=_passing(hookimpl.function, hookimpl.argnames, offered),
            wrapper=hookimpl.wrapper,
            is_async=iscoroutinefunction(hookimpl.function),
            skips_first_time_offenders=skips_first_time_offenders(hookimpl.function),
        )


CALLERS: Final[set[CodeType]] = set()
"""Functions that call plugins."""


def calls_plugin(function: _Function) -> _Function:
    """Mark a function that calls a plugin: `blocking` finds it on a stack.

    Its locals say who is called: `plugin`, `hook` and `jail`, or `implementation` and `call` or `jail`.
    """
    CALLERS.add(function.__code__)
    return function


Asked: TypeAlias = Sequence[tuple[Implementation, Sequence[str]]]
"""Who is asked, in order, each with the names of the jails that it is asked for."""


@dataclass(frozen=True, slots=True)
class Provided(Generic[_Worker_co]):
    """A worker that a plugin returned, with the plugin's name and the function that made it.

    `key` is that of a source, `jails` are those that a matcher serves and `problems` what is wrong with them: read and
    checked once.
    """

    worker: _Worker_co
    plugin: str
    function: Callable[..., Any]
    key: str = ""
    jails: tuple[str, ...] = ()
    problems: Mapping[str, Sequence[Problem]] = field(default_factory=dict)

    def made_as(self, other: Provided[Any]) -> bool:
        """Whether the same function of the same plugin made both."""
        return (self.plugin, self.function) == (other.plugin, other.function)


def _passing(function: Callable[..., Any], wanted: Sequence[str], offered: Sequence[str]) -> Callable[..., Any]:
    """`function` for all arguments of a hook; called for every failure, so nothing is looked up by name then."""
    if tuple(wanted) == tuple(offered):
        return function
    places = [offered.index(name) for name in wanted]
    return lambda *values: function(*[values[place] for place in places])


def traced(implementation: Implementation, call: Call, answer: object) -> None:
    """Log one call for a plugin's author."""
    given = safe_text(", ".join(map(shown, call.values)), 300)
    logger.info("trace: %s.%s(%s) -> %s", implementation.plugin, call.hook, given, shown(answer))
