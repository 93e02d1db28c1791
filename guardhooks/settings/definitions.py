"""A `filter.d` or `action.d` file family, as one jail sees it: both phases of substitution over one set of values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import guardhooks
from guardhooks.errors import ConfigError
from guardhooks.settings.ini import Value
from guardhooks.settings.interpolation import Scope
from guardhooks.settings.layers import Reader
from guardhooks.settings.merged import MergedConfig
from guardhooks.settings.problems import SettingError, as_problem
from guardhooks.settings.tags import Substitution

PACKAGED: Final = Path(guardhooks.__file__).parent / "config"
"""The packaged configuration: the fallback for filters and actions that a directory does not have."""

_LONGEST_NAME: Final = 200


class Definition:
    """Values of `[Definition]` and `[Init]`, overridden by bracket options.

    :param options: bracket options; the strongest.
    :param visible: options of the jail that the file may refer to.
    :param runtime_tags: tags that are replaced only when a ban is made.
    """

    def __init__(
        self,
        config: MergedConfig,
        options: Mapping[str, str],
        visible: Mapping[str, str],
        runtime_tags: frozenset[str] = frozenset(),
    ) -> None:
        self.config = config
        self.options = options
        init = Scope(config, "Init")
        self.init = {key: init.text(value) for key, value in config.sections.get("Init", {}).items()}
        for name in options:  # a plain bracket option applies to every address family
            self._drop_variants(name)
        self._scope = Scope(config, "Definition", {**visible, **{key.lower(): text for key, text in options.items()}})
        self._conditional = {key.partition("?")[0] for key in (*self.init, *options) if "?" in key}
        self._runtime_tags = runtime_tags
        self._substitute = Substitution(self._lookup)

    def __contains__(self, key: str) -> bool:
        return key in self.options or key in self.init or self._scope.find(key) is not None

    def __iter__(self) -> Iterator[str]:
        return iter({*self.options, *self.init, *self.config.sections.get("Definition", {}), *self.config.defaults})

    def get(self, key: str) -> str | None:
        """The final value of `key`, None where nobody sets it. Raises ConfigError naming where it is written."""
        try:
            raw = self._raw(key)
            return None if raw is None else self._substitute(raw)
        except ConfigError as error:
            raise SettingError(as_problem(error, self.place(key), fatal=True)) from None

    def place(self, key: str) -> Value | None:
        """Where `key` is written, without the bracket options."""
        return self.config.sections.get("Init", {}).get(key) or self._scope.find(key)

    @property
    def missing(self) -> list[str]:
        """Tags put together from others (`<mdre-<mode>>`) that the values asked for so far want and nobody defines."""
        return self._substitute.missing

    def known(self, name: str) -> str | None:
        """What `<known/name>` means: the value in `[Init]`, else the layer below, else what the file itself says."""
        if name in self.init:
            return self.init[name]
        earlier = self._scope.earlier(name.lower())
        if earlier is None and name in self.options:
            own = self._scope.find(name.lower())
            return None if own is None else self._scope.text(own)
        return earlier

    def _raw(self, key: str) -> str | None:
        if key in self.options:
            return self.options[key]
        return self.init[key] if key in self.init else self._scope.get(key)

    def _lookup(self, tag: str) -> str | None:
        if tag in self._runtime_tags or tag in self._conditional:
            return None
        if tag in self.options:
            return self.options[tag]
        if tag in self.init:
            return self.init[tag]
        section, slash, option = tag.partition("/")
        if slash and section == "known":
            return self.known(option)
        if slash and section in self.config.sections:
            return Scope(self.config, section).get(option.lower())
        return self._scope.get(tag.lower())

    def _drop_variants(self, name: str) -> None:
        for key in [key for key in self.init if key.startswith(f"{name}?") and key not in self.options]:
            del self.init[key]


class Library:
    """Finds filter and action files: in the directory, and where that has none of a name, in the packaged config.

    :param filters: a folder of filters that is asked before.
    """

    def __init__(self, reader: Reader, directory: Path, *, filters: Path | None = None) -> None:
        self._reader = reader
        self._directory = directory
        self._filters = filters

    def find(self, kind: str, name: str) -> MergedConfig | None:
        """The files of `kind` (`filter.d`, `action.d`) and name; None where there are none. Raises ConfigError."""
        if not _is_file_name(name):
            return None
        for folder in self._folders(kind):
            config = self._reader.read(folder / name)
            if config is not None:
                return config
        return None

    def names(self, kind: str) -> list[str]:
        """Names of all files of a kind, for suggestions."""
        return sorted(
            {path.stem for folder in self._folders(kind) if folder.is_dir() for path in folder.glob("*.conf")}
        )

    def _folders(self, kind: str) -> list[Path]:
        first = [self._filters] if self._filters and kind == "filter.d" else []
        return [*first, self._directory / kind, PACKAGED / kind]

    def python_file(self, name: str) -> str:
        """Path of the action `NAME.py`, empty where there is none."""
        path = self._directory / "action.d" / name
        return str(path) if _is_file_name(name) and path.is_file() else ""


def _is_file_name(name: str) -> bool:
    """Whether a file can have this name; a value of several lines, for example, cannot be one."""
    return name.isprintable() and len(name) <= _LONGEST_NAME and bool(Path(name).name)
