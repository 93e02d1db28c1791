"""Builds, compares and removes what holds the bans of an action: chain, jumps, sets and rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from guardhooks_core.actions.firewall.entries import Entries
from guardhooks_core.actions.firewall.parameters import Parameters
from guardhooks_core.actions.nftables import libnftables, ruleset
from guardhooks_core.actions.nftables.libnftables import Command, NotSupportedError
from guardhooks_core.actions.nftables.reading import Held, read
from guardhooks_core.actions.nftables.ruleset import Shape


class Structure:
    """Remembers only which sets it has seen, to spare a look at the kernel for each ban, and where rejecting works."""

    def __init__(self, reject_hooks: tuple[str, ...] = ruleset.PREROUTING) -> None:
        self._reject_hooks = reject_hooks
        self._known: dict[str, frozenset[Shape]] = {}

    def build(self, parameters: Parameters, chain: str, wanted: Mapping[Shape, Entries]) -> int:
        """Make everything stand for the wanted sets: how many rules and sets were put right.

        :raises ActionError: when libnftables or the kernel refuses.
        """
        try:
            return self._build(parameters, chain, wanted, self._hooks(parameters))
        except NotSupportedError:
            if not _rejects(parameters) or self._reject_hooks == ruleset.LOCAL_AND_FORWARDED:
                raise
            self._reject_hooks = ruleset.LOCAL_AND_FORWARDED
            return self._build(parameters, chain, wanted, self._reject_hooks)

    def look(self, chain: str) -> None:
        """Learn which sets the kernel has of the action."""
        self._known[chain] = frozenset(read(chain).sets)

    def shapes(self, chain: str) -> frozenset[Shape]:
        """The sets that the action is known to have."""
        return self._known.get(chain, frozenset())

    def require(self, parameters: Parameters, chain: str, wanted: Mapping[Shape, Entries]) -> None:
        """Make sets for prefix lengths that the action has not had before."""
        if not self.shapes(chain).issuperset(wanted):
            self.build(parameters, chain, {shape: {} for shape in wanted})

    def remove(self, chain: str) -> None:
        """Remove all that was built for the action; the table too, when nothing else is left in it."""
        self._known.pop(chain, None)
        held = read(chain)
        if not held.others:
            commands: list[Command] = [ruleset.DELETE_TABLE] if held.bases or held.chain or held.sets else []
        else:
            commands = [ruleset.delete_jump(base, handle) for base, handle in _handles(held)]
            if held.chain:
                commands += [ruleset.flush_chain(chain), ruleset.delete_chain(chain)]
            commands += [ruleset.delete_set(chain, shape) for shape in held.sets]
        if commands:
            libnftables.run(commands)

    def _hooks(self, parameters: Parameters) -> tuple[str, ...]:
        return self._reject_hooks if _rejects(parameters) else ruleset.PREROUTING

    def _build(
        self, parameters: Parameters, chain: str, wanted: Mapping[Shape, Entries], hooks: tuple[str, ...]
    ) -> int:
        held = read(chain)
        shapes = sorted({*held.sets, *wanted})
        rules = ruleset.wanted_rules(parameters, chain, shapes)
        missing = [shape for shape in shapes if shape not in held.sets]
        resized = [
            shape for shape in shapes if held.sets.get(shape, parameters.max_elements) != parameters.max_elements
        ]
        jumps = [hook for hook in hooks if not held.jumps.get(hook)]
        stale = [
            (base, handle) for base, handle in _handles(held) if base not in hooks or handle != held.jumps[base][0]
        ]
        refill = held.rules != tuple(rules) or bool(resized)
        commands: list[Command] = []
        if missing or resized or jumps or stale or refill:
            commands += ruleset.frame(chain, hooks)
            commands += [ruleset.add_set(chain, shape, parameters.max_elements) for shape in missing]
            if resized:
                commands.append(ruleset.flush_chain(chain))
            for shape in resized:
                commands.append(ruleset.delete_set(chain, shape))
                commands.append(ruleset.add_set(chain, shape, parameters.max_elements, wanted.get(shape)))
            commands += ruleset.refill(chain, rules) if refill else []
            commands += [ruleset.add_jump(hook, chain) for hook in jumps]
            commands += [ruleset.delete_jump(base, handle) for base, handle in stale]
            libnftables.run(commands)
        self._known[chain] = frozenset(shapes)
        return len(set(rules) - set(held.rules)) + len(missing) + len(resized) + len(jumps) + len(stale)


def _rejects(parameters: Parameters) -> bool:
    return bool(parameters.verdict4.reject or parameters.verdict6.reject)


def _handles(held: Held) -> Iterable[tuple[str, int]]:
    return ((base, handle) for base, handles in held.jumps.items() for handle in handles)
