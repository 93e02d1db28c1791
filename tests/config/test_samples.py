"""The sshd filter on logs of real machines and on other tools' samples, where those lie beside the checkout."""

from __future__ import annotations

import json
import re
from collections import Counter
from itertools import count

import pytest

from tests.config.corpora import SAMPLES, failures, matcher

needs_samples = pytest.mark.skipif(not SAMPLES.is_dir(), reason=f"no sample logs in {SAMPLES}")


@needs_samples
def test_every_guess_in_a_real_log_is_counted_once() -> None:
    lines = (SAMPLES / "real" / "openssh_2k.log").read_bytes().splitlines()
    failed = re.compile(rb"sshd\[(\d+)\]: .*Failed password .* from (\S+) port \d+ ssh2\]?$")
    guesses = [hit.groups() for hit in map(failed.search, lines) if hit]
    invalid = re.compile(rb"sshd\[(\d+)\]: Invalid user .* from (\S+)$")
    with_password = {process for process, _ in guesses}
    guesses += [hit.groups() for hit in map(invalid.search, lines) if hit and hit[1] not in with_password]
    expected = Counter(address.decode() for _, address in guesses)
    found = Counter(failure.id for failure in failures(matcher("sshd", {"mode": "normal"}), lines))
    assert found == expected


@needs_samples
@pytest.mark.parametrize("file", ["sshd", "sshd-success"])
def test_other_tools_samples_are_judged_as_they_say(file: str) -> None:
    samples = [json.loads(line) for line in (SAMPLES / "hub" / f"{file}.jsonl").read_text().splitlines()]
    for sample in samples:
        found = failures(matcher("sshd", {"mode": "aggressive", "pam": "any"}), [sample["line"].rstrip("\n")])
        assert [failure.id for failure in found] == ([sample["ip"]] if sample["kind"] == "bad" else []), sample["line"]


ATTEMPTS = {
    "an unknown user, one password": (
        "Invalid user foo from 192.0.2.1 port 4000",
        "pam_unix(sshd:auth): check pass; user unknown",
        "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=192.0.2.1",
        "Failed password for invalid user foo from 192.0.2.1 port 4000 ssh2",
        "Connection closed by invalid user foo 192.0.2.1 port 4000 [preauth]",
    ),
    "an unknown user, keyboard-interactive": (
        "Invalid user foo from 192.0.2.1 port 4000",
        "error: PAM: User not known to the underlying authentication module for illegal user foo from 192.0.2.1",
        "Failed keyboard-interactive/pam for invalid user foo from 192.0.2.1 port 4000 ssh2",
        "Received disconnect from 192.0.2.1 port 4000:14: No supported authentication methods available [preauth]",
        "Disconnected from invalid user foo 192.0.2.1 port 4000 [preauth]",
    ),
    "an unknown user, no password": (
        "Invalid user foo from 192.0.2.1 port 4000",
        "Connection reset by invalid user foo 192.0.2.1 port 4000 [preauth]",
    ),
    "a user whom AllowUsers leaves out": (
        "User root from 192.0.2.1 not allowed because not listed in AllowUsers",
        "Failed password for invalid user root from 192.0.2.1 port 4000 ssh2",
        "Connection closed by invalid user root 192.0.2.1 port 4000 [preauth]",
    ),
    "keys only, until sshd has enough": (
        "error: maximum authentication attempts exceeded for root from 192.0.2.1 port 4000 ssh2 [preauth]",
        "Disconnecting authenticating user root 192.0.2.1 port 4000: Too many authentication failures [preauth]",
    ),
}


PROCESSES = count(30_000)


def connection(*messages: str) -> list[str]:
    """Log lines of a connection, which has a process of its own."""
    process = next(PROCESSES)
    return [f"Dec 10 06:55:48 host sshd[{process}]: {message}" for message in messages]


@pytest.mark.parametrize("mode", ["normal", "ddos", "extra", "aggressive"])
@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_one_attempt_counts_once_however_many_lines_it_makes(attempt: str, mode: str) -> None:
    lines = connection(*ATTEMPTS[attempt])
    found = failures(matcher("sshd", {"mode": mode}), lines)
    assert [failure.id for failure in found] == ["192.0.2.1"]


def test_each_further_password_of_a_connection_counts_once() -> None:
    password = "Failed password for invalid user foo from 192.0.2.1 port 4000 ssh2"
    tries = ["Invalid user foo from 192.0.2.1 port 4000", password, password, password]
    ends = ["maximum authentication attempts exceeded for invalid user foo from 192.0.2.1 port 4000 ssh2 [preauth]"]
    ends += ["Disconnecting invalid user foo 192.0.2.1 port 4000: Too many authentication failures [preauth]"]
    assert len(failures(matcher("sshd", {"mode": "aggressive"}), connection(*tries, *ends))) == 3
