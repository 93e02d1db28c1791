"""iptables and ip6tables: reading rules, changing them in one go, and the matches of an action's rules. No shell."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Iterator
from typing import Final

from guardhooks import ActionError, safe_text
from guardhooks_core.actions.firewall.errors import NEEDS_PRIVILEGE, PrivilegeError, ToolMissingError
from guardhooks_core.actions.firewall.nftables_monitor import count_transaction
from guardhooks_core.actions.firewall.parameters import Parameters
from guardhooks_core.actions.firewall.ports import Ports

TOOLS: Final = {4: "iptables", 6: "ip6tables"}
_PATIENCE: Final = 60.0
"""Seconds for one call; `-w` waits for other users of the table."""
_SLOTS: Final = 15
"""Ports in one multiport match; a range takes two."""
_NAMES: Final = {4: {"icmpv6": "icmp"}, 6: {"icmp": "ipv6-icmp", "icmpv6": "ipv6-icmp"}}


def listing(version: int, chain: str = "") -> str:
    """The rules of a chain, or of all chains, as iptables' own arguments (`-S`).

    :raises ActionError: when the tool is missing or refuses.
    """
    return _run(TOOLS[version], "-w", "-S", *([chain] if chain else []))


def counted_listing(version: int) -> str:
    """The rules of all chains, each with its counters (`-S -v`).

    :raises ActionError: when the tool is missing or refuses.
    """
    return _run(TOOLS[version], "-w", "-S", "-v")


def restore(version: int, lines: Iterable[str]) -> None:
    """Change the filter table by lines of iptables-restore: all of them in one moment, or none.

    :raises ActionError: when the tool is missing or refuses.
    """
    content = "\n".join(("*filter", *lines, "COMMIT", ""))
    _run(f"{TOOLS[version]}-restore", "-w", "--noflush", content=content)
    count_transaction()


def has_tool(version: int) -> bool:
    """Whether the program for this IP version is installed."""
    paths = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return any(os.access(os.path.join(path, TOOLS[version]), os.X_OK) for path in paths)  # noqa: PTH118


def chains_in(rules: str) -> set[str]:
    """The names of all chains that a listing tells of."""
    return {words[1] for words in map(str.split, rules.splitlines()) if len(words) > 1 and words[0] in ("-P", "-N")}


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
            check=False, capture_output=True, text=True, errors="replace", timeout=_PATIENCE,
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
