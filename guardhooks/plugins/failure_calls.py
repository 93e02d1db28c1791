"""The hooks that are called for failures: as `facade` calls the others, with few allocations."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Sequence
from typing import TypeAlias

from guardhooks.errors import PluginError
from guardhooks.model import Ban, Failure, Ignore, Jail, Record
from guardhooks.plugins.calls import Call, Implementation, wrong_type

Chain: TypeAlias = Sequence[Implementation]
_Wrapper: TypeAlias = Generator[None, list[Ban] | None, list[Ban] | None]


class FailureCalls:
    """Calls chains of implementations.

    `checked` gives an answer back, None if it is not of the type that the call allows; `fault` takes the error of a
    plugin. Both are
    called only where there is something to look at: an implementation that says None costs no more than its own call.
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

    def on_failure(self, chain: Chain, jail: Jail, failure: Failure) -> Ignore | Awaitable[Ignore | None] | None:
        for implementation in chain:
            try:
                answer = implementation.call(jail, failure)
            except Exception as error:  # noqa: BLE001 -- the plugin boundary
                self._fault(implementation.plugin, _on_failure(jail, failure), error)
                continue
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
        try:
            checked = self._checked(chain[place], call, await answer)
        except Exception as error:  # noqa: BLE001 -- the plugin boundary
            self._fault(chain[place].plugin, call, error)
        else:
            if isinstance(checked, Ignore):
                return checked
        further = self.on_failure(chain[place + 1 :], jail, failure)
        return await further if isinstance(further, Awaitable) else further

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

    def _decision(self, implementation: Implementation, call: Call) -> list[Ban] | None:
        try:
            answer = implementation.call(*call.values)
        except Exception as error:  # noqa: BLE001 -- the plugin boundary
            self._fault(implementation.plugin, call, error)
            return None
        if answer is None and not self._trace:
            return None
        checked = self._checked(implementation, call, answer)
        return checked if isinstance(checked, list) else None

    def _open_wrapper(self, wrapper: Implementation, call: Call) -> _Wrapper | None:
        try:
            generator: _Wrapper = wrapper.call(*call.values)
            next(generator)
        except Exception as error:  # noqa: BLE001 -- the plugin boundary
            self._fault(wrapper.plugin, call, error)
            return None
        return generator

    def _close_wrapper(
        self, wrapper: Implementation, generator: _Wrapper, call: Call, result: list[Ban] | None
    ) -> list[Ban] | None:
        try:
            generator.send(result)
        except StopIteration as stop:
            if stop.value is None or isinstance(stop.value, list):
                return stop.value
            self._fault(wrapper.plugin, call, wrong_type(stop.value, list))
        except Exception as error:  # noqa: BLE001 -- the plugin boundary
            self._fault(wrapper.plugin, call, error)
        else:
            generator.close()
            self._fault(wrapper.plugin, call, PluginError("a wrapper must yield exactly once"))
        return result


def _on_failure(jail: Jail, failure: Failure) -> Call:
    return Call("on_failure", jail.name, (jail, failure), Ignore)
