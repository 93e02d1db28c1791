"""The iptables chain of an action: the rule of each ban in it, and the jumps that lead to it."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias

from guardhooks import ActionError
from guardhooks_core.actions.firewall import iptables
from guardhooks_core.actions.firewall.entries import Entry, entry_text
from guardhooks_core.actions.firewall.iptables import Chains, Rule
from guardhooks_core.actions.firewall.names import fingerprint
from guardhooks_core.actions.firewall.parameters import Parameters

Words: TypeAlias = tuple[str, ...]

_FEW: Final = 50
"""Up to so many rules are deleted one by one, which makes the kernel search for each; else the chain is rewritten."""


@dataclass(slots=True)
class CurrentState:
    """What the kernel has. `targets` are those of the rules of bans, by entry; `others` says that the chain holds other
    rules too; `chains` are all rules.
    """

    exists: bool = False
    targets: dict[Entry, Words] = field(default_factory=dict)
    others: bool = False
    jumps: list[Rule] = field(default_factory=list)
    foreign_jumps: int = 0
    chains: Chains = field(default_factory=dict)


class Changes(NamedTuple):
    """How many rules were added and removed, and which chains to jump from do not exist."""

    added: int
    removed: int
    absent: tuple[str, ...]


class Chain:
    """The chain `name` of one IP version, as `parameters` want it."""

    def __init__(self, parameters: Parameters, version: int, name: str) -> None:
        self._parameters, self._version, self._name = parameters, version, name
        verdict = parameters.verdict6 if version == 6 else parameters.verdict4
        protocol = ("-p", "tcp") if verdict.reject == "tcp-reset" else ()
        self._target: Words = (*protocol, *verdict.iptables(ipv6=version == 6))

    def add(self, entries: Iterable[Entry]) -> None:
        """Put bans in force; those that are in force already are skipped.

        :raises ActionError: when the chain has vanished, or iptables refuses.
        """
        current = self.read()
        if not current.exists:
            raise ActionError(f"{iptables.TOOLS[self._version]}: chain {self._name} has vanished; rebuilding it")
        missing = [entry for entry in entries if entry not in current.targets]
        if missing:
            iptables.restore(self._version, map(self._addition, missing))

    def remove(self, entries: Collection[Entry]) -> None:
        """Lift bans; what is not there, the chain included, is a success.

        :raises ActionError: when iptables refuses.
        """
        current = self.read()
        gone = [entry for entry in entries if entry in current.targets]
        if gone and len(gone) <= _FEW:
            iptables.restore(self._version, [self._removal(entry, current.targets[entry]) for entry in gone])
        elif gone:
            dropped = set(gone)
            iptables.restore(self._version, self._rewrite(entry for entry in current.targets if entry not in dropped))

    def reconcile(self, wanted: Collection[Entry]) -> Changes:
        """Make exactly these bans be in force, and the jumps exist, as far as there are chains to jump from.

        :raises ActionError: when the chain is another program's, or iptables refuses.
        """
        current = self.read()
        if current.foreign_jumps:
            raise ActionError(
                f"{iptables.TOOLS[self._version]}: chain {self._name} is not guardhooks' own and is in use: stop "
                "fail2ban, remove its rules, or give the action another name="
            )
        missing = [entry for entry in wanted if current.targets.get(entry) != self._target]
        unexpected = [entry for entry in current.targets if entry not in wanted]
        changed = any(entry in current.targets for entry in missing)
        if not current.exists or current.others or changed or len(unexpected) > _FEW:
            lines = self._rewrite(wanted)
        else:
            lines = [self._removal(entry, current.targets[entry]) for entry in unexpected]
            lines += map(self._addition, missing)
        new_jumps, stale_jumps, absent = self._jump_lines(current)
        lines += [*new_jumps, *stale_jumps]
        if lines:
            iptables.restore(self._version, lines)
        return Changes(len(missing) + len(new_jumps), len(unexpected) + len(stale_jumps), absent)

    def destroy(self) -> None:
        """Remove the chain and the jumps to it.

        :raises ActionError: when iptables refuses.
        """
        current = self.read()
        if current.exists:
            jumps = [f"-D {rule.specification}" for rule in current.jumps]
            iptables.restore(self._version, [*jumps, f"-F {self._name}", f"-X {self._name}"])

    # --- rules as text ------------------------------------------------------------------------------------------------

    def _rewrite(self, entries: Iterable[Entry]) -> list[str]:
        """Make or empty the chain, and fill it."""
        return [f":{self._name} - [0:0]", *map(self._addition, entries)]

    def _addition(self, entry: Entry) -> str:
        return f"-A {self._name} -s {entry_text(entry)} {' '.join(self._target)}"

    def _removal(self, entry: Entry, target: Words) -> str:
        return f"-D {self._name} -s {entry_text(entry)} {' '.join(target)}"

    @property
    def jumps(self) -> list[Rule]:
        """The jumps that should exist."""
        wanted = []
        for chain in self._parameters.chains:
            for match in iptables.matches(self._parameters, self._version):
                comment = f"guardhooks-{fingerprint(chain, match, self._name)}"
                wanted.append(Rule(chain, (*match, "-m", "comment", "--comment", comment, "-j", self._name)))
        return wanted

    def _jump_lines(self, current: CurrentState) -> tuple[list[str], list[str], tuple[str, ...]]:
        """What adds the jumps that are missing, what removes those that should not exist, and the chains that do not
        exist.
        """
        existing = Counter((rule.chain, rule.comment) for rule in current.jumps)
        missing = []
        absent: dict[str, None] = {}
        for rule in self.jumps:
            if existing[rule.chain, rule.comment]:
                existing[rule.chain, rule.comment] -= 1
            elif rule.chain not in current.chains:
                absent[rule.chain] = None
            else:
                missing.append(f"-I {rule.chain} 1 {' '.join(rule.words)}")
        stale = []
        for rule in current.jumps:
            if existing[rule.chain, rule.comment]:
                existing[rule.chain, rule.comment] -= 1
                stale.append(f"-D {rule.specification}")
        return missing, stale, tuple(absent)

    # --- reading ------------------------------------------------------------------------------------------------------

    def read(self) -> CurrentState:
        """What there is.

        :raises ActionError: when the tool is missing or refuses.
        """
        chains = iptables.read_rules(self._version)
        current = CurrentState(exists=self._name in chains, chains=chains)
        for rule in chains.get(self._name, ()):
            self._note_rule(current, rule.words)
        for rule in (rule for rules in chains.values() for rule in rules if rule.target == self._name):
            if rule.has_our_comment:
                current.jumps.append(rule)
            else:
                current.foreign_jumps += 1
        return current

    @staticmethod
    def _note_rule(current: CurrentState, words: Sequence[str]) -> None:
        """`-s ADDRESS/LENGTH TARGET…`, as we wrote it; anything else is another's."""
        entry = _source(words[1]) if len(words) > 2 and words[0] == "-s" else None
        if entry is None or entry in current.targets:
            current.others = True
        else:
            current.targets[entry] = tuple(words[2:])


def _source(text: str) -> Entry | None:
    """The entry for `ADDRESS/LENGTH` as iptables shows it; None for a mask with gaps."""
    address, _, length = text.partition("/")
    if not length.isdigit():
        return None
    return Entry(socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address), int(length))
