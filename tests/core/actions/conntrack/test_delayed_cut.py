"""Cuts that follow a ban."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from guardhooks import ActionError, ActionSpec, Ban
from guardhooks_core.actions.conntrack.delayed_cut import DelayedCuts
from tests.kit.bans import ban

ACTION = ActionSpec("conntrack", "conntrack")


class Cuts:
    """Records what is cut; the first cut waits until it is let go."""

    def __init__(self, *, fails: bool = False) -> None:
        self.made: list[list[str]] = []
        self.news = threading.Condition()
        self.go = threading.Event()
        self._fails = fails

    def __call__(self, action: ActionSpec, bans: Sequence[Ban]) -> int:
        with self.news:
            self.made.append([ban.id for ban in bans])
            self.news.notify_all()
        self.go.wait(30)
        if self._fails:
            raise ActionError("no")
        return 0

    def wait_for(self, number: int) -> None:
        with self.news:
            assert self.news.wait_for(lambda: len(self.made) >= number, 30), self.made


def test_what_comes_during_a_cut_is_cut_together_and_each_round_comes() -> None:
    cuts = Cuts()
    delayed_cuts = DelayedCuts(cuts, rounds=(0.0, 0.05))
    delayed_cuts.add(ACTION, ban("a"))
    cuts.wait_for(1)
    for id in "bcd":
        delayed_cuts.add(ACTION, ban(id))
    cuts.go.set()
    with cuts.news:
        assert cuts.news.wait_for(lambda: sum(map(len, cuts.made)) == 8, 30), cuts.made
    assert cuts.made[0] == ["a"]
    delayed_cuts.close()


def test_closing_does_what_is_due_and_no_more() -> None:
    cuts = Cuts()
    cuts.go.set()
    delayed_cuts = DelayedCuts(cuts, rounds=(0.0, 3600.0))
    delayed_cuts.add(ACTION, ban("a"))
    delayed_cuts.close()
    assert cuts.made == [["a"]]
    delayed_cuts.close()
    delayed_cuts.add(ACTION, ban("b"))
    delayed_cuts.close()
    assert cuts.made == [["a"], ["b"]]


def test_a_cut_that_fails_does_not_end_the_others() -> None:
    cuts = Cuts(fails=True)
    cuts.go.set()
    delayed_cuts = DelayedCuts(cuts, rounds=(0.0,))
    delayed_cuts.add(ACTION, ban("a"))
    cuts.wait_for(1)
    delayed_cuts.add(ACTION, ban("b"))
    cuts.wait_for(2)
    delayed_cuts.close()
