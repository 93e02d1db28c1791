"""What the action `route` is asked for: which actions it serves, the kind of routes, and the metric that marks them."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from guardhooks import ActionSpec, Option, OptionTable, option_types
from guardhooks_core.actions.common.options import is_stand_in, value
from guardhooks_core.actions.route import kernel

NAME: Final = "route"
_BLOCKTYPE: Final = Option(
    "blocktype", option_types.choice(*kernel.KINDS), "unreachable", "what happens to packets that take the route"
)
OPTIONS: Final = OptionTable("action", (_BLOCKTYPE,), names=(NAME,), title="Action `route`")
_METRICS: Final = 0x46000000
"""Metrics of ours begin here; the lower three bytes are a hash of the name."""


def is_served(action: ActionSpec) -> bool:
    """Whether this plugin does the action: not where a site changed its commands."""
    kind = re.escape(action.get("blocktype"))
    return action.name == NAME and is_stand_in(
        action, OPTIONS.option_names, actionban=f"ip route add {kind} <ip>", actionunban=f"ip route del {kind} <ip>"
    )


def kind_of(action: ActionSpec) -> str:
    """The kind of its routes, `unreachable` by default.

    :raises ConfigError: when `blocktype` is none.
    """
    return value(action, _BLOCKTYPE)


def metric_of(action: ActionSpec) -> int:
    """The metric that stands for the action's name."""
    return _METRICS + int.from_bytes(hashlib.sha256(action.get("name").encode()).digest()[:3])
