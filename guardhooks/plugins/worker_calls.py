"""Calls of the objects that plugins returned: sources are read and asked for their state, matchers for dates.

A value that is wrong is a fault of the plugin whose object gave it, and goes no further.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from guardhooks.errors import GuardhooksError, PluginError
from guardhooks.model import Chunk, Jail, Problem
from guardhooks.plugins.boundary import as_exception, call_method, wait_for
from guardhooks.plugins.calls import Call, Implementation, Provided, calls_plugin
from guardhooks.plugins.values import check, defect, described, is_time, shown, sound
from guardhooks.status import SourceStatus
from guardhooks.workers import LineMatcher, LogSource, StartAt

_CLOSING_TIME: Final = 3.0
"""Seconds that a source's `chunks` has to end."""


_END: Final = object()


class WorkerCalls:
    """`fault` takes the error of a plugin; nobody is switched off by what happens here."""

    def __init__(self, fault: Callable[[str, Call, BaseException], None]) -> None:
        self._fault = fault

    # --- what was returned -------------------------------------------------------------------------------------------

    def source(self, implementation: Implementation, jail: Jail, worker: LogSource) -> Provided[LogSource]:
        """A source with its key. :raises PluginError: when the key is none."""
        key = call_method(implementation.plugin, "log_source", jail.name, lambda: worker.key)
        if not isinstance(key, str) or not key:
            raise PluginError(f"it returned a LogSource whose key is {shown(key)}, not text")
        return Provided(worker, implementation.plugin, implementation.function, key=key)

    def matcher(
        self, implementation: Implementation, asked: Sequence[Jail], worker: LineMatcher
    ) -> Provided[LineMatcher]:
        """A matcher with its jails and their problems.

        :raises PluginError: when it names others than those that it was asked for, or its problems are none.
        """
        plugin, jail = implementation.plugin, asked[0].name
        jails = call_method(plugin, "line_matcher", jail, lambda: tuple(worker.jails))
        known = {each.name for each in asked}
        if strange := [each for each in jails if not isinstance(each, str) or each not in known]:
            raise PluginError(f"it returned a LineMatcher for {shown(strange[0])}, a jail that it was not asked for")
        problems = call_method(plugin, "line_matcher", jail, lambda: _problems(worker))
        return Provided(worker, plugin, implementation.function, jails=jails, problems=problems)

    # --- reading -----------------------------------------------------------------------------------------------------

    async def chunks(self, source: Provided[LogSource], jail: str, start: StartAt) -> AsyncGenerator[Chunk, None]:
        """The chunks of a source that are whole.

        :raises Exception: what its plugin raised; never another BaseException, unless our task is cancelled.
        """
        plugin, hook = source.plugin, "log_source"
        call = Call(hook, jail, ())
        iterator: AsyncIterator[Any] | None = None
        try:
            iterator = call_method(plugin, hook, jail, source.worker.chunks, start)
            assert iterator is not None
            while True:
                chunk = await _next(plugin, hook, jail, iterator)
                if chunk is _END:
                    return
                if wrong := defect(chunk, Chunk):
                    self._fault(plugin, call, PluginError(f"it returned {wrong}; the lines are lost"))
                    await asyncio.sleep(0)  # it may have more of them, without ever waiting
                    continue
                yield chunk
        except Exception as error:
            if isinstance(error, PluginError) or not isinstance(error, (GuardhooksError, OSError, MemoryError)):
                self._fault(plugin, call, error)  # else what it reads is at fault
            raise
        finally:
            if isinstance(iterator, AsyncGenerator):
                with suppress(Exception):  # what it has to say of its end was said by `close`
                    await wait_for(plugin, hook, jail, iterator.aclose(), _CLOSING_TIME)

    def status(self, source: Provided[LogSource], jail: str) -> SourceStatus:
        """What a source says of itself. :raises PluginError: when it says nothing that can be shown."""
        try:
            status = call_method(source.plugin, "log_source", jail, source.worker.status)
            check(status, SourceStatus)
        except Exception as error:
            self._fault(source.plugin, Call("log_source", jail, ()), error)
            raise PluginError(f"the status of plugin {source.plugin} cannot be read: {described(error)}") from error
        assert isinstance(status, SourceStatus)
        return status

    async def close(self, source: Provided[LogSource], jail: str, seconds: float) -> str:
        """Close a source; why it did not work, empty if it did."""
        try:
            closing = call_method(source.plugin, "log_source", jail, source.worker.close)
            await wait_for(source.plugin, "log_source", jail, closing, seconds)
        except Exception as error:  # noqa: BLE001 -- the plugin boundary
            return described(error)
        return ""

    def time_of(self, matchers: Sequence[Provided[LineMatcher]], line: bytes) -> float | None:
        """The date of a line, of the first matcher that finds one. For any thread."""
        for matcher in matchers:
            jail = matcher.jails[0] if matcher.jails else ""
            try:
                time = call_method(matcher.plugin, "line_matcher", jail, matcher.worker.time_of, line)
                if time is not None and not is_time(time):
                    raise PluginError(f"it returned {shown(time)} as the time of a line")  # noqa: TRY301
            except Exception as error:  # noqa: BLE001 -- the plugin boundary
                self._fault(matcher.plugin, Call("line_matcher", jail, ()), error)
                continue
            if time is not None:
                return float(time)
        return None


@calls_plugin
async def _next(plugin: str, hook: str, jail: str, iterator: AsyncIterator[Any]) -> Any:  # noqa: ANN401, ARG001 -- a plugin's answer; the watchdog reads who it is
    """The next chunk, or `_END`."""
    try:
        return await anext(iterator)
    except StopAsyncIteration:
        return _END
    except (asyncio.CancelledError, GeneratorExit) as error:
        task = asyncio.current_task()
        if task is None or task.cancelling() or isinstance(error, GeneratorExit):
            raise
        raise as_exception(error) from None
    except BaseException as error:  # noqa: BLE001 -- the plugin boundary
        raise as_exception(error) from None


def _problems(worker: LineMatcher) -> Mapping[str, Sequence[Problem]]:
    problems = {name: tuple(found) for name, found in worker.problems.items()}
    for name, found in problems.items():
        if not isinstance(name, str) or sound(found, Problem)[1]:
            raise PluginError(f"it returned a LineMatcher whose problems are {shown(worker.problems)}")
    return problems
