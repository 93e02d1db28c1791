"""From the words of `action =` to `ActionSpec`s: names, identities, commands and parameters."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from guardhooks.errors import ConfigError
from guardhooks.model import ActionSpec, Problem
from guardhooks.settings.action_options import COMMANDS
from guardhooks.settings.brackets import parse_brackets, split_words
from guardhooks.settings.definitions import Definition
from guardhooks.settings.ini import Value
from guardhooks.settings.jail_files import JailFiles
from guardhooks.settings.jail_options import ACTION
from guardhooks.settings.merged import MergedConfig
from guardhooks.settings.problems import SettingError, as_problem, nearest, problem_at, remark_at
from guardhooks.settings.reader import OptionReader
from guardhooks.settings.unknown_brackets import unknown_options

_RUNTIME_TAGS: Final = frozenset({"matches", "ipmatches", "ipjailmatches", "timeout", "bantime"})
_KNOWN: Final = re.compile(r"<known/([^ <>]+)>")
_PYTHON: Final = ".py"


def build_actions(files: JailFiles, options: OptionReader, visible: Mapping[str, str]) -> tuple[ActionSpec, ...]:
    """All actions of a jail. One that cannot be used is left out and reported in `options.problems`.

    :param visible: options of the jail that the action files may refer to; they win over their `[Definition]`.
    """
    jail, place = options.scope.section, options.scope.find(ACTION.name)
    if place is None:
        message = "no action is set, so nobody gets banned; if that is intended, say so with an empty 'action ='"
        options.problems.append(Problem(message, section=jail, key=ACTION.name))
        return ()
    specs: dict[str, ActionSpec] = {}
    taken = "another action has the actname {!r} already; give one of them an actname of its own"
    for word in _words(options, place):
        try:
            action = _find_action(files, word)
            spec = action.spec(jail, visible)
        except ConfigError as error:
            options.problems.append(_left_out(word.partition("[")[0], error, place))
            continue
        if spec.actname in specs:
            options.problems.append(_left_out(word, ConfigError(taken.format(spec.actname)), place))
            continue
        named_at = _written(options, place, re.escape(action.name))
        specs[spec.actname] = replace(
            spec,
            place=f"{named_at.file}:{named_at.line}: [{named_at.section}] {named_at.key}",
            nearest="" if spec.file else _nearest(files, spec.name),
        )
        options.problems += [*action.problems, *_unknown(files, action, options, place)]
        options.problems += _remarks(files, action, options, place)
    return tuple(specs.values())


@dataclass(frozen=True, slots=True)
class _Action:
    """One word of `action =`: a name, the options in its brackets, and the file of that name, if there is one."""

    name: str
    given: Mapping[str, str]
    config: MergedConfig | None = None
    python_file: str = ""

    @property
    def problems(self) -> list[Problem]:
        return self.config.problems if self.config else []

    def spec(self, jail: str, visible: Mapping[str, str]) -> ActionSpec:
        """The action as `execute_action` gets it. :raises ConfigError: when its file cannot be used."""
        options = {**self.given, "actname": self.given.get("actname") or self.name.removesuffix(_PYTHON)}
        options["name"] = self.given.get("name") or jail
        options["actname"] += _suffix(options["name"], jail) if "actname" not in self.given else ""
        if self.name.endswith(_PYTHON):
            return ActionSpec(self.name, options["actname"], options, file=self.python_file)
        if self.config is None:
            return ActionSpec(self.name, options["actname"], _without_known(options))
        fatal = next((problem for problem in self.config.problems if problem.fatal), None)
        if fatal:
            raise SettingError(fatal)
        definition = Definition(self.config, options, visible, _RUNTIME_TAGS)
        file = str(_file(self.config, self.name))
        return ActionSpec(self.name, options["actname"], _options(definition), _properties(definition), file)


def _find_action(files: JailFiles, text: str) -> _Action:
    """The action that one word names. One without any file is no error: a plugin may serve it. Raises ConfigError."""
    name, given = parse_brackets(text)
    if name.endswith(_PYTHON):
        return _Action(name, given, python_file=files.library.python_file(name))
    return _Action(name, given, files.library.find("action.d", name))


def _nearest(files: JailFiles, name: str) -> str:
    """The action most like a name for which there is no file; empty where a plugin says that it serves the name."""
    known = files.declared.action_names()
    return "" if name in known else nearest(name, sorted({*known, *files.library.names("action.d")}))


def _unknown(files: JailFiles, action: _Action, options: OptionReader, place: Value) -> Iterator[Problem]:
    """A problem for each bracket option that neither the action's file nor a plugin knows.

    Nothing can be said of an action that has no file and for which no plugin declares its options.
    """
    declared = files.declared
    if not declared.knows_plugins or (action.config is None and not declared.is_served(action.name)):
        return
    known = declared.names("action", action.name)
    for name, hint in unknown_options(action.given, known, action.config, files.referred):
        written = _written(options, place, rf"(?<![\w.-]){re.escape(name)}=")
        yield problem_at(written, f"action {action.name} has no option {name!r}{hint}")


def _remarks(files: JailFiles, action: _Action, options: OptionReader, place: Value) -> Iterator[Problem]:
    """How bracket options are taken that are out of range; what is wrong with them whoever serves the action says."""
    for each in files.declared.plugin_options("action", action.name):
        with suppress(ConfigError):
            if (text := action.given.get(each.name, "").strip()) and (remark := each.remark(text)):
                written = _written(options, place, rf"(?<![\w.-]){re.escape(each.name)}=")
                yield remark_at(written, f"action {action.name}: {each.name}: {remark}")


def _written(options: OptionReader, place: Value, pattern: str) -> Value:
    """The value in which something stands: often `banaction`, to which `action` refers through `action_`."""
    return next((value for value in options.scope.sources(place) if re.search(pattern, value.text)), place)


def _words(options: OptionReader, place: Value) -> Iterator[str]:
    for line in _evaluated(options, place):
        yield from split_words(line)


def _evaluated(options: OptionReader, place: Value) -> list[str]:
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


def _left_out(action: str, error: ConfigError, place: Value) -> Problem:
    problem = as_problem(error, place, fatal=False)
    return replace(problem, message=f"action {action!r} is left out: {problem.message}")


def _suffix(name: str, jail: str) -> str:
    """What tells two actions of one file apart that act under different names."""
    if name == jail:
        return ""
    return name.removeprefix(jail) if name.startswith(jail) else f"-{name}"


def _properties(definition: Definition) -> dict[str, str]:
    properties = dict(definition.init)
    for option in COMMANDS:
        value = definition.get(option.name)
        if value is not None:
            properties[option.name] = value
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
