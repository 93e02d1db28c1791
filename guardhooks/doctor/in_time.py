"""No probe makes an administrator wait: each has a time limit, whatever hangs behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING, Final

from guardhooks.doctor.diagnosis import Diagnosis, bad
from guardhooks.model import ActionSpec, Ban, Finding, Jail

if TYPE_CHECKING:
    from guardhooks.engine.guard import Guard

_LOOK_AT: Final = "look at what it depends on: a server, a network, a disk"


async def in_time(probe: Awaitable[list[Finding] | None], patience: float) -> list[Finding] | None:
    """What a probe finds; that it hangs, if it takes longer than `patience` seconds."""
    try:
        async with asyncio.timeout(patience):
            return await probe
    except TimeoutError:
        return [bad(f"it did not answer within {patience:g} s", _LOOK_AT)]


async def diagnosed(
    guard: Guard, jail: Jail, action: ActionSpec, bans: Sequence[Ban], diagnosis: Diagnosis
) -> list[Finding] | None:
    """What the plugin of an action finds; None if none can look."""
    return await in_time(guard.diagnose(jail, action, bans, diagnosis.address), diagnosis.patience)
