"""Which ids are never banned: `ignoreself`, `ignoreip`, `ignorecommand`, in this order; the first match decides.

`ignoreip` is applied twice: to each failure, and to each ban, which may have other causes.
"""

from __future__ import annotations

import logging
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import chain
from typing import Final

from guardhooks import ConfigError, Failure, GuardView, Ignore, Jail, hookimpl, own_addresses, parse_duration, safe_text
from guardhooks_core.decisions.ignore.background import Background
from guardhooks_core.decisions.ignore.command import TIMEOUT, ignores, tag_values
from guardhooks_core.decisions.ignore.lists import IgnoreList

_OWN_AGE: Final = 60.0
"""Seconds after which this machine's own addresses are read again."""
_FIRST_WAIT: Final = 2.0
"""Seconds that first readings may take at the start."""
_CACHE_COUNT: Final = 100
_CACHE_TIME: Final = 300.0
"""Seconds."""
_TIMEOUTS: Final = 3
"""A command that takes too long so often in a row is not run for `_PAUSE` seconds."""
_PAUSE: Final = 60.0
_TAG: Final = re.compile(r"<([A-Za-z][\w-]*)>")

logger = logging.getLogger("guardhooks.ignore")


class Cache:
    """Caches the answers of `ignorecommand` by the key that `ignorecache` builds from a failure; drops the oldest."""

    def __init__(self, options: Mapping[str, str], clock: Callable[[], float]) -> None:
        self.key = options["key"]
        self._clock = clock
        self._count = int(_parsed(options.get("max-count", ""), _CACHE_COUNT))
        self._time = _parsed(options.get("max-time", ""), _CACHE_TIME)
        self._answers: OrderedDict[str, tuple[float, bool]] = OrderedDict()

    def get(self, key: str) -> bool | None:
        known = self._answers.get(key)
        return known[1] if known is not None and 0 <= known[0] - self._clock() <= self._time else None

    def put(self, key: str, answer: bool) -> None:
        self._answers[key] = (self._clock() + self._time, answer)
        self._answers.move_to_end(key)
        while len(self._answers) > self._count:
            self._answers.popitem(last=False)


class JailRules:
    """One jail's rules, compiled."""

    def __init__(self, jail: Jail, own: Background[frozenset[str]], clock: Callable[[], float]) -> None:
        self.jail = jail
        self.list = IgnoreList(jail.ignoreip, clock)
        self._own = own if jail.ignoreself else None
        self._cache = Cache(jail.ignorecache, clock) if jail.ignorecache.get("key") else None
        self._clock = clock
        self._timeouts = 0
        self._asked_again_at = 0.0

    def judge(self, failure: Failure) -> Ignore | Awaitable[Ignore | None] | None:
        """Whether to ignore a failure; awaitable only if a command has to run."""
        address = failure.address or failure.id
        if self._own is not None and (address in self._own.value or (address.startswith("127.") and failure.address)):
            return Ignore("ignoreself")
        word = self.list.hit(failure.id)
        if not word and failure.address and failure.address != failure.id:
            word = self.list.hit(failure.address)
        if word:
            return Ignore(f"ignoreip {word}")
        if not self.jail.ignorecommand or self._clock() < self._asked_again_at:
            return None
        return self._run_command(failure)

    def screen(self, ids: Sequence[str], addresses: Sequence[str]) -> Sequence[int] | None:
        """The places of those that `judge` may not keep at once; None: it must be asked about every one."""
        if self.jail.ignorecommand:
            return None
        found = self.list.hits(ids)
        if ids != addresses:
            found |= self.list.hits(addresses)
        if self._own is not None:
            own = self._own.value
            found.update(
                place
                for place, (id, address) in enumerate(zip(ids, addresses, strict=True))
                if (address or id) in own or address.startswith("127.")
            )
        return sorted(found)

    async def _run_command(self, failure: Failure) -> Ignore | None:
        key = ""
        if self._cache is not None:
            values = await tag_values(self._cache.key, failure)
            key = _TAG.sub(lambda match: values.get(match[1], match[0]), self._cache.key)
            answer = self._cache.get(key)
        else:
            answer = None
        if answer is None:
            answer = await self._ask_command(failure)
            if self._cache is not None:
                self._cache.put(key, answer)
        return Ignore(f"command {safe_text(self.jail.ignorecommand, 200)}") if answer else None

    async def _ask_command(self, failure: Failure) -> bool:
        """What the command says. One that keeps taking too long is left alone for a while.

        :raises ConfigError: when it says nothing in time, or exits with something other than 0 and 1.
        """
        try:
            answer = await ignores(self.jail.ignorecommand, failure)
        except TimeoutError:
            self._timeouts += 1
            if self._timeouts < _TIMEOUTS:
                after = ""
            else:
                self._timeouts, self._asked_again_at = 0, self._clock() + _PAUSE
                after = f", and all failures of the next {_PAUSE:.0f} s do: it is not run then"
            raise ConfigError(
                f"ignorecommand took longer than {TIMEOUT:g} s and was killed; the failure counts{after}"
            ) from None
        self._timeouts = 0
        return answer


_rules: dict[int, JailRules] = {}
"""By identity of the jail, so that several guards in one process stay separate."""
_generations: dict[int, list[list[JailRules]]] = {}
"""By guard, its current rules and those before the last reload: failures of old jails may still be under way."""


@hookimpl
def on_start(guard: GuardView) -> None:
    """Compile the rules of all jails; waits up to two seconds for names to be resolved."""
    own = Background("own addresses", own_addresses, frozenset({"::1"}), age=_OWN_AGE, clock=guard.clock)
    rules = [JailRules(jail, own, guard.clock) for jail in guard.jails.values()]
    _replace_rules(guard, [rules, *_generations.get(id(guard), [])[:1]])
    waiting: list[Background[frozenset[str]]] = [own, *(name for each in rules for name in each.list.names())]
    Background.settle(waiting, _FIRST_WAIT)


@hookimpl
def on_stop(guard: GuardView) -> None:
    """Forget the guard's jails."""
    _replace_rules(guard, [])
    del _generations[id(guard)]


def _replace_rules(guard: GuardView, generations: list[list[JailRules]]) -> None:
    for former in chain.from_iterable(_generations.get(id(guard), [])):
        _rules.pop(id(former.jail), None)
    _generations[id(guard)] = generations
    _rules.update((id(rules.jail), rules) for rules in chain.from_iterable(reversed(generations)))


@hookimpl
def screen_failures(jail: Jail, ids: Sequence[str], addresses: Sequence[str]) -> Sequence[int] | None:
    """Most failures are of ids that nothing exempts: tell at once which are not."""
    rules = _rules.get(id(jail))
    return rules.screen(ids, addresses) if rules is not None else ()


@hookimpl
def on_failure(jail: Jail, failure: Failure) -> Ignore | Awaitable[Ignore | None] | None:
    """Drop the failures of ids that are never banned."""
    rules = _rules.get(id(jail))
    return rules.judge(failure) if rules is not None else None


@hookimpl
def refuse_ban(jail: Jail, id: str) -> Ignore | None:
    """Refuse any ban that covers an address in `ignoreip`."""
    word = _list_of(jail).meets(id)
    return Ignore(f"ignoreip {word}") if word else None


def _list_of(jail: Jail) -> IgnoreList:
    """The jail's list; created now if no guard has started the jail, as in a command without a daemon."""
    if rules := _rules.get(id(jail)):
        return rules.list
    made = IgnoreList(jail.ignoreip, time.time)
    Background.settle(made.names(), _FIRST_WAIT)
    return made


def _parsed(text: str, default: float) -> float:
    """The value of `5m`, `300` or `1.5h`; the default for anything else."""
    try:
        return max(0.0, parse_duration(text)) if text.strip() else default
    except ConfigError:
        return default
