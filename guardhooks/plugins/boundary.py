"""Where plugins' code is called: whatever it raises is caught here, and never ends the process.

`sys.exit`, a `CancelledError` that nobody asked for and every other `BaseException` are faults of the plugin. Only a
real Ctrl-C passes. The functions here have `plugin`, `hook` and `jail` as locals, by which the watchdog says who is
called.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Awaitable, Callable
from typing import Any, Final

from guardhooks.errors import PluginError
from guardhooks.plugins.calls import calls_plugin
from guardhooks.plugins.values import described

_CLEANUP: Final = 1.0
"""Seconds that a coroutine which is cancelled has to clean up."""


def pass_interrupt(error: BaseException) -> None:
    """Raise a KeyboardInterrupt again if somebody pressed Ctrl-C; one that a plugin raised is a fault like any other.

    A daemon handles SIGINT itself, so that none is real there.
    """
    if (
        isinstance(error, KeyboardInterrupt)
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        and threading.current_thread() is threading.main_thread()
    ):
        raise error


def as_exception(error: BaseException) -> Exception:
    """What a plugin raised, as something that may travel through the host: no task, thread or loop ends by it."""
    if isinstance(error, Exception):
        return error
    return PluginError(f"it raised {described(error)}").with_traceback(error.__traceback__)


@calls_plugin
def call_method(plugin: str, hook: str, jail: str, method: Callable[..., Any], *values: object) -> Any:  # noqa: ANN401, ARG001 -- a plugin's answer; the watchdog reads who it is
    """Call a method of an object that a plugin returned.

    :raises Exception: what it raised; never another BaseException.
    """
    try:
        return method(*values)
    except BaseException as error:  # noqa: BLE001 -- the plugin boundary
        pass_interrupt(error)
        raise as_exception(error) from None


async def wait_for(plugin: str, hook: str, jail: str, awaitable: Awaitable[object], seconds: float | None) -> object:
    """What a plugin's awaitable gives, in a task of its own: what it does to its task does not reach ours.

    :param seconds: after that it is cancelled; None: it may take as long as it likes.
    :raises Exception: what it raised, or `PluginError` if it gave no answer; never another BaseException.
    """
    task = asyncio.ensure_future(_answer(plugin, hook, jail, awaitable))
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.wait({task}, timeout=_CLEANUP)
        raise
    if not done:
        task.cancel()
        raise TimeoutError(f"no answer within {seconds:g} s")
    if task.cancelled():
        raise PluginError("it cancelled its own task")
    answer, error = task.result()
    if error is not None:
        raise as_exception(error)
    return answer


@calls_plugin
async def _answer(
    plugin: str,  # noqa: ARG001 -- the watchdog reads who it is
    hook: str,  # noqa: ARG001
    jail: str,  # noqa: ARG001
    awaitable: Awaitable[object],
) -> tuple[object, BaseException | None]:
    try:
        return await awaitable, None
    except BaseException as error:  # noqa: BLE001 -- the plugin boundary; a task that raised SystemExit would end the loop
        return None, error
