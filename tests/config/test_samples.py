"""The sshd filter on logs of real machines and on other tools' samples, where those lie beside the checkout."""

from __future__ import annotations

import json
import re
from collections import Counter

import pytest

from tests.config.corpora import SAMPLES, failures, matcher

needs_samples = pytest.mark.skipif(not SAMPLES.is_dir(), reason=f"no sample logs in {SAMPLES}")


@needs_samples
def test_every_guess_in_a_real_log_is_counted_once() -> None:
    lines = (SAMPLES / "real" / "openssh_2k.log").read_bytes().splitlines()
    guesses = re.compile(rb"Failed password .* from (\S+) port \d+ ssh2\]?$|: Invalid user .* from (\S+)$")
    hits = (guesses.search(line) for line in lines)
    expected = Counter((hit[1] or hit[2]).decode() for hit in hits if hit)
    ends = re.compile(rb"Too many authentication failures for .*\[preauth\]")
    processes = Counter(re.search(rb"sshd\[(\d+)\]", line)[1] for line in lines if ends.search(line))  # type: ignore[index]
    found = Counter(failure.id for failure in failures(matcher("sshd", {"mode": "normal"}), lines))
    assert set(found) == set(expected)
    assert found.total() == expected.total() + processes.total()


@needs_samples
@pytest.mark.parametrize("file", ["sshd", "sshd-success"])
def test_other_tools_samples_are_judged_as_they_say(file: str) -> None:
    samples = [json.loads(line) for line in (SAMPLES / "hub" / f"{file}.jsonl").read_text().splitlines()]
    for sample in samples:
        found = failures(matcher("sshd", {"mode": "aggressive", "pam": "any"}), [sample["line"].rstrip("\n")])
        assert [failure.id for failure in found] == ([sample["ip"]] if sample["kind"] == "bad" else []), sample["line"]
