"""Exit codes, and how an error becomes one line on stderr and one of them."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from enum import IntEnum
from typing import Final

import click

from guardhooks.cli.layout import terminal_width, wrapped
from guardhooks.control.protocol import NoDaemonError, RequestError
from guardhooks.errors import ConfigError, GuardhooksError, PluginError, StateError
from guardhooks.text import safe_text


class Exit(IntEnum):
    """What the `guardhooks` command exits with."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    CONFIG = 3
    NO_DAEMON = 4
    STATE = 5
    DEGRADED = 6
    INTERRUPTED = 130


_OF_KIND: Final = {"usage": Exit.USAGE, "config": Exit.CONFIG}
"""What went wrong at the daemon, by the protocol's kind of error."""

HELP = """\
Exit codes:

\b
  0  done
  1  it failed: the daemon refused, the address was not banned, the doctor found something wrong, …
  2  wrong usage
  3  the configuration cannot be used
  4  no daemon answers
  5  the state folder or the socket cannot be used, or is in use; the daemon does not react
  6  the daemon runs, but something is degraded (status --check) or kept as it was (reload); the check found something
130  interrupted (Ctrl-C); a daemon that runs stops and exits with 0"""


def code_of(error: GuardhooksError) -> Exit:
    """The exit code that tells a script what kind of error this is."""
    if isinstance(error, NoDaemonError):
        return Exit.NO_DAEMON
    if isinstance(error, StateError):
        return Exit.STATE
    if isinstance(error, ConfigError | PluginError):
        return Exit.CONFIG
    if isinstance(error, RequestError):
        return _OF_KIND.get(error.kind, Exit.FAILED)
    return Exit.FAILED


def guarded(work: Callable[[], object]) -> int:
    """Do the work of a command; whatever a user could have caused becomes one line on stderr and an exit code."""
    try:
        result = work()
        sys.stdout.flush()
    except click.UsageError as error:
        return complain(_usage_fault(error), Exit.USAGE)
    except click.ClickException as error:
        return complain(error.format_message(), Exit.FAILED)
    except GuardhooksError as error:
        return complain(str(error), code_of(error))
    except (KeyboardInterrupt, click.Abort):
        return Exit.INTERRUPTED
    except OSError as error:
        if error.errno != errno.EPIPE:
            raise
        _discard_output()
        return Exit.DONE
    return result if isinstance(result, int) else Exit.DONE


def complain(message: str, code: Exit) -> int:
    """Print one error line; gives the exit code back."""
    _say_on_stderr(f"guardhooks: error: {safe_text(message, 10_000)}")
    return code


def warn(message: str) -> None:
    """Print one warning line on stderr."""
    _say_on_stderr(f"guardhooks: warning: {safe_text(message)}")


def _say_on_stderr(line: str) -> None:
    width = terminal_width(sys.stderr)
    click.echo(line if width is None else "\n".join(wrapped(line, width)), err=True)


def _usage_fault(error: click.UsageError) -> str:
    """What click says, in the manner of our own errors, and where more is to be learnt."""
    message = error.format_message().rstrip(".").replace(". Did you mean", "; did you mean")
    where = f"; see `{error.ctx.command_path} --help`" if error.ctx and "; did you mean" not in message else ""
    return message[:1].lower() + message[1:] + where


def _discard_output() -> None:
    """The reader has gone (`guardhooks … | head`): keep the interpreter from complaining when it flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
