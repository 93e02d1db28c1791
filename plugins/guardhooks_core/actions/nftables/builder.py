"""Builds, compares and removes the chain, jumps, sets and rules of an action."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from guardhooks_core.actions.firewall.entries import Entries
from guardhooks_core.actions.firewall.parameters import Parameters
from guardhooks_core.actions.nftables import libnftables, ruleset
from guardhooks_core.actions.nftables.libnftables import Command, NotSupportedError
from guardhooks_core.actions.nftables.reading import CurrentState, read
from guardhooks_core.actions.nftables.ruleset import Shape


class TableBuilder:
    """Remembers which sets it has seen, so that not each ban reads the kernel, and in which hooks rejecting works."""

    def __init__(self, reject_hooks: tuple[str, ...] = ruleset.PREROUTING) -> None:
        self._reject_hooks = reject_hooks
        self._known: dict[str, frozenset[Shape]] = {}

    def build(self, parameters: Parameters, chain: str, wanted: Mapping[Shape, Entries]) -> int:
        """Make everything exist for the wanted sets; how many rules and sets were repaired.

        :raises ActionError: when libnftables or the kernel refuses.
        """
        try:
            return self._build(parameters, chain, wanted, self._hooks(parameters))
        except NotSupportedError:
            if not _rejects(parameters) or self._reject_hooks == ruleset.LOCAL_AND_FORWARDED:
                raise
            self._reject_hooks = ruleset.LOCAL_AND_FORWARDED
            return self._build(parameters, chain, wanted, self._reject_hooks)

    def learn(self, chain: str) -> None:
        """Read which sets the kernel has of the action."""
        self._known[chain] = frozenset(read(chain).sets)

    def shapes(self, chain: str) -> frozenset[Shape]:
        """The sets that the action is known to have."""
        return self._known.get(chain, frozenset())

    def require(self, parameters: Parameters, chain: str, wanted: Mapping[Shape, Entries]) -> None:
        """Make sets for prefix lengths that are new to the action."""
        if not self.shapes(chain).issuperset(wanted):
            self.build(parameters, chain, {shape: {} for shape in wanted})

    def remove(self, chain: str) -> None:
        """Remove all that was built for the action; the table too, when nothing else is left in it."""
        self._known.pop(chain, None)
        current = read(chain)
        if not current.others:
            commands: list[Command] = [ruleset.DELETE_TABLE] if current.bases or current.chain or current.sets else []
        else:
            commands = [ruleset.delete_jump(base, handle) for base, handle in _handles(current)]
            if current.chain:
                commands += [ruleset.flush_chain(chain), ruleset.delete_chain(chain)]
            commands += [ruleset.delete_set(chain, shape) for shape in current.sets]
        if commands:
            libnftables.run(commands)

    def _hooks(self, parameters: Parameters) -> tuple[str, ...]:
        return self._reject_hooks if _rejects(parameters) else ruleset.PREROUTING

    def _build(
        self, parameters: Parameters, chain: str, wanted: Mapping[Shape, Entries], hooks: tuple[str, ...]
    ) -> int:
        current = read(chain)
        shapes = sorted({*current.sets, *wanted})
        rules = ruleset.wanted_rules(parameters, chain, shapes)
        missing = [shape for shape in shapes if shape not in current.sets]
        resized = [
            shape for shape in shapes if current.sets.get(shape, parameters.max_elements) != parameters.max_elements
        ]
        jumps = [hook for hook in hooks if not current.jumps.get(hook)]
        stale = [
            (base, handle)
            for base, handle in _handles(current)
            if base not in hooks or handle != current.jumps[base][0]
        ]
        refill = current.rules != tuple(rules) or bool(resized)
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
        return len(set(rules) - set(current.rules)) + len(missing) + len(resized) + len(jumps) + len(stale)


def _rejects(parameters: Parameters) -> bool:
    return bool(parameters.verdict4.reject or parameters.verdict6.reject)


def _handles(current: CurrentState) -> Iterable[tuple[str, int]]:
    return ((base, handle) for base, handles in current.jumps.items() for handle in handles)
