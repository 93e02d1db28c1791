"""Every sample line of every program through every filter: the native core finds what the plain matcher finds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from guardhooks import Chunk, ConfigError, FilterSpec, Jail
from guardhooks.settings import load_filter
from tests.compat.samples import NOW
from tests.compat.test_samples import FILTERS, tree, zone
from tests.compat.test_whole_library import library
from tests.native.comparing import Pair

__all__ = ["library", "tree", "zone"]

PACKAGED = Path(__file__).parent.parent.parent / "config"
STOCK = sorted(file.stem for file in FILTERS.glob("*.conf") if "common" not in file.stem)
OWN = sorted(file.stem for file in (PACKAGED / "filter.d").glob("*.conf") if "common" not in file.stem)
UNSERVED = {"ejabberd-auth", "guacamole", "mongodb-auth", "openwebmail", "roundcube-auth", "selinux-ssh"} | {
    "sendmail-reject", "slapd", "stunnel",
}  # fmt: skip


def modes(folder: Path, name: str) -> Iterator[FilterSpec]:
    """A filter in each of its modes that make a difference."""
    text = (folder / "filter.d" / f"{name}.conf").read_text("utf-8", "replace")
    seen: set[tuple[object, ...]] = set()
    for mode in ["", *sorted(set(re.findall(r"mdre-(\w+)|mode=([a-z]+)", text)))]:
        option = "".join(mode)
        try:
            spec = load_filter(folder, f"{name}[mode={option}]" if option else name)
        except ConfigError:
            continue
        key = (spec.prefregex, spec.failregex, spec.ignoreregex)
        if spec.failregex and key not in seen:
            seen.add(key)
            yield spec


def same(specs: list[FilterSpec], library: Chunk) -> set[str]:
    """The names of the jails that were compared."""
    jails = [
        Jail(f"{spec.name}-{number}-{usedns}", spec, usedns=usedns, findtime=1e10)
        for number, spec in enumerate(specs)
        for usedns in ("warn", "no", "raw")
    ]
    # The library mixes logs with and without dates. Which date is the last known one then depends on the lines that a
    # prefilter rules out, so the plain matcher runs as it does in a daemon.
    pair = Pair(jails, prefilter=True)
    whole = Chunk(library.data, "library", NOW, live=False)
    for chunk in halves(whole):
        pair.feed(chunk)
    pair.feed(Chunk(library.data, "library", NOW + 7, live=True))
    times = tuple(NOW - 3 + number / 1000 for number in range(library.data.count(b"\n")))
    pair.feed(Chunk(library.data, "library", NOW + 9, live=True, times=times))
    return set(pair.native.jails)


def halves(chunk: Chunk) -> Iterator[Chunk]:
    middle = chunk.data.find(b"\n", len(chunk.data) // 2) + 1
    for data in (chunk.data[:middle], chunk.data[middle:]):
        yield Chunk(data, chunk.origin, chunk.received, live=chunk.live)


@pytest.mark.parametrize("name", STOCK)
@pytest.mark.timeout(300)
def test_a_stock_filter(name: str, library: Chunk) -> None:
    specs = list(modes(FILTERS.parent, name))
    if not specs:
        return  # a filter without a regex
    served = same(specs, library)
    assert bool(served) == (name not in UNSERVED)


@pytest.mark.parametrize("name", OWN)
@pytest.mark.timeout(300)
def test_a_packaged_filter(name: str, library: Chunk) -> None:
    served = same(list(modes(PACKAGED, name)), library)
    assert served
