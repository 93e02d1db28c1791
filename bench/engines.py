#!/usr/bin/env python3
"""Which engine for the exact match? CPU microseconds per line, on the sshd failregexes and lines that they match.

    python bench/engines.py                       # from /etc/fail2ban; --config DIR for another

Each line is searched with the regex that matches it, its date and prefix removed, as the daemon does behind its
prefilter, and all named groups are asked for. Hyperscan has no groups: it only says whether and where a regex ends, so
its figure is for that. Engines that are not installed are left out (`pip install regex pcre2 google-re2 hyperscan`).
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from guardhooks.filters.tags import expand
from guardhooks.settings import load_filter

_ROUNDS = 400
_LINES = (
    "Failed password for root from 192.0.2.1 port 52000 ssh2",
    "Failed password for invalid user admin from 192.0.2.1 port 52000 ssh2",
    "Failed none for invalid user guest from 2001:db8::1 port 52000 ssh2",
    "Invalid user test from 192.0.2.1 port 52000",
    "User root from host.example.com not allowed because not listed in AllowUsers",
    "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=192.0.2.1  user=root",
    "maximum authentication attempts exceeded for root from 192.0.2.1 port 52000 ssh2 [preauth]",
    "Connection from 192.0.2.1 port 52000 on 192.0.2.2 port 22",
    "Connection closed by authenticating user root 192.0.2.1 port 52000 [preauth]",
    "Accepted publickey for deploy from 192.0.2.1 port 52000 ssh2: ED25519 SHA256:abcdefghijklmnop",
)

Search = Callable[[str], object]
"""Searches and takes all named groups of a match; None where there is none."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=Path("/etc/fail2ban"), help="where filter.d lies")
    pairs = list(_pairs(load_filter(parser.parse_args().config, "sshd[mode=aggressive]").failregex))
    print(f"{len({text for text, _ in pairs})} regexes, {len(pairs)} lines that they match\n")
    print("| engine | regexes taken | µs per line | times the standard `re` | compile, ms per regex |")
    print("|---|--:|--:|--:|--:|")
    standard = 0.0
    for name, make in _engines().items():
        taken, per_line, compiling = _measure(make, pairs)
        standard = standard or per_line
        print(f"| {name} | {taken} of {len(pairs)} | {per_line:.2f} | {per_line / standard:.2f} | {compiling:.2f} |")


def _pairs(regexes: Sequence[str]) -> Iterable[tuple[str, str]]:
    """Each line with the first regex that matches it."""
    expanded = [expand(regex) for regex in regexes]
    for line in _LINES:
        found = next((text for text in expanded if re.search(text, f"{line}\n")), None)
        if found:
            yield found, f"{line}\n"


def _measure(make: Callable[[str], Search], pairs: Sequence[tuple[str, str]]) -> tuple[int, float, float]:
    """How many pairs it can do, microseconds per line (the best of five), milliseconds to compile."""
    work: list[tuple[Search, str]] = []
    re.purge()
    begun = time.process_time()
    for text, line in pairs:
        try:
            work.append((make(text), line))
        except Exception as fault:  # noqa: BLE001 -- each engine has exceptions of its own
            print(f"<!-- {str(fault)[:100]!r} -->", file=sys.stderr)
    compiling = 1e3 * (time.process_time() - begun) / max(1, len(work))
    work = [(search, line) for search, line in work if search(line) is not None]
    best = min(_round(work) for _ in range(5)) if work else float("nan")
    return len(work), 1e6 * best / (_ROUNDS * max(1, len(work))), compiling


def _round(work: Sequence[tuple[Search, str]]) -> float:
    begun = time.process_time()
    for _ in range(_ROUNDS):
        for search, line in work:
            search(line)
    return time.process_time() - begun


def _engines() -> dict[str, Callable[[str], Search]]:
    makers = {"`re`": _re, "`regex`": _regex, "PCRE2, with its JIT (`pcre2`)": _pcre2, "`google-re2`": _re2}
    found = {name: make for name, make in makers.items() if _has(name)}
    return {**found, "Hyperscan alone, no groups": _hyperscan} if _has("`hyperscan`") else found


def _has(name: str) -> bool:
    module = name.split("`")[1].replace("google-", "")
    return importlib.util.find_spec(module) is not None


def _re(text: str) -> Search:
    return _with_groups(re.compile(text).search)


def _regex(text: str) -> Search:
    import regex

    return _with_groups(regex.compile(text).search)


def _re2(text: str) -> Search:
    import re2

    return _with_groups(re2.compile(text).search)


def _with_groups(search: Callable[[str], re.Match[str] | None]) -> Search:
    def found(line: str) -> object:
        match = search(line)
        return None if match is None else match.groupdict()

    return found


def _pcre2(text: str) -> Search:
    import pcre2

    return _with_groups(pcre2.compile(text, jit=True).search)


def _hyperscan(text: str) -> Search:
    import hyperscan

    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    database.compile(
        expressions=[text.encode()],
        ids=[0],
        elements=1,
        flags=[hyperscan.HS_FLAG_PREFILTER | hyperscan.HS_FLAG_SINGLEMATCH],
    )
    hits: list[int] = []

    def on_match(_number: int, _start: int, end: int, _flags: int, _context: object) -> None:
        hits.append(end)

    def found(line: str) -> object:
        hits.clear()
        database.scan(line.encode(), match_event_handler=on_match)
        return hits[0] if hits else None

    return found


if __name__ == "__main__":
    main()
