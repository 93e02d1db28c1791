"""The way in: one examination, of the whole or of an address."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardhooks.doctor.address import examine_address
from guardhooks.doctor.diagnosis import Diagnosis
from guardhooks.doctor.whole import examine_whole
from guardhooks.errors import GuardhooksError
from guardhooks.net.addresses import canonical
from guardhooks.text import safe_text

if TYPE_CHECKING:
    from guardhooks.engine.guard import Guard


async def examine(guard: Guard, address: str = "", *, running: bool = True, patience: float = 8.0) -> Diagnosis:
    """Look at the whole guard, or at all that has to do with one address.

    :param running: whether this guard is at work; else it only knows what is written down.
    :param patience: seconds for each probe; they run side by side.
    :raises GuardhooksError: when `address` is not a single address.
    """
    known = canonical(address)
    if address and (not known or "/" in known):
        raise GuardhooksError(f"{safe_text(address, 100)!r} is not a single address; name one such as 203.0.113.9")
    diagnosis = Diagnosis(known, running, patience=patience)
    await (examine_address(guard, diagnosis) if known else examine_whole(guard, diagnosis))
    return diagnosis
