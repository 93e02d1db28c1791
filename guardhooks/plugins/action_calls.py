"""The two hooks that the plugin of an action answers; implementations may be slow, and are awaited in turn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import replace

from guardhooks.errors import ActionError, GuardhooksError, PluginError
from guardhooks.model import ActionSpec, Ban, Finding, Jail, Level, Op, Outcome
from guardhooks.plugins.boundary import as_exception, pass_interrupt, wait_for
from guardhooks.plugins.calls import Call, Implementation, traced
from guardhooks.plugins.faults import resource_exhaustion
from guardhooks.plugins.values import check, defect, described, sound
from guardhooks.text import safe_text


class ActionCalls:
    """Calls chains of implementations until one handles the action. `fault` takes the error of a plugin."""

    def __init__(self, fault: Callable[[str, Call, BaseException], None], *, trace: bool = False) -> None:
        self._fault, self._trace = fault, trace

    async def execute_action(  # noqa: PLR0917 -- the hook's
        self,
        chain: Sequence[Implementation],
        jail: Jail,
        action: ActionSpec,
        op: Op,
        bans: Sequence[Ban],
        executor: Executor | None,
    ) -> Outcome | None:
        """See `Plugins.execute_action`."""
        call = Call("execute_action", jail.name, (jail, action, op, tuple(bans)), Outcome)
        fault = ""
        while chain:
            implementation, answer, chain = await next_answer(chain, call, executor, trace=self._trace)
            try:
                if (outcome := self._outcome(implementation, call, answer)) is not None:
                    return outcome
            except PluginError as error:
                self._fault(implementation.plugin, call, error)
                fault = fault or f"plugin {implementation.plugin} failed: {error}"
            except GuardhooksError as error:
                raise ActionError(safe_text(f"{implementation.plugin}: {error}")) from error
            except Exception as error:
                if cause := resource_exhaustion(error):
                    raise ActionError(f"{implementation.plugin}: {cause}") from error
                self._fault(implementation.plugin, call, error)
                fault = fault or f"plugin {implementation.plugin} failed: {described(error)}"
        if fault:
            raise ActionError(safe_text(fault))
        return None

    async def diagnose(
        self, chain: Sequence[Implementation], call: Call, executor: Executor | None
    ) -> list[Finding] | None:
        """See `Plugins.diagnose`."""
        while chain:
            implementation, answer, chain = await next_answer(chain, call, executor, trace=self._trace)
            if isinstance(answer, GuardhooksError) and not isinstance(answer, PluginError):
                return [Finding(safe_text(f"{implementation.plugin}: {answer}"), Level.BAD)]
            if isinstance(answer, Exception):
                return self._failed_to_look(implementation, call, answer)
            if answer is not None:
                return self._findings(implementation, call, answer)
        return None

    def _findings(self, implementation: Implementation, call: Call, answer: object) -> list[Finding]:
        if not isinstance(answer, (list, tuple)):
            return self._failed_to_look(implementation, call, PluginError(f"it returned {defect(answer, list)}"))
        findings: list[Finding]
        findings, wrong = sound(answer, Finding)
        if wrong:
            findings += self._failed_to_look(implementation, call, PluginError(f"it returned {wrong}"))
        return findings

    def _outcome(self, implementation: Implementation, call: Call, answer: object) -> Outcome | None:
        """What an action's answer says. Raises it if it is an error, or what is wrong with it."""
        if isinstance(answer, Exception):
            raise answer
        if answer is True:
            return Outcome()
        if answer is None:
            return None
        check(answer, Outcome)
        assert isinstance(answer, Outcome)
        if not answer.found:
            return answer
        found, wrong = sound(answer.found, Ban)
        if wrong:
            self._fault(implementation.plugin, call, PluginError(f"it returned {wrong}"))
        return replace(answer, found=tuple(found))

    def _failed_to_look(self, implementation: Implementation, call: Call, error: Exception) -> list[Finding]:
        self._fault(implementation.plugin, call, error)
        why = f"plugin {implementation.plugin} failed: {described(error)}"
        return [Finding(safe_text(why), Level.BAD)]


async def next_answer(
    chain: Sequence[Implementation], call: Call, executor: Executor | None, *, trace: bool
) -> tuple[Implementation, object, Sequence[Implementation]]:
    """The first answer of a chain that is not None, who gives it, and who is left; an error is an answer, too.

    Plain functions run in `executor`, those that stand in a row together: each way to a thread and back takes longer
    than most of them take to say that it is not their action. The answer may be None though some are left.
    """
    implementation, *left = chain
    try:
        if not implementation.is_async:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(executor, _asked_in_a_row, chain, call, trace)
        awaitable = implementation.call(*call.values)
        answer = await wait_for(implementation.plugin, call.hook, call.jail, awaitable, None)
    except Exception as error:  # noqa: BLE001 -- the plugin boundary
        return implementation, error, left
    if trace:
        traced(implementation, call, answer)
    return implementation, answer, left


def _asked_in_a_row(
    chain: Sequence[Implementation], call: Call, trace: bool
) -> tuple[Implementation, object, Sequence[Implementation]]:
    """The plain functions that the chain begins with, up to the first answer or to the next that is none."""
    while True:
        implementation, *chain = chain
        try:
            answer = implementation.call(*call.values)
        except BaseException as error:  # noqa: BLE001 -- the plugin boundary
            pass_interrupt(error)
            return implementation, as_exception(error), chain
        if trace:
            traced(implementation, call, answer)
        if answer is not None or not chain or chain[0].is_async:
            return implementation, answer, chain
