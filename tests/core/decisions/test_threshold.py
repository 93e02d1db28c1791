"""maxretry failures within findtime make one ban."""

from __future__ import annotations

import pytest

from guardhooks import PERMANENT, Ban, Failure, Jail, Record
from guardhooks_core.decisions.threshold import decide_ban

FAILURE = Failure("sshd", "192.0.2.1", 100.0, matches=("line",), fields={"user": "x"}, notes={"country": "NL"})


def test_one_ban_when_the_window_is_full() -> None:
    jail = Jail("sshd", maxretry=3, findtime=600, bantime=PERMANENT)
    assert decide_ban(jail, FAILURE, Record("192.0.2.1", (1.0, 2.0), 2)) is None
    [ban] = decide_ban(jail, FAILURE, Record("192.0.2.1", (1.0, 2.0, 100.0), 7, ("a", "b"))) or []
    assert (ban.id, ban.jail, ban.start, ban.length, ban.failures) == ("192.0.2.1", "sshd", 100.0, PERMANENT, 7)
    assert (ban.matches, ban.fields, ban.notes) == (("a", "b"), {"user": "x"}, {"country": "NL"})
    assert ban.reason == "3 failures in 10m"


@pytest.mark.parametrize("maxretry", [1, 0, -1])
def test_a_limit_of_one_or_less_bans_at_once(maxretry: int) -> None:
    jail = Jail("sshd", maxretry=maxretry, findtime=5400)
    [ban] = decide_ban(jail, FAILURE, Record("192.0.2.1", (100.0,), 1)) or []
    assert (ban.reason, ban.matches) == ("1 failure in 1h 30m", ("line",))


def test_none_while_a_ban_is_in_force() -> None:
    record = Record("192.0.2.1", (100.0,), 1, active=Ban("192.0.2.1", "sshd", 50.0, 60.0))
    assert decide_ban(Jail("sshd", maxretry=1), FAILURE, record) == []
