"""A status survives its way through JSON, whole and in part."""

from __future__ import annotations

import json
from typing import Any

import pytest

from guardhooks import StateError
from guardhooks.status import (
    ActionStatus,
    BanCounts,
    BanStatus,
    FailureCounts,
    GuardStatus,
    JailDetails,
    JailStatus,
    SourceStatus,
    from_dict,
    to_dict,
)

JAIL = JailDetails(
    "sshd",
    "degraded",
    "sshd",
    (
        SourceStatus(
            "file:/var/log/auth.log head", "reading", origins=("/var/log/auth.log",), label="/var/log/auth.log"
        ),
    ),
    FailureCounts(2, 31),
    BanCounts(1, 1, 4),
    (ActionStatus("nftables", "nftables", "failing", reason="no permission", failing=1),),
    ("a problem",),
    ("geoip",),
    maxretry=3,
    findtime=600.0,
    bantime=None,
    banned=(BanStatus("192.0.2.1", 1000.0, None, None, matches=("a line",), state="failing", problem="full"),),
)
GUARD = GuardStatus("0.1.0", 42, "/etc/guardhooks", 1000.0, None, True, (JailStatus("web", "broken"),), ("p",), True)


def test_what_the_daemon_sends_is_what_the_client_reads() -> None:
    for status in (JAIL, GUARD):
        assert from_dict(type(status), json.loads(json.dumps(to_dict(status)))) == status


def test_keys_that_a_client_does_not_know_are_no_error_and_lacking_ones_have_their_default() -> None:
    report = {"name": "sshd", "state": "running", "moon": "full", "bans": {"current": 1, "tides": 2}}

    assert from_dict(JailStatus, report) == JailStatus("sshd", "running", bans=BanCounts(current=1))


def test_the_names_of_the_json_stay() -> None:
    assert list(to_dict(JAIL)) == [
        "name", "state", "filter", "sources", "failures", "bans", "actions", "problems", "plugins_off", "faults",
        "changes",
        "maxretry", "findtime", "bantime", "banned",
    ]  # fmt: skip
    assert list(to_dict(GUARD)) == [
        "version", "pid", "config", "started", "state", "observing", "jails", "problems", "mended_by_reload",
        "configured", "faults", "history_age",
    ]  # fmt: skip


@pytest.mark.parametrize("answer", [None, 7, [], {"jails": 7}, {"jails": ["x"]}, {"version": [], "pid": 1}, {}])
def test_what_is_not_a_daemons_answer_is_one_clear_error(answer: Any) -> None:  # noqa: ANN401 -- whatever JSON holds
    with pytest.raises(StateError, match="the answer is not that of a guardhooks daemon"):
        from_dict(GuardStatus, answer)
