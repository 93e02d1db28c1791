"""Configurations with the mistakes of real servers: we make of them what fail2ban makes of the mended ones."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Final

import pytest

from guardhooks.settings import load
from tests.compat.upstream import CLIENT, MISSING, PLUGIN_OPTIONS, comparable, ours, upstream
from tests.wild.comparison import compare
from tests.wild.documented import documented
from tests.wild.trees import NAMES, STOCK, laid_out

pytestmark = pytest.mark.skipif(MISSING and "CI" not in os.environ, reason="Debian's fail2ban is not installed")

_GOOD: Final = """[DEFAULT]
backend = polling
bantime = 900
[good]
enabled = true
filter = sshd
logpath = LOG
maxretry = 4
"""
_OTHER: Final = "[other]\nenabled = true\nfilter = sshd\nlogpath = LOG\n"


@dataclass(frozen=True)
class Mistake:
    """A `jail.local`, what it becomes once mended, what we say, and the jails that are broken.

    `difference` is what we do otherwise than fail2ban, which refuses the whole; empty where it does not.
    """

    text: str
    mended: str
    says: str
    broken: frozenset[str] = frozenset()
    difference: str = "a duplicate key or section, a line without `=` or text before a section fails the whole load"


_MISTAKES: Final = {
    "a key twice": Mistake(_GOOD + "maxretry = 6\n", _GOOD.replace("maxretry = 4", "maxretry = 6"), "maxretry"),
    "a section twice": Mistake(_GOOD + _OTHER + "[good]\nmaxretry = 7\n", _GOOD.replace("= 4", "= 7") + _OTHER, "good"),
    "a line without a sign": Mistake(_GOOD + "findtime 300\n", _GOOD, "findtime 300"),
    "a heading without brackets": Mistake("my jails\n" + _GOOD, _GOOD, "my jails"),
    "a filter that is gone": Mistake(
        _GOOD + _OTHER.replace("sshd", "vanished"), _GOOD, "vanished", frozenset({"other"}), "",
    ),
    "an include that is gone": Mistake("[INCLUDES]\nbefore = gone.conf\n" + _GOOD, _GOOD, "gone.conf", difference=""),
    "names of 0.6": Mistake(_GOOD + "maxfailures = 9\n", _GOOD, "maxfailures", difference=""),
    "a reference to nothing": Mistake(
        _GOOD + _OTHER.replace("LOG", "%(nowhere)s/auth.log"), _GOOD, "nowhere", frozenset({"other"}),
        "one bad regex, option or missing log and no jail starts",
    ),
    "a percent sign by itself": Mistake(
        _GOOD + _OTHER + "failregex = ^100% <HOST>\n", _GOOD, "%", frozenset({"other"}),
        "one bad regex, option or missing log and no jail starts",
    ),
}  # fmt: skip


def _written(folder: Path, jail_local: str) -> Path:
    config = folder / "etc"
    shutil.copytree(STOCK, config)
    shutil.rmtree(config / "jail.d")
    (folder / "auth.log").touch()
    (config / "jail.local").write_text(jail_local.replace("LOG", str(folder / "auth.log")))
    return config


def _is_refused(config: Path) -> bool:
    """Whether fail2ban starts no jail of this configuration."""
    assert CLIENT is not None
    done = subprocess.run([CLIENT, "-c", config, "-d"], capture_output=True, text=True, check=False, timeout=50)
    return done.returncode != 0


@pytest.mark.parametrize("name", _MISTAKES)
def test_a_mistake_costs_what_it_is_in_and_is_told(name: str, tmp_path: Path) -> None:
    mistake = _MISTAKES[name]
    config = _written(tmp_path, mistake.text)
    settings = load(config, PLUGIN_OPTIONS, journal=False)
    theirs = upstream(_written(tmp_path / "mended", mistake.mended))
    assert _is_refused(config) is bool(mistake.difference)
    assert documented(mistake.difference)
    assert settings.broken.keys() == mistake.broken
    problems = [*settings.problems, *(each for jail in settings.jails for each in jail.problems)]
    problems += [each for why in settings.broken.values() for each in why]
    assert any(mistake.says in f"{problem}" for problem in problems)
    assert {jail.name for jail in settings.jails} == theirs.keys()
    for jail in settings.jails:
        expected = comparable(theirs[jail.name])
        assert _without_places(ours(jail, expected), tmp_path) == _without_places(expected, tmp_path)


def _without_places(values: dict[str, object], folder: Path) -> dict[str, str]:
    return {key: str(value).replace(str(folder), "") for key, value in values.items()}


# --- how files are written --------------------------------------------------------------------------------------------


def _with_tabs(data: bytes) -> bytes:
    indented = re.sub(rb"^ +", b"\t", data, flags=re.MULTILINE)
    return re.sub(rb"^([\w.-]+)[ \t]*=[ \t]*", rb"\1\t=\t", indented, flags=re.MULTILINE)


_READ_BY_BOTH: Final[dict[str, Callable[[bytes], bytes]]] = {
    "carriage returns": lambda data: data.replace(b"\n", b"\r\n"),
    "tabs": _with_tabs,
    "blanks at the ends": lambda data: re.sub(rb"(?<=\S)$", b"  ", data, flags=re.MULTILINE),
    "no line break at the end": lambda data: data.rstrip(b"\n"),
}
_READ_BY_US: Final[dict[str, Callable[[bytes], bytes]]] = {
    "a byte order mark": lambda data: b"\xef\xbb\xbf" + data,
    "Latin-1": lambda data: "# für den Büroserver, gepflegt von Jürgen\n".encode("latin-1") + data,
    "a byte order mark and carriage returns": lambda data: b"\xef\xbb\xbf" + data.replace(b"\n", b"\r\n"),
}


@pytest.mark.parametrize(("tree", "style"), [*zip(NAMES, cycle(_READ_BY_BOTH), strict=False)])
def test_how_a_file_is_written_changes_nothing(tree: str, style: str, tmp_path: Path) -> None:
    config = laid_out(tree, tmp_path / "etc", _READ_BY_BOTH[style])
    compare(config, config)


@pytest.mark.parametrize(("tree", "style"), [*zip(["lenny", "panel", "pbx"], _READ_BY_US, strict=True)])
def test_what_fail2ban_does_not_read_means_what_it_would_as_plain_text(tree: str, style: str, tmp_path: Path) -> None:
    assert documented("a file with a BOM or with bytes that are not UTF-8 is not read")
    plain = laid_out(tree, tmp_path / "plain")
    compare(plain, laid_out(tree, tmp_path / "odd", _READ_BY_US[style]))
