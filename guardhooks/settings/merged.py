"""The merged sections of several files: what the values are, and what each of them replaced."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from guardhooks.model import Problem
from guardhooks.settings.ini import IniFile, Value

Sections = dict[str, dict[str, Value]]


@dataclass(slots=True)
class MergedConfig:
    """The merged sections of one base name. `files` are what was read, in order; `problems` what was wrong in them."""

    sections: Sections = field(default_factory=dict)
    files: list[Path] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    @property
    def defaults(self) -> Mapping[str, Value]:
        return self.sections.get("DEFAULT", {})

    def find(self, section: str, key: str) -> Value | None:
        """The value of `key` in the section, else in `[DEFAULT]`."""
        return self.sections.get(section, {}).get(key) or self.defaults.get(key)

    def merge(self, file: IniFile) -> None:
        """Merge a file on top: its values replace those of the same section and key."""
        self.files.append(file.path)
        self.problems += file.problems
        for name, values in file.sections.items():
            section = self.sections.setdefault(name, {})
            for key, value in values.items():
                old = section.get(key)
                section[key] = replace(value, previous=old) if old else value
