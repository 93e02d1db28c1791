"""The options in `backend = systemd[…]`: which journal is read, as options of `journalctl`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from guardhooks import ConfigError, Option, OptionTable, option_types, parse_brackets, safe_text

OPTIONS: Final = OptionTable(
    "backend",
    (
        Option("journalpath", option_types.TEXT, "", "a directory with journal files", default_text="the system's"),
        Option("journalfiles", option_types.TEXT, "", "journal files, as patterns; in place of `journalpath`"),
        Option("journalflags", option_types.integer(0, 127), 4, "a sum of the flags of sd_journal_open(3)"),
        Option("namespace", option_types.TEXT, "", "the journal of this namespace"),
        Option("rotated", option_types.BOOLEAN, False, "accepted; rotated files are always read as far as needed"),
    ),
    title="Brackets of `backend = systemd`",
)

# The bits of `journalflags` are those of sd_journal_open(3).
LOCAL_ONLY: Final = 1
_RUNTIME_ONLY: Final = 2
_SYSTEM: Final = 4
_CURRENT_USER: Final = 8
_OS_ROOT: Final = 16
_ALL_NAMESPACES: Final = 32
_DEFAULT_NAMESPACE_TOO: Final = 64
_DEFAULT_FLAGS: Final = _SYSTEM
"""Users' own journals are left out: they may write there what they like."""
_RUNTIME_JOURNAL: Final = "/run/log/journal"

_NAMESPACE: Final = re.compile(r"[A-Za-z0-9:_.-]+")


def options_of(jail: str, backend: str) -> tuple[tuple[str, ...], tuple[str, ...], int]:
    """Options of journalctl, globs of files, and the flags that a backend text asks for.

    `rotated` is accepted and changes nothing: rotated files are always read as far as the start lies in them.

    :raises ConfigError: an unknown option or a value that cannot be right.
    """
    options = _parse(jail, backend)
    try:
        option_types.BOOLEAN.parse(options.get("rotated", "off"))
    except ConfigError:
        raise _wrong(jail, "rotated", options["rotated"], "allowed: on, off") from None
    if sum(name in options for name in ("journalpath", "journalfiles", "namespace")) > 1:
        raise ConfigError(f"[{jail}] backend: only one of journalpath, journalfiles and namespace can be given")
    flags = _flags(jail, options)
    if "journalfiles" in options:
        return (), _files(jail, options["journalfiles"]), flags
    kind = (*(["--system"] if flags & _SYSTEM else []), *(["--user"] if flags & _CURRENT_USER else []))
    return (*kind, *_place(jail, options, flags)), (), flags


def _parse(jail: str, backend: str) -> dict[str, str]:
    try:
        _, options = parse_brackets(backend)
    except ConfigError as error:
        raise ConfigError(f"[{jail}] backend: {safe_text(str(error))}") from None
    for name, value in options.items():
        if name not in OPTIONS.option_names:
            allowed = ", ".join(option.name for option in OPTIONS)
            raise ConfigError(f"[{jail}] backend: unknown option {name!r}; allowed: {allowed}")
        if not value or "\0" in value:
            raise _wrong(jail, name, value, "the value is missing")
    return options


def _flags(jail: str, options: Mapping[str, str]) -> int:
    explicit = "journalpath" in options or "journalfiles" in options
    text = options.get("journalflags")
    if text is None:
        return 0 if explicit else _DEFAULT_FLAGS
    if not text.isascii() or not text.isdigit() or int(text) > 127:
        raise _wrong(jail, "journalflags", text, "allowed: a sum of 1, 2, 4, 8, 16, 32, 64 as in sd_journal_open(3)")
    flags = int(text)
    allowed = 0 if "journalfiles" in options else _SYSTEM | _CURRENT_USER | _OS_ROOT
    if explicit and flags & ~allowed:
        raise _wrong(jail, "journalflags", text, "a journalpath takes 4, 8 and 16 only, journalfiles none")
    if flags & _OS_ROOT and "journalpath" not in options:
        raise _wrong(jail, "journalflags", text, "16 needs a journalpath, the root of the other system")
    if flags & _RUNTIME_ONLY and (flags & _ALL_NAMESPACES or "namespace" in options):
        raise _wrong(jail, "journalflags", text, "2 cannot be combined with namespaces")
    return flags


def _place(jail: str, options: Mapping[str, str], flags: int) -> tuple[str, ...]:
    path, namespace = options.get("journalpath", ""), options.get("namespace", "")
    if path:
        _absolute(jail, "journalpath", path)
        return (f"--root={path}" if flags & _OS_ROOT else f"--directory={path}",)
    if namespace and not _NAMESPACE.fullmatch(namespace):
        raise _wrong(jail, "namespace", namespace, "allowed: letters, digits and :_.-")
    if flags & _ALL_NAMESPACES:
        return ("--namespace=*",)
    if namespace:
        return (f"--namespace=+{namespace}" if flags & _DEFAULT_NAMESPACE_TOO else f"--namespace={namespace}",)
    return (f"--directory={_RUNTIME_JOURNAL}",) if flags & _RUNTIME_ONLY else ()


def _files(jail: str, text: str) -> tuple[str, ...]:
    files = tuple(dict.fromkeys(word for word in re.split(r"[,\s]+", text) if word))
    for path in files:
        _absolute(jail, "journalfiles", path)
    return files


def _absolute(jail: str, option: str, path: str) -> None:
    if not path.startswith("/"):
        raise _wrong(jail, option, path, "an absolute path is wanted")


def _wrong(jail: str, option: str, value: str, remedy: str) -> ConfigError:
    return ConfigError(f"[{jail}] backend: {option}: {safe_text(value)!r}: {remedy}")
