"""What an action does with strangers in its sets and when a set is full, from its brackets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from guardhooks import ActionError, ActionSpec, safe_text

_WIDEST: Final = {4: 24, 6: 56}
_YES: Final = {"yes": True, "true": True, "on": True, "1": True, "no": False, "false": False, "off": False, "0": False}
_STRANGERS: Final = {"remove": False, "adopt": True}


@dataclass(frozen=True, slots=True)
class Policy:
    """`adopt`: entries that somebody put in by hand become bans, else they are removed. `widest`: the shortest prefix
    that neighbours may be merged into when a set is full, by IP version; None where they may not.
    """

    adopt: bool = False
    widest: Mapping[int, int] | None = None


def parse_policy(action: ActionSpec) -> Policy:
    """Read `strangers`, `aggregate`, `aggregateipv4` and `aggregateipv6`.

    :raises ActionError: naming the parameter, what was found and what is allowed.
    """
    try:
        adopt = _STRANGERS[action.get("strangers", "remove").strip().lower()]
    except KeyError:
        raise _error(action, "strangers", "remove or adopt") from None
    try:
        aggregate = _YES[action.get("aggregate", "no").strip().lower()]
    except KeyError:
        raise _error(action, "aggregate", "yes or no") from None
    widest = {version: _length(action, version) for version in _WIDEST}
    return Policy(adopt, widest if aggregate else None)


def _length(action: ActionSpec, version: int) -> int:
    key, bits = f"aggregateipv{version}", 32 if version == 4 else 128
    text = action.get(key, str(_WIDEST[version])).strip().removeprefix("/")
    if not (text.isascii() and text.isdigit() and len(text) < 4 and 8 <= int(text) <= bits):
        raise _error(action, key, f"a prefix length from 8 to {bits}")
    return int(text)


def _error(action: ActionSpec, key: str, allowed: str) -> ActionError:
    return ActionError(f"action {action.actname}: {key} {safe_text(action.get(key), 40)!r} is not known: {allowed}")
