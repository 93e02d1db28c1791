#!/usr/bin/env python3
"""What all shipped jails cost on one log, against one jail: CPU seconds of the matchers, by plugin; needs sample logs.

    python bench/all_jails.py 100 LOG... [--without JAIL,...]

The logs are mixed line by line and repeated until they have so many MB.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from guardhooks import Chunk, Jail, LogSource, SourceSpec
from guardhooks.plugins import Plugins
from guardhooks.settings import load

CONFIG = Path(__file__).parent.parent / "config"
CENTURY = 3.2e9
"""Seconds: sample lines are old, and count."""
BLOCK = 1 << 20
"""Bytes that are matched at a time."""


def main() -> None:
    """Print one row for one jail, one for all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("megabytes", type=int)
    parser.add_argument("logs", type=Path, nargs="+")
    parser.add_argument("--one", default="sshd")
    parser.add_argument("--without", default="", help="jails that are left out, separated by commas")
    wanted = parser.parse_args()
    blocks = _blocks(_mixed(wanted.logs), wanted.megabytes * 1_000_000)
    jails = [jail for jail in _jails() if jail.name not in wanted.without.split(",")]
    alone = _cost([jail for jail in jails if jail.name == wanted.one], blocks)
    every = _cost(jails, blocks)
    print(f"all / one: {every / alone:.2f}")


def _mixed(logs: Sequence[Path]) -> bytes:
    lines = [path.read_bytes().splitlines(keepends=True) for path in logs]
    return b"".join(line for group in itertools.zip_longest(*lines, fillvalue=b"") for line in group)


def _blocks(data: bytes, size: int) -> list[bytes]:
    """`data` cut at ends of lines, repeated up to `size` bytes; the blocks are shared."""
    cuts = [0]
    while (cut := data.rfind(b"\n", cuts[-1], cuts[-1] + BLOCK) + 1) > cuts[-1]:
        cuts.append(cut)
    once = [data[start:end] for start, end in itertools.pairwise(cuts)]
    return list(itertools.islice(itertools.cycle(once), max(1, size * len(once) // len(data))))


def _jails() -> list[Jail]:
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "etc"
        shutil.copytree(CONFIG, directory)
        (directory / "jail.local").write_text("[DEFAULT]\nenabled = true\n")
        return [replace(jail, findtime=CENTURY) for jail in load(directory, journal=False).jails]


def _cost(jails: list[Jail], blocks: Sequence[bytes]) -> float:
    plugins = Plugins.load()
    source: LogSource = plugins.log_source(jails[0], SourceSpec("/var/log/mixed.log")).worker
    total, found = 0.0, Counter[str]()
    for matcher in plugins.line_matcher(source, jails):
        plugins.feed(matcher, Chunk(blocks[0], "mixed", time.time(), live=False))
        began = time.process_time()
        for block in blocks:
            found.update(plugins.feed(matcher, Chunk(block, "mixed", time.time(), live=False)).jails)
        spent = time.process_time() - began
        total += spent
        print(f"{len(matcher.worker.jails):4} jails by {matcher.plugin}: {spent:.2f} s of CPU")
    counts = ", ".join(f"{name} {count}" for name, count in found.most_common(8))
    print(f"{len(jails):4} jails: {total:.2f} s for {sum(map(len, blocks)) / 1e6:.0f} MB; failures: {counts or 'none'}")
    return total


if __name__ == "__main__":
    main()
