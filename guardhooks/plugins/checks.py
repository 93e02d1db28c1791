"""What a plugin must fulfil to be loaded: hooks that exist, known arguments, functions of the right kind."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterator
from typing import Final

import pluggy

from guardhooks.errors import PluginError
from guardhooks.marker import skips_first_time_offenders
from guardhooks.plugins.boundary import pass_interrupt
from guardhooks.plugins.values import described

MAY_BE_ASYNC: Final = frozenset({"on_failure", "execute_action", "diagnose"})
MAY_BE_WRAPPED: Final = frozenset({"decide_ban"})


def check_plugin(manager: pluggy.PluginManager, plugin: object, name: str, origin: str) -> None:
    """Refuse a plugin that breaks the contract.

    :raises PluginError: naming the plugin, where it comes from, the hook and the defect.
    """
    try:
        implementations = list(_implementations(manager, plugin))
        defects = [(hook, _defect(manager, hook, function, options)) for hook, function, options in implementations]
    except BaseException as error:  # the plugin boundary: attributes may be computed
        pass_interrupt(error)
        raise PluginError(f"plugin {name} ({origin}) is refused: it cannot be looked at: {described(error)}") from error
    for hook, defect in defects:
        if defect:
            raise PluginError(f"plugin {name} ({origin}) is refused: {hook}: {defect}")
    if not implementations:
        raise PluginError(
            f"plugin {name} ({origin}) is refused: it implements no hook; mark one with @guardhooks.hookimpl"
        )


def _implementations(
    manager: pluggy.PluginManager, plugin: object
) -> Iterator[tuple[str, Callable[..., object], pluggy.HookimplOpts]]:
    for attribute in dir(plugin):
        options = manager.parse_hookimpl_opts(plugin, attribute)
        if options is not None:
            yield options["specname"] or attribute, getattr(plugin, attribute), options


def _defect(
    manager: pluggy.PluginManager, hook: str, function: Callable[..., object], options: pluggy.HookimplOpts
) -> str:
    spec = getattr(manager.hook, hook, None)
    if spec is None:
        return _unknown_hook(manager, hook)
    allowed = tuple(spec.spec.argnames)
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is not parameter.POSITIONAL_OR_KEYWORD:
            return f"argument {parameter.name!r} must be an ordinary one, not *args, **kwargs, / or keyword-only"
        if parameter.default is parameter.empty and parameter.name not in allowed:
            near = difflib.get_close_matches(parameter.name, allowed, 1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            return f"it wants an argument {parameter.name!r}{hint}; the hook offers: {', '.join(allowed)}"
    return _wrong_kind(hook, function, options)


def _unknown_hook(manager: pluggy.PluginManager, hook: str) -> str:
    known = sorted(name for name in vars(manager.hook) if not name.startswith("_"))
    near = difflib.get_close_matches(hook, known, 1)
    return (
        f"there is no such hook; did you mean {near[0]}?" if near else f"there is no such hook among {', '.join(known)}"
    )


def _wrong_kind(hook: str, function: Callable[..., object], options: pluggy.HookimplOpts) -> str:
    if options["hookwrapper"]:
        return "old-style hookwrapper is not supported; use wrapper=True"
    if skips_first_time_offenders(function) and hook != "decide_ban":
        return "skip_first_time_offenders is only for decide_ban"
    if options["wrapper"]:
        if not inspect.isgeneratorfunction(function):
            return "wrapper=True is for a generator function that yields once and returns the bans; there is no yield"
        return "" if hook in MAY_BE_WRAPPED else f"wrapper=True is only for {', '.join(sorted(MAY_BE_WRAPPED))}"
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        return "it is a generator function, which would claim every call; return a result or None"
    if inspect.iscoroutinefunction(function) and hook not in MAY_BE_ASYNC:
        return f"it is async, which only {', '.join(sorted(MAY_BE_ASYNC))} may be"
    return ""
