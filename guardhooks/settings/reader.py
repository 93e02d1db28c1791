"""Reads declared options from one section, and collects what is wrong there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

from guardhooks.errors import ConfigError
from guardhooks.model import Problem
from guardhooks.settings.interpolation import Scope
from guardhooks.settings.option import Option, Setting
from guardhooks.settings.problems import as_problem, remark_at

T = TypeVar("T")


class OptionReader:
    """The options of one section.

    `problems` collects each wrong value for which a default was taken, and remarks about values out of range.
    """

    def __init__(self, scope: Scope, problems: list[Problem]) -> None:
        self.scope = scope
        self.problems = problems

    def has(self, option: Option[Any]) -> bool:
        return self.scope.find(option.name) is not None

    def text(self, option: Option[Any]) -> str:
        """A value that the section cannot do without, stripped; empty where it is not set.

        :raises ConfigError: when it cannot be evaluated.
        """
        return (self.scope.get(option.name) or "").strip()

    def essential(self, option: Option[T]) -> T:
        """A value for which no default will do if it is wrong. :raises ConfigError: saying where and why."""
        place = self.scope.find(option.name)
        if place is None:
            return option.default
        return option.parse(self.scope.text(place))

    def setting(self, option: Option[T], default: T | None = None) -> Setting[T]:
        """The value and where it is written; a wrong one is reported, and the default takes its place.

        :param default: what to take in place of the option's own default.
        """
        default = option.default if default is None else default
        place = self.scope.find(option.name)
        if place is None:
            return Setting(option, default)
        try:
            text = self.scope.text(place)
            value, remark = option.parse(text), option.remark(text)
        except ConfigError as error:
            problem = as_problem(error, place, fatal=False)
            instead = option.render(default) if not option.default_text else ""
            self.problems.append(
                replace(problem, message=f"{problem.message}; {instead or 'the default'} is used instead")
            )
            return Setting(option, default)
        if remark:
            self.problems.append(remark_at(place, remark))
        return Setting(option, value, place)

    def value(self, option: Option[T], default: T | None = None) -> T:
        """The value alone; see `setting`."""
        return self.setting(option, default).value

    def texts(self) -> dict[str, str]:
        """Every option that has a value here, `[DEFAULT]` included; what cannot be evaluated is left out."""
        texts: dict[str, str] = {}
        config, name = self.scope.config, self.scope.section
        for key, value in {**config.defaults, **config.sections.get(name, {})}.items():
            try:
                texts[key] = self.scope.text(value)
            except ConfigError:
                continue  # reported by whoever needs it
        return texts
