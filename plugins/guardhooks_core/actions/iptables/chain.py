"""One chain of ours: the rule of each ban in it, and the jumps that lead to it."""

from __future__ import annotations

import re
import shlex
import socket
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from guardhooks import ActionError, safe_text
from guardhooks_core.actions.firewall import iptables
from guardhooks_core.actions.firewall.entries import Entry, entry_text
from guardhooks_core.actions.firewall.names import fingerprint
from guardhooks_core.actions.firewall.parameters import Parameters

Words: TypeAlias = tuple[str, ...]

_COMMENT: Final = re.compile(r"guardhooks-[0-9a-f]+")
_FEW: Final = 50
"""Up to so many rules are deleted one by one, which makes the kernel search for each; else all are written anew."""


@dataclass(slots=True)
class Held:
    """What a listing shows. `rules` are those of bans, by entry; `odd` says that the chain holds others, too."""

    exists: bool = False
    rules: dict[Entry, Words] = field(default_factory=dict)
    odd: bool = False
    jumps: list[Words] = field(default_factory=list)
    foreign_jumps: int = 0
    chains: frozenset[str] = frozenset()


class Chain:
    """The chain `name` of one IP version, as `parameters` want it."""

    def __init__(self, parameters: Parameters, version: int, name: str) -> None:
        self._parameters, self._version, self._name = parameters, version, name
        verdict = parameters.verdict6 if version == 6 else parameters.verdict4
        protocol = ("-p", "tcp") if verdict.reject == "tcp-reset" else ()
        self._target: Words = (*protocol, *verdict.iptables(ipv6=version == 6))

    def add(self, entries: Iterable[Entry]) -> None:
        """Put bans in force; those that are in force are passed over.

        :raises ActionError: when the chain has vanished, or iptables refuses.
        """
        held = self.read()
        if not held.exists:
            raise ActionError(f"{iptables.TOOLS[self._version]}: chain {self._name} has vanished; it is built anew")
        missing = [entry for entry in entries if entry not in held.rules]
        if missing:
            iptables.restore(self._version, map(self._addition, missing))

    def remove(self, entries: Collection[Entry]) -> None:
        """Lift bans; what is not there, the chain included, is a success.

        :raises ActionError: when iptables refuses.
        """
        held = self.read()
        gone = [entry for entry in entries if entry in held.rules]
        if gone and len(gone) <= _FEW:
            iptables.restore(self._version, [self._removal(entry, held.rules[entry]) for entry in gone])
        elif gone:
            dropped = set(gone)
            iptables.restore(self._version, self._whole(entry for entry in held.rules if entry not in dropped))

    def reconcile(self, wanted: Collection[Entry]) -> tuple[int, int]:
        """Make exactly these bans be in force, and the jumps be there; how many rules were put in and taken out.

        :raises ActionError: when the chain is another program's, a chain to jump from does not exist, or iptables
            refuses.
        """
        held = self.read()
        if held.foreign_jumps:
            raise ActionError(
                f"{iptables.TOOLS[self._version]}: chain {self._name} is not guardhooks' own and is in use: stop "
                "fail2ban, remove its rules, or give the action another name="
            )
        missing = [entry for entry in wanted if held.rules.get(entry) != self._target]
        strangers = [entry for entry in held.rules if entry not in wanted]
        lines: list[str] = []
        if not held.exists or held.odd or len(strangers) > _FEW or any(entry in held.rules for entry in missing):
            lines += self._whole(wanted)
        else:
            lines += [self._removal(entry, held.rules[entry]) for entry in strangers]
            lines += map(self._addition, missing)
        absent, stale = self._jump_lines(held)
        lines += [*absent, *stale]
        if lines:
            iptables.restore(self._version, lines)
        return len(missing) + len(absent), len(strangers) + len(stale)

    def destroy(self) -> None:
        """Remove the chain and the jumps to it.

        :raises ActionError: when iptables refuses.
        """
        held = self.read()
        if held.exists:
            jumps = [f"-D {' '.join(words)}" for words in held.jumps]
            iptables.restore(self._version, [*jumps, f"-F {self._name}", f"-X {self._name}"])

    # --- rules as text ------------------------------------------------------------------------------------------------

    def _whole(self, entries: Iterable[Entry]) -> list[str]:
        """Make or empty the chain, and fill it."""
        return [f":{self._name} - [0:0]", *map(self._addition, entries)]

    def _addition(self, entry: Entry) -> str:
        return f"-A {self._name} -s {entry_text(entry)} {' '.join(self._target)}"

    def _removal(self, entry: Entry, target: Words) -> str:
        return f"-D {self._name} -s {entry_text(entry)} {' '.join(target)}"

    @property
    def jumps(self) -> list[tuple[str, str, Words]]:
        """The jumps that should be there: the chain that each stands in, its comment, and all its arguments."""
        wanted = []
        for chain in self._parameters.chains:
            for match in iptables.matches(self._parameters, self._version):
                comment = f"guardhooks-{fingerprint(chain, match, self._name)}"
                wanted.append((chain, comment, (*match, "-m", "comment", "--comment", comment, "-j", self._name)))
        return wanted

    def _jump_lines(self, held: Held) -> tuple[list[str], list[str]]:
        """What puts in the jumps that are missing, and takes out those that should not be; new ones come first."""
        there = Counter((words[0], _comment_of(words)) for words in held.jumps)
        absent = []
        for chain, comment, words in self.jumps:
            if there[chain, comment]:
                there[chain, comment] -= 1
            elif chain not in held.chains:
                tool = iptables.TOOLS[self._version]
                raise ActionError(f"{tool} has no chain {safe_text(chain, 40)}: create it, or change chain=")
            else:
                absent.append(f"-I {chain} 1 {' '.join(words)}")
        stale = []
        for words in held.jumps:
            identity = words[0], _comment_of(words)
            if there[identity]:
                there[identity] -= 1
                stale.append(f"-D {' '.join(words)}")
        return absent, stale

    # --- reading ------------------------------------------------------------------------------------------------------

    def read(self) -> Held:
        """What there is.

        :raises ActionError: when the tool is missing or refuses.
        """
        rules = iptables.listing(self._version)
        held = Held(chains=frozenset(iptables.chains_in(rules)))
        held.exists = self._name in held.chains
        own = f"-A {self._name} "
        for line in rules.splitlines():
            if line.startswith(own):
                self._note_rule(held, line.split())
            elif line.startswith("-A ") and self._name in line:
                self._note_jump(held, tuple(shlex.split(line)[1:]))
        return held

    def _note_rule(self, held: Held, words: Sequence[str]) -> None:
        """`-A CHAIN -s ADDRESS/LENGTH TARGET…`, as we wrote it; anything else is odd."""
        entry = _source(words[3]) if len(words) > 4 and words[2] == "-s" else None
        if entry is None or entry in held.rules:
            held.odd = True
        else:
            held.rules[entry] = tuple(words[4:])

    def _note_jump(self, held: Held, words: Words) -> None:
        if words[-2:] not in {("-j", self._name), ("-g", self._name)}:
            return
        if _COMMENT.fullmatch(_comment_of(words)):
            held.jumps.append(words)
        else:
            held.foreign_jumps += 1


def _comment_of(words: Words) -> str:
    return words[words.index("--comment") + 1] if "--comment" in words[:-1] else ""


def _source(text: str) -> Entry | None:
    """The entry for `ADDRESS/LENGTH` as iptables shows it; None for a mask with gaps."""
    address, _, length = text.partition("/")
    if not length.isdigit():
        return None
    return Entry(socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address), int(length))
