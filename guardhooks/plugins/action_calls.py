"""The two hooks that the plugin of an action answers; implementations may be slow, and are awaited in turn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor

from guardhooks.errors import ActionError, GuardhooksError
from guardhooks.model import ActionSpec, Ban, Finding, Jail, Level, Op, Outcome
from guardhooks.plugins.calls import Call, Implementation, traced, wrong_type
from guardhooks.plugins.faults import resource_exhaustion
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
                if (outcome := _outcome(answer)) is not None:
                    return outcome
            except GuardhooksError as error:
                raise ActionError(safe_text(f"{implementation.plugin}: {error}")) from error
            except Exception as error:
                if cause := resource_exhaustion(error):
                    raise ActionError(f"{implementation.plugin}: {cause}") from error
                self._fault(implementation.plugin, call, error)
                fault = fault or f"plugin {implementation.plugin} failed: {type(error).__name__}: {error}"
        if fault:
            raise ActionError(safe_text(fault))
        return None

    async def diagnose(
        self, chain: Sequence[Implementation], call: Call, executor: Executor | None
    ) -> list[Finding] | None:
        """See `Plugins.diagnose`."""
        while chain:
            implementation, answer, chain = await next_answer(chain, call, executor, trace=self._trace)
            if isinstance(answer, GuardhooksError):
                return [Finding(safe_text(f"{implementation.plugin}: {answer}"), Level.BAD)]
            if isinstance(answer, Exception):
                return self._failed_to_look(implementation, call, answer)
            if isinstance(answer, Sequence) and all(isinstance(each, Finding) for each in answer):
                return list(answer)
            if answer is not None:
                return self._failed_to_look(implementation, call, wrong_type(answer, list))
        return None

    def _failed_to_look(self, implementation: Implementation, call: Call, error: Exception) -> list[Finding]:
        self._fault(implementation.plugin, call, error)
        why = f"plugin {implementation.plugin} failed: {type(error).__name__}: {error}"
        return [Finding(safe_text(why), Level.BAD)]


def _outcome(answer: object) -> Outcome | None:
    """What an action's answer says. Raises it if it is an error, or what is wrong with its type."""
    if isinstance(answer, Exception):
        raise answer
    if answer is True:
        return Outcome()
    if answer is None or isinstance(answer, Outcome):
        return answer
    raise wrong_type(answer, Outcome)


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
        answer = await implementation.call(*call.values)
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
        except Exception as error:  # noqa: BLE001 -- the plugin boundary
            return implementation, error, chain
        if trace:
            traced(implementation, call, answer)
        if answer is not None or not chain or chain[0].is_async:
            return implementation, answer, chain
