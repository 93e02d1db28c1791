"""What the action `route` is asked for: which actions it serves, the kind of routes, and the metric that marks them."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from guardhooks import ActionSpec, safe_text
from guardhooks_core.actions.common.options import fault, is_stand_in
from guardhooks_core.actions.route import kernel

NAME: Final = "route"
OPTIONS: Final = ("blocktype",)
_METRICS: Final = 0x46000000
"""Metrics of ours begin here; the lower three bytes are a hash of the name."""


def is_served(action: ActionSpec) -> bool:
    """Whether this plugin does the action: not where a site changed its commands."""
    kind = re.escape(action.get("blocktype"))
    return action.name == NAME and is_stand_in(
        action, OPTIONS, actionban=f"ip route add {kind} <ip>", actionunban=f"ip route del {kind} <ip>"
    )


def kind_of(action: ActionSpec) -> str:
    """The kind of its routes, `unreachable` by default.

    :raises ConfigError: when `blocktype` is none.
    """
    kind = action.get("blocktype").strip().lower() or "unreachable"
    if kind not in kernel.KINDS:
        raise fault(action, f"blocktype {safe_text(kind, 40)!r} is unknown: {', '.join(kernel.KINDS)}")
    return kind


def metric_of(action: ActionSpec) -> int:
    """The metric that stands for the action's name."""
    return _METRICS + int.from_bytes(hashlib.sha256(action.get("name").encode()).digest()[:3])
