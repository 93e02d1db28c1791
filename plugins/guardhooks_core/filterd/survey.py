"""The outcome of a whole log for testers: only lines that a regex can match are traced, the others are counted."""

from __future__ import annotations

from collections.abc import Iterator

from guardhooks import Chunk, LineTrace, MissedLines

from .decoding import Decoder
from .layout import needed
from .prefilter import Prefilter, build, sought
from .watch import Watch


class Survey:
    """One jail's log. An ignoreregex that is asked about every line counts as one that can match."""

    def __init__(self, watch: Watch, decoder: Decoder) -> None:
        self._watch = watch
        self._decoder = decoder
        self._filter = _prefilter(watch, decoder)

    def lines(self, chunk: Chunk, *, every: bool) -> Iterator[LineTrace | MissedLines]:
        """What `Watch.trace` tells of these lines, missed ones summed up."""
        data, times, now = chunk.data, chunk.times, chunk.received
        decode, pass_over = self._decoder.decode, self._watch.pass_over
        wanted = self._wanted(data)
        start, number, size, missed, pattern = 0, 0, len(data), 0, ""
        while start < size:
            end = data.find(b"\n", start) + 1 or size
            line = decode(data[start:end])
            known = times[number] if times else None
            if wanted is None or end in wanted:
                if missed:
                    yield MissedLines(missed, pattern)
                    missed = 0
                yield self._watch.trace(line, known, now, every=every)
            else:
                found = pass_over(line, known, now)
                if missed and found != pattern:
                    yield MissedLines(missed, pattern)
                    missed = 0
                missed, pattern = missed + 1, found
            start, number = end, number + 1
        if missed:
            yield MissedLines(missed, pattern)

    def _wanted(self, data: bytes) -> set[int] | None:
        """Where the lines end that a regex can match; None: all lines."""
        if self._filter is None:
            return None
        whole = data if data.endswith(b"\n") else data + b"\n"
        ends = {end for end, _ in self._filter.scan(whole)}
        return ends if whole is data else {min(end, len(data)) for end in ends}


def _prefilter(watch: Watch, decoder: Decoder) -> Prefilter | None:
    if watch.rules.buffer is not None or not decoder.ascii_bytes:
        return None
    factors = [needed(watch, rule, decoder.name) for rule in watch.rules.failregexes]
    factors += [needed(watch, rule, decoder.name, behind_prefix=False) for rule in watch.rules.asked_of_every_line]
    unique = {factor: sought(factor) for factor in factors if factor is not None}
    return None if None in factors else build(list(unique.values()))
