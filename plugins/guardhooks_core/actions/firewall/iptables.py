"""iptables and ip6tables: reading rules, changing them in one go, and the matches of an action's rules. No shell."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from guardhooks import ActionError, safe_text
from guardhooks_core.actions.firewall.errors import NEEDS_PRIVILEGE, PrivilegeError, ToolMissingError
from guardhooks_core.actions.firewall.nftables_monitor import count_transaction
from guardhooks_core.actions.firewall.parameters import Parameters
from guardhooks_core.actions.firewall.ports import Ports

TOOLS: Final = {4: "iptables", 6: "ip6tables"}
_TIMEOUT: Final = 60.0
"""Seconds for one call; `-w` waits for other users of the table."""
_SLOTS: Final = 15
"""Ports in one multiport match; a range takes two."""
_NAMES: Final = {4: {"icmpv6": "icmp"}, 6: {"icmp": "ipv6-icmp", "icmpv6": "ipv6-icmp"}}
_OUR_COMMENT: Final = re.compile(r"guardhooks-[0-9a-f]+")
_PLAIN: Final = re.compile(r"[^\s\"'\\]+")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule; `words` are its arguments behind the chain's name, without counters."""

    chain: str
    words: tuple[str, ...]
    packets: int = 0

    @property
    def target(self) -> str:
        """Where it leads: a verdict or a chain; empty where it only counts."""
        return self.value("-j") or self.value("-g")

    @property
    def comment(self) -> str:
        """Its comment; empty where it has none."""
        return self.value("--comment")

    @property
    def has_our_comment(self) -> bool:
        """Whether guardhooks wrote it."""
        return bool(_OUR_COMMENT.fullmatch(self.comment))

    @property
    def specification(self) -> str:
        """The chain and the arguments, as iptables-restore reads them behind `-A`, `-I` or `-D`."""
        return " ".join((self.chain, *map(_quoted, self.words)))

    @property
    def text(self) -> str:
        """As `iptables -S` shows it."""
        return f"-A {self.specification}"

    def value(self, option: str) -> str:
        """The word behind an option; empty where the rule does not have it."""
        words = self.words
        return words[words.index(option) + 1] if option in words[:-1] else ""


Chains: TypeAlias = Mapping[str, Sequence[Rule]]


def read_rules(version: int) -> dict[str, list[Rule]]:
    """The rules of the filter table by chain, in order, with their counters; also chains without rules.

    :raises ActionError: when the tool is missing or refuses.
    """
    return parse_rules(_run(TOOLS[version], "-w", "-S", "-v"))


def parse_rules(listing: str) -> dict[str, list[Rule]]:
    """All rules by chain, in order, from the output of `iptables -S`, with or without `-v`."""
    chains: dict[str, list[Rule]] = {}
    for line in listing.splitlines():
        words = _words(line)
        if len(words) < 2:
            continue
        rules = chains.setdefault(words[1], [])
        if words[0] == "-A":
            packets = _take_packets(words)
            rules.append(Rule(words[1], tuple(words[2:]), packets))
    return chains


def _words(line: str) -> list[str]:
    if '"' not in line:
        return line.split()
    try:
        return shlex.split(line)
    except ValueError:  # somebody's comment; what is ours has no quotes
        return line.split()


def _take_packets(words: list[str]) -> int:
    """Remove the counters, `-c PACKETS BYTES`, and return the packets; 0 where there are none."""
    for place, word in enumerate(words[:-2]):
        if word == "-c" and words[place + 1].isdecimal() and words[place + 2].isdecimal():
            packets = int(words[place + 1])
            del words[place : place + 3]
            return packets
    return 0


def no_chain(version: int, chains: Iterable[str]) -> str:
    """What to do about chains that do not exist."""
    names = safe_text(", ".join(dict.fromkeys(chains)), 100)
    return f"{TOOLS[version]} has no chain {names}: rules are added when it appears; create it, or change chain="


def _quoted(word: str) -> str:
    if _PLAIN.fullmatch(word):
        return word
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


def restore(version: int, lines: Iterable[str]) -> None:
    """Change the filter table by lines of iptables-restore: all of them atomically, or none.

    :raises ActionError: when the tool is missing or refuses.
    """
    content = "\n".join(("*filter", *lines, "COMMIT", ""))
    _run(f"{TOOLS[version]}-restore", "-w", "--noflush", content=content)
    count_transaction()


def has_tool(version: int) -> bool:
    """Whether the program for this IP version is installed."""
    paths = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return any(os.access(os.path.join(path, TOOLS[version]), os.X_OK) for path in paths)  # noqa: PTH118


def matches(parameters: Parameters, version: int) -> Iterator[tuple[str, ...]]:
    """What selects the traffic that is meant: one for each protocol; more where a port list is too long for one."""
    state = ("-m", "conntrack", "--ctstate", "NEW") if parameters.new_only else ()
    for protocol in parameters.protocols or ("",):
        named = ("-p", _NAMES[version].get(protocol, protocol)) if protocol else ()
        for ports in _port_matches(parameters.ports):
            yield (*named, *state, *ports)


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


def _run(tool: str, *arguments: str, content: str | None = None) -> str:
    """Run one of iptables' programs, which reads `content`; what it prints."""
    try:
        done = subprocess.run(
            [tool, *arguments],
            check=False, capture_output=True, text=True, errors="replace", timeout=_TIMEOUT,
            input=content or "", env={**os.environ, "LC_ALL": "C"},
        )  # fmt: skip
    except FileNotFoundError:
        raise ToolMissingError(f"{tool} is not installed: install iptables, or use banaction = nftables") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ActionError(f"{tool}: {safe_text(str(error), 300)}") from None
    if done.returncode == 0:
        return done.stdout
    said = safe_text(" ".join(done.stderr.split()), 300)
    if "Permission denied" in said or "Operation not permitted" in said:
        raise PrivilegeError(f"{tool} {NEEDS_PRIVILEGE}")
    raise ActionError(f"{' '.join((tool, *arguments[1:3]))}: {said or f'exit code {done.returncode}'}")
