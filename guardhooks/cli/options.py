"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

if TYPE_CHECKING:
    Seconds = click.ParamType[float]
else:
    Seconds = click.ParamType  # before click 8.4 it cannot be subscripted

_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])


_FOLDER: Final = click.Path(path_type=Path, readable=False)
"""Whether it can be used is for those to say who use it: they know what for, and the remedy."""


def _folder(ctx: click.Context, _param: click.Parameter, value: Path | None) -> Path | None:
    """The folder given to the command, else the one given before it: `guardhooks -c DIR status`."""
    parent = ctx.parent
    if value is None and parent is not None and isinstance(parent.obj, Path):
        return parent.obj
    return value


config_option = click.option(
    "-c",
    "--config",
    type=_FOLDER,
    metavar="DIR",
    callback=_folder,
    is_eager=True,
    help="Configuration directory. [default: /etc/guardhooks, else /etc/fail2ban, else the packaged one]",
)
state_option = click.option(
    "--state",
    type=_FOLDER,
    metavar="DIR",
    help="State folder; the control socket lies there too. [default: the system's, or the user's own]",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def daemon_options(function: _Decorated) -> _Decorated:
    """`-c` and `--state`: which daemon is meant."""
    return config_option(state_option(function))


class Duration(Seconds):
    """A time as in the configuration: seconds, or text such as `1h 30m`; `-1` or `forever` is permanent (-1.0)."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:  # noqa: ANN401
        if isinstance(value, float):
            return value
        text = str(value).strip()
        if text in {"-1", "forever"}:
            return -1.0
        from guardhooks.errors import ConfigError
        from guardhooks.settings.times import parse_duration

        try:
            seconds = parse_duration(text)
        except ConfigError as error:
            self.fail(str(error), param, ctx)
        if seconds < 1:
            self.fail(f"{text!r} is shorter than a second; -1 or forever never ends", param, ctx)
        return seconds
