"""From the words of `action =` to `ActionSpec`s: names, identities, commands and parameters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from guardhooks.errors import ConfigError
from guardhooks.model import ActionSpec, Problem
from guardhooks.settings.brackets import parse_brackets, split_words
from guardhooks.settings.definitions import Definition, Library
from guardhooks.settings.ini import Value
from guardhooks.settings.merged import MergedConfig
from guardhooks.settings.options import Options
from guardhooks.settings.problems import SettingError, as_problem

COMMANDS: Final = (
    "actionstart", "actionstart_on_demand", "actionstop", "actionflush", "actionreload", "actioncheck", "actionrepair",
    "actionrepair_on_unban", "actionban", "actionprolong", "actionreban", "actionunban", "norestored",
)  # fmt: skip
"""What `[Definition]` of an action gives to those who execute it; its other keys only feed the substitution."""

_RUNTIME_TAGS: Final = frozenset({"matches", "ipmatches", "ipjailmatches", "timeout", "bantime"})
_KNOWN = re.compile(r"<known/([^ <>]+)>")


def build_actions(library: Library, jail: str, options: Options, visible: Mapping[str, str]) -> tuple[ActionSpec, ...]:
    """All actions of a jail. One that cannot be used is left out and reported in `options.problems`."""
    place = options.scope.find("action")
    if place is None:
        message = "no action is set, so nobody gets banned; if that is meant, say so with an empty 'action ='"
        options.problems.append(Problem(message, section=jail, key="action"))
        return ()
    specs: dict[str, ActionSpec] = {}
    taken = "another action has the actname {!r} already; give one of them an actname of its own"
    for line in _evaluated(options, place):
        for word in split_words(line):
            try:
                spec, problems = build_action(library, word, jail, visible)
            except ConfigError as error:
                options.problems.append(_left_out(word.partition("[")[0], error, place))
                continue
            if spec.actname in specs:
                options.problems.append(_left_out(word, ConfigError(taken.format(spec.actname)), place))
                continue
            specs[spec.actname] = replace(spec, place=_named_at(options, spec.name, place))
            options.problems += problems
    return tuple(specs.values())


def _named_at(options: Options, name: str, place: Value) -> str:
    """Where the name stands: mostly in `banaction`, to which `action` refers."""
    own = (options.scope.find(key) for key in ("action", "banaction", "banaction_allports"))
    value = next((value for value in own if value is not None and name in value.text), place)
    return f"{value.file}:{value.line}: [{value.section}] {value.key}"


def _left_out(action: str, error: ConfigError, place: Value) -> Problem:
    problem = as_problem(error, place, fatal=False)
    return replace(problem, message=f"action {action!r} is left out: {problem.message}")


def _evaluated(options: Options, place: Value) -> list[str]:
    """The text of `action =`; where that fails as a whole, the lines of it that do not."""
    try:
        return [options.scope.text(place)]
    except ConfigError:
        texts = []
    for line in place.text.split("\n"):
        try:
            texts.append(options.scope.text(replace(place, text=line)))
        except ConfigError as error:
            options.problems.append(_left_out(line.strip(), error, place))
    return texts


def build_action(
    library: Library, text: str, jail: str, visible: Mapping[str, str]
) -> tuple[ActionSpec, list[Problem]]:
    """The action that one word of `action =` names, and what is wrong in its files. Raises ConfigError.

    An action without any file is no error: a plugin may serve it.

    :param visible: options of the jail that the action file may refer to; they win over its `[Definition]`.
    """
    name, given = parse_brackets(text)
    options = {**given, "actname": given.get("actname") or name.removesuffix(".py")}
    options["name"] = given.get("name") or jail
    options["actname"] += _suffix(options["name"], jail) if "actname" not in given else ""
    if name.endswith(".py"):
        return ActionSpec(name, options["actname"], options, file=library.python_file(name)), []
    config = library.find("action.d", name)
    if config is None:
        return ActionSpec(name, options["actname"], _without_known(options)), []
    fatal = next((problem for problem in config.problems if problem.fatal), None)
    if fatal:
        raise SettingError(fatal)
    definition = Definition(config, options, visible, _RUNTIME_TAGS)
    spec = ActionSpec(name, options["actname"], _options(definition), _properties(definition), str(_file(config, name)))
    return spec, list(config.problems)


def _suffix(name: str, jail: str) -> str:
    """What tells two actions of one file apart that act under different names."""
    if name == jail:
        return ""
    return name.removeprefix(jail) if name.startswith(jail) else f"-{name}"


def _properties(definition: Definition) -> dict[str, str]:
    properties = dict(definition.init)
    for key in COMMANDS:
        value = definition.get(key)
        if value is not None:
            properties[key] = value
    return properties


def _options(definition: Definition) -> dict[str, str]:
    def known(match: re.Match[str]) -> str:
        value = definition.known(match[1])
        return match[0] if value is None else value

    return _without_known({key: _KNOWN.sub(known, text) for key, text in definition.options.items()})


def _without_known(options: Mapping[str, str]) -> dict[str, str]:
    """Leave out what means "as the action file has it" where the file has nothing."""
    return {key: text for key, text in options.items() if not _KNOWN.fullmatch(text)}


def _file(config: MergedConfig, name: str) -> Path:
    return next((path for path in config.files if path.stem == name), config.files[-1])
