"""What the shell offers after TAB: jails, banned addresses, filters, files.

Names come from the daemon where one answers, else from the configuration's files, which are only looked through:
a completion that takes as long as reading them properly is not waited for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import click

from guardhooks.system.config_directories import CONFIG_DIRECTORIES

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_SECTION: Final = re.compile(r"^\[([\w.-]+)\]", re.MULTILINE)
_NO_JAILS: Final = frozenset({"DEFAULT", "INCLUDES"})
_ADDRESS: Final = re.compile(r"[0-9a-fA-F:.]+(?:/\d+)?")
"""Other ids may hold what a shell or terminal reads as its own."""

_PATIENCE: Final = 1.0
"""Seconds that the daemon gets to answer."""

_MOST: Final = 500
"""Bans of a jail; with more, nobody reads a list."""


def jails(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """The jails that run; without a daemon those that the configuration has."""
    status = _ask(ctx, "status")
    names = [str(each["name"]) for each in status["jails"]] if status else _configured_jails(ctx)
    return _starting(incomplete, names)


def banned(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """The addresses and networks that are banned, in the jail of `--jail` or in all."""
    status = _ask(ctx, "status")
    names = [str(each["name"]) for each in status["jails"]] if status else []
    chosen = [ctx.params["jail"]] if ctx.params.get("jail") in names else names
    found: set[str] = set()
    for name in chosen:
        details = _ask(ctx, "status", jail=name) or {}
        found |= {str(ban["id"]) for ban in details.get("banned", [])[:_MOST]}
    return _starting(incomplete, (id_ for id_ in found if _ADDRESS.fullmatch(id_)))


def services(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """The jails that are packaged."""
    return _starting(incomplete, _sections(_packaged()))


def log_or_filter(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Files, for a log, until a log is named; then filters and jails as well."""
    from click.shell_completion import CompletionItem

    if not ctx.params.get("words") or "/" in incomplete:
        return [CompletionItem(incomplete, type="file")]
    names = {file.stem for folder in _directories(ctx) for file in folder.glob("filter.d/*.conf")}
    names |= set(_configured_jails(ctx))
    return [CompletionItem(name) for name in _starting(incomplete, names)]


def _ask(ctx: click.Context, request: str, **arguments: object) -> dict[str, Any] | None:
    from guardhooks.cli.connection import ask_daemon
    from guardhooks.errors import GuardhooksError

    try:
        answer = ask_daemon(ctx.params.get("config"), ctx.params.get("state"), request, timeout=_PATIENCE, **arguments)
    except (GuardhooksError, OSError):
        return None  # nothing is offered; the command itself will say why
    return cast("dict[str, Any]", answer)


def _configured_jails(ctx: click.Context) -> list[str]:
    return [name for folder in _directories(ctx)[:1] for name in _sections(folder)]


def _sections(folder: Path) -> Iterator[str]:
    for file in [*folder.glob("jail.*"), *folder.glob("jail.d/*")]:
        try:
            yield from (name for name in _SECTION.findall(file.read_text(errors="replace")) if name not in _NO_JAILS)
        except OSError:  # a folder, or not for this user to read
            continue


def _directories(ctx: click.Context) -> list[Path]:
    """The configuration that would be used, and the packaged one, whose filters are used as well."""
    chosen = ctx.params.get("config") or next((each for each in CONFIG_DIRECTORIES if each.is_dir()), None)
    return [*filter(None, [chosen]), _packaged()]


def _packaged() -> Path:
    return Path(__file__).parent.parent / "config"


def _starting(incomplete: str, names: Iterable[str]) -> list[str]:
    return sorted({name for name in names if name.startswith(incomplete)})
