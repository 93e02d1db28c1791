"""The rules that make a set bite: iptables and ip6tables, by argument lists.

One reading (`-S`) tells which of our rules stand; each carries a comment with a fingerprint of what it should be, so
that a rule of an older configuration is told from the present one whatever way iptables spells it.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from guardhooks import ActionError, safe_text
from guardhooks_core.firewall.changes import count_transaction
from guardhooks_core.firewall.names import fingerprint
from guardhooks_core.firewall.parameters import Parameters
from guardhooks_core.firewall.ports import Ports
from guardhooks_core.firewall.problems import NEEDS_PRIVILEGE, PrivilegeError, ToolMissingError

_TOOLS: Final = {4: "iptables", 6: "ip6tables"}
_PATIENCE: Final = 30.0
"""Seconds for one call; `-w` waits for other users of the table."""
_SLOTS: Final = 15
"""Ports in one multiport match; a range takes two."""
_COMMENT: Final = re.compile(r"--comment \"?(guardhooks-[0-9a-f]+)\"?")
_NAMES: Final = {4: {"icmpv6": "icmp"}, 6: {"icmp": "ipv6-icmp", "icmpv6": "ipv6-icmp"}}


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule in a chain: all arguments behind the chain's name, and the comment that identifies it."""

    chain: str
    arguments: tuple[str, ...]
    comment: str


def wanted_rules(parameters: Parameters, version: int, set_name: str) -> list[Rule]:
    """The rules for one set: one for each chain and protocol; more only where a port list is longer than a match."""
    verdict = parameters.verdict6 if version == 6 else parameters.verdict4
    target = verdict.iptables(ipv6=version == 6)
    state = ("-m", "conntrack", "--ctstate", "NEW") if parameters.new_only else ()
    rules = []
    for chain in parameters.chains:
        for protocol in parameters.protocols or ("",):
            named = ("-p", _NAMES[version].get(protocol, protocol)) if protocol else ()
            for ports in _port_matches(parameters.ports):
                match = (*named, *state, *ports, "-m", "set", "--match-set", set_name, "src")
                comment = f"guardhooks-{fingerprint(chain, match, target)}"
                rules.append(Rule(chain, (*match, "-m", "comment", "--comment", comment, *target), comment))
    return rules


def _port_matches(ports: Ports) -> Iterator[tuple[str, ...]]:
    if not ports:
        yield ()
    texts: list[str] = []
    slots = 0
    for first, last in ports:
        need = 1 if first == last else 2
        if slots + need > _SLOTS:
            yield "-m", "multiport", "--dports", ",".join(texts)
            texts, slots = [], 0
        texts.append(str(first) if first == last else f"{first}:{last}")
        slots += need
    if texts:
        yield "-m", "multiport", "--dports", ",".join(texts)


def reconcile(version: int, set_name: str, wanted: Sequence[Rule]) -> tuple[int, int]:
    """Make exactly the wanted rules stand for this set; how many were put in and taken out. New ones come first.

    :raises ActionError: when a chain does not exist, the tool is missing or refuses.
    """
    listing = _run(version, "-S")
    missing = Counter((rule.chain, rule.comment) for rule in wanted)
    stale = []
    for line in _ours(listing, set_name):
        identity = (line[1], _comment_of(line))
        if missing[identity] > 0:
            missing[identity] -= 1
        else:
            stale.append(line)
    chains = {words[1] for words in map(str.split, listing.splitlines()) if len(words) > 1 and words[0] in ("-P", "-N")}
    absent = [rule for rule in wanted if missing[rule.chain, rule.comment] > 0]
    for rule in absent:
        if rule.chain not in chains:
            raise ActionError(
                f"{_TOOLS[version]} has no chain {safe_text(rule.chain, 40)}: create it, or change chain="
            )
    for rule in absent:
        _run(version, "-I", rule.chain, "1", *rule.arguments)
    for line in stale:
        _run(version, "-D", *line[1:])
    return len(absent), len(stale)


def _ours(listing: str, set_name: str) -> Iterator[list[str]]:
    mark = f"--match-set {set_name} src"
    for line in listing.splitlines():
        if line.startswith("-A ") and mark in line and _COMMENT.search(line):
            yield shlex.split(line)


def _comment_of(words: Sequence[str]) -> str:
    return words[words.index("--comment") + 1]


def has_tool(version: int) -> bool:
    """Whether the program for this IP version is installed."""
    paths = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return any(os.access(os.path.join(path, _TOOLS[version]), os.X_OK) for path in paths)  # noqa: PTH118


def _run(version: int, *arguments: str) -> str:
    tool = _TOOLS[version]
    try:
        done = subprocess.run(
            [tool, "-w", *arguments],
            check=False, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL, timeout=_PATIENCE,
            env={**os.environ, "LC_ALL": "C"},
        )  # fmt: skip
    except FileNotFoundError:
        raise ToolMissingError(f"{tool} is not installed: install iptables, or use banaction = nftables") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ActionError(f"{tool} {arguments[0]}: {error}") from None
    if done.returncode == 0:
        if arguments[0] != "-S":
            count_transaction()
        return done.stdout
    said = safe_text(" ".join(done.stderr.split()), 300)
    if "Permission denied" in said or "Operation not permitted" in said:
        raise PrivilegeError(f"{tool} {NEEDS_PRIVILEGE}")
    raise ActionError(f"{tool} {' '.join(arguments[:2])}: {said or f'exit code {done.returncode}'}")
