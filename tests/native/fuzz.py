"""Differential fuzzing of the core's engines against Python's `re`, for as long as you like.

`python -m tests.native.fuzz --seconds 3600 --corpus FILE`: random regexes and texts, and mutations of the corpus; what
differs is written to FILE, which `test_corpus.py` replays. Exits with 1 if anything differed.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.native.patterns import compiled, core_spans, expression, spans, text

CORPUS = Path(__file__).with_name("corpus.json")
_SLOWEST = 2
"""Seconds that Python's engine may take on one regex; more teaches nothing."""


class _TooSlowError(Exception):
    pass


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--corpus", type=Path, default=CORPUS)
    parser.add_argument("--seed", type=int, default=time.time_ns())
    options = parser.parse_args()
    known = json.loads(options.corpus.read_text()) if options.corpus.exists() else []
    signal.signal(signal.SIGALRM, _too_slow)
    source, end = random.Random(options.seed), time.monotonic() + options.seconds
    count = {"regexes": 0, "refused": 0, "texts": 0, "matches": 0, "too slow": 0, "out of steps": 0, "different": 0}
    while time.monotonic() < end:
        pattern = expression(source, source.randint(1, 3))
        try:
            signal.alarm(_SLOWEST)
            for line in _different(pattern, source, count):
                count["different"] += 1
                known.append([pattern, line])
                print("different:", repr(pattern), repr(line), flush=True)
        except _TooSlowError:
            count["too slow"] += 1
        finally:
            signal.alarm(0)
    if count["different"]:
        options.corpus.write_text(json.dumps(known, indent=0) + "\n")
    print(f"seed {options.seed}:", count)
    return 1 if count["different"] else 0


def _different(pattern: str, source: random.Random, count: dict[str, int]) -> Iterator[str]:
    flags = source.choice([0, 0, 0, 2, 256, 258])
    prefix = {0: "", 2: "(?i)", 256: "(?a)", 258: "(?ai)"}[flags]
    known = compiled(prefix + pattern)
    count["regexes"] += 1
    if known is None:
        count["refused"] += 1
        return
    regex, translation, core = known
    for line in (text(source) for _ in range(12)):
        wanted = spans(regex, line)
        count["texts"] += 1
        count["matches"] += wanted is not None
        try:
            same = all(core_spans(translation, core, line, linear=linear) == wanted for linear in (False, True))
        except TimeoutError:  # the core's bound, at which the line counts as not matched
            count["out of steps"] += 1
        else:
            if not same:
                yield line


def _too_slow(*_: object) -> None:
    raise _TooSlowError


if __name__ == "__main__":
    sys.exit(main())
