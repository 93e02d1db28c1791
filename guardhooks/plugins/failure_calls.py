"""The hooks that are called for failures: as `facade` calls the others, with few allocations."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Sequence
from typing import Final, TypeAlias

from guardhooks.errors import PluginError
from guardhooks.model import Ban, Failure, Ignore, Jail, Record
from guardhooks.plugins.boundary import as_exception, pass_interrupt, wait_for
from guardhooks.plugins.calls import Call, Implementation, calls_plugin
from guardhooks.plugins.values import defect, sound

Chain: TypeAlias = Sequence[Implementation]
_Wrapper: TypeAlias = Generator[None, list[Ban] | None, list[Ban] | None]

ON_FAILURE_TIME: Final = 6.0
"""Seconds that an async `on_failure` may take. `ignorecommand` ends by itself after five."""


class FailureCalls:
    """Calls chains of implementations.

    `checked` gives an answer back, None if it is not of the type that the call allows; `fault` takes the error of a
    plugin. Both are called only where there is something to look at: an implementation that says None costs no more
    than its own call.
    """

    def __init__(
        self,
        checked: Callable[[Implementation, Call, object], object],
        fault: Callable[[str, Call, BaseException], None],
        *,
        trace: bool = False,
    ) -> None:
        self._checked, self._fault, self._trace = checked, fault, trace

    # --- screen_failures ----------------------------------------------------------------------------------------------

    def screen_failures(
        self, screens: Chain, chain: Chain, jail: Jail, ids: Sequence[str], addresses: Sequence[str]
    ) -> Sequence[int]:
        """The places of those for which a plugin of `chain` must be called; all where one of them cannot screen."""
        if not chain or not ids:
            return ()
        screened = {implementation.plugin: implementation for implementation in screens}
        if self._trace or any(implementation.plugin not in screened for implementation in chain):
            return range(len(ids))
        asked: set[int] = set()
        for plugin in {implementation.plugin: None for implementation in chain}:
            places = self._places(screened[plugin], jail, ids, addresses)
            if places is None:
                return range(len(ids))
            asked.update(places)
        return sorted(asked)

    def _places(
        self, implementation: Implementation, jail: Jail, ids: Sequence[str], addresses: Sequence[str]
    ) -> Sequence[int] | None:
        call = Call("screen_failures", jail.name, (jail, ids, addresses), Sequence)
        try:
            answer = self._checked(implementation, call, implementation.call(jail, ids, addresses))
        except Exception as error:  # noqa: BLE001 -- the plugin boundary
            self._fault(implementation.plugin, call, error)
            return None
        places = answer if isinstance(answer, Sequence) else None
        if places and not all(isinstance(place, int) and 0 <= place < len(ids) for place in places):
            self._fault(implementation.plugin, call, PluginError("it returned places that are not those of failures"))
            return None
        return places

    # --- on_failure --------------------------------------------------------------------------------------------------

    @calls_plugin
    def on_failure(self, chain: Chain, jail: Jail, failure: Failure) -> Ignore | Awaitable[Ignore | None] | None:
        for implementation in chain:
            try:
                answer = implementation.call(jail, failure)
            except BaseException as error:  # noqa: BLE001 -- the plugin boundary
                pass_interrupt(error)
                self._fault(implementation.plugin, _on_failure(jail, failure), as_exception(error))
                continue
            finally:
                if failure.notes:
                    self._check_notes(implementation, jail, failure)
            if answer is None and not self._trace:
                continue
            if isinstance(answer, Awaitable):
                return self._awaited(answer, chain, chain.index(implementation), jail, failure)
            checked = self._checked(implementation, _on_failure(jail, failure), answer)
            if isinstance(checked, Ignore):
                return checked
        return None

    async def _awaited(
        self, answer: Awaitable[object], chain: Chain, place: int, jail: Jail, failure: Failure
    ) -> Ignore | None:
        """What the implementation at `place` says when it is ready to, else those behind it."""
        call = _on_failure(jail, failure)
        implementation = chain[place]
        try:
            given = await wait_for(implementation.plugin, call.hook, jail.name, answer, ON_FAILURE_TIME)
        except Exception as error:  # noqa: BLE001 -- the plugin boundary
            self._fault(implementation.plugin, call, error)
        else:
            checked = self._checked(implementation, call, given)
            if isinstance(checked, Ignore):
                return checked
        if failure.notes:
            self._check_notes(implementation, jail, failure)
        further = self.on_failure(chain[place + 1 :], jail, failure)
        return await further if isinstance(further, Awaitable) else further

    def _check_notes(self, implementation: Implementation, jail: Jail, failure: Failure) -> None:
        """Notes are the one thing that plugins may change: what is no text goes, and whoever wrote it is at fault."""
        if wrong := [name for name, note in failure.notes.items() if type(name) is not str or type(note) is not str]:
            error = PluginError(f"it wrote to {defect(failure, Failure)}")
            for name in wrong:
                del failure.notes[name]
            self._fault(implementation.plugin, _on_failure(jail, failure), error)

    # --- decide_ban --------------------------------------------------------------------------------------------------

    def decide_ban(self, chain: Chain, jail: Jail, failure: Failure, record: Record) -> list[Ban]:
        call = Call("decide_ban", jail.name, (jail, failure, record), list)
        opened = [(w, self._open_wrapper(w, call)) for w in chain if w.wrapper]
        result: list[Ban] | None = None
        for implementation in chain:
            if not implementation.wrapper:
                result = self._decision(implementation, call)
                if result is not None:
                    break
        for wrapper, generator in reversed(opened):
            if generator is not None:
                result = self._close_wrapper(wrapper, generator, call, result)
        return result or []

    @calls_plugin
    def _decision(self, implementation: Implementation, call: Call) -> list[Ban] | None:
        try:
            answer = implementation.call(*call.values)
        except BaseException as error:  # noqa: BLE001 -- the plugin boundary
            pass_interrupt(error)
            self._fault(implementation.plugin, call, as_exception(error))
            return None
        if answer is None and not self._trace:
            return None
        checked = self._checked(implementation, call, answer)
        return self._bans(implementation, call, checked) if isinstance(checked, list) else None

    def _bans(self, implementation: Implementation, call: Call, answer: list[object]) -> list[Ban] | None:
        """The bans of a list that are right; None if none is though there are some: then others are asked."""
        if not answer:
            return []
        bans, wrong = sound(answer, Ban)
        if wrong:
            self._fault(implementation.plugin, call, PluginError(f"it returned {wrong}"))
        return bans or None

    @calls_plugin
    def _open_wrapper(self, implementation: Implementation, call: Call) -> _Wrapper | None:
        try:
            generator: _Wrapper = implementation.call(*call.values)
            next(generator)
        except StopIteration:
            self._fault(implementation.plugin, call, PluginError("it did not yield; a wrapper must yield exactly once"))
            return None
        except BaseException as error:  # noqa: BLE001 -- the plugin boundary
            pass_interrupt(error)
            self._fault(implementation.plugin, call, as_exception(error))
            return None
        return generator

    @calls_plugin
    def _close_wrapper(
        self, implementation: Implementation, generator: _Wrapper, call: Call, result: list[Ban] | None
    ) -> list[Ban] | None:
        """What a wrapper makes of a result, of which it gets a copy; the result itself if the wrapper is at fault."""
        try:
            generator.send(None if result is None else list(result))
        except StopIteration as stop:
            return self._refined(implementation, call, stop.value, result)
        except BaseException as error:  # noqa: BLE001 -- the plugin boundary
            pass_interrupt(error)
            self._fault(implementation.plugin, call, as_exception(error))
            return result
        self._end(implementation, generator, call)
        return result

    def _refined(
        self, implementation: Implementation, call: Call, answer: object, result: list[Ban] | None
    ) -> list[Ban] | None:
        if answer is None:
            if result is not None:
                why = "it returned None for a decision; a wrapper must return the bans, [] for none"
                self._fault(implementation.plugin, call, PluginError(why))
            return result
        if not isinstance(answer, list):
            self._fault(implementation.plugin, call, PluginError(f"it returned {defect(answer, list)}"))
            return result
        if not answer or answer == result:  # most wrappers hand on what they got
            return answer
        bans = self._bans(implementation, call, answer)
        return result if bans is None else bans

    def _end(self, implementation: Implementation, generator: _Wrapper, call: Call) -> None:
        """End a wrapper that yielded a second time."""
        self._fault(implementation.plugin, call, PluginError("a wrapper must yield exactly once"))
        try:
            generator.close()
        except BaseException as error:  # noqa: BLE001 -- the plugin boundary
            pass_interrupt(error)


def _on_failure(jail: Jail, failure: Failure) -> Call:
    return Call("on_failure", jail.name, (jail, failure), Ignore)
