"""What `guardhooks test --bans` prints: who would have been banned, when, for how long, how often, as whom."""

from __future__ import annotations

import json
import math
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Final

from guardhooks.cli.layout import say
from guardhooks.cli.output import columns, moment, paint
from guardhooks.cli.test.replay import Replay, ReplayedBan
from guardhooks.cli.test.trial import Trial
from guardhooks.model import Jail
from guardhooks.text import duration, safe_text
from guardhooks.workers import MissedLines

_SHOWN: Final = 1000
"""So many bans are listed; all of them are counted, and `--json` prints all."""
_USERS: Final = 5


def print_bans(trial: Trial, *, as_json: bool) -> None:
    """Replay the log and print its bans.

    :raises KeyboardInterrupt: after the bans until then.
    """
    replay = Replay(trial.plugins, trial.jail)
    try:
        for block in trial.surveys(every=False):
            for outcome in block:
                if not isinstance(outcome, MissedLines):
                    replay.add(outcome.failures)
    finally:
        replay.close()
        if as_json:
            sys.stdout.write("".join(f"{line}\n" for line in _json(trial, replay)))
        else:
            say(*_report(trial, replay))


def _json(_trial: Trial, replay: Replay) -> Iterator[str]:
    """One object for each ban; `length` is null for a permanent one."""
    for each in replay.bans:
        ban = each.ban
        yield json.dumps(
            {
                "id": ban.id,
                "jail": ban.jail,
                "start": ban.start,
                "length": ban.length if math.isfinite(ban.length) else None,
                "count": ban.count,
                "failures": ban.failures,
                "reason": ban.reason,
                "users": list(each.users),
            }
        )


def _report(trial: Trial, replay: Replay) -> Iterator[str]:
    jail = replay.jail
    yield f"{paint(safe_text(trial.made_from), 'strong')} on {safe_text(trial.lines.origin)}: {_rule(jail)}"
    if trial.jail.ignorecommand:
        yield paint("ignorecommand was not run; it may spare some of these", "warn")
    yield ""
    if replay.bans:
        yield from columns(_HEAD, [_row(each) for each in replay.bans[:_SHOWN]], right=(2, 4))
        if len(replay.bans) > _SHOWN:
            yield f"and {len(replay.bans) - _SHOWN:,} more; --json prints all"
        yield ""
    yield from _totals(replay)


_HEAD: Final = ("Start", "Id", "Failures", "Length", "Ban no.", "Users")


def _row(each: ReplayedBan) -> list[str]:
    ban = each.ban
    length = duration(ban.length if math.isfinite(ban.length) else None)
    users = ", ".join(each.users[:_USERS]) + (
        f" and {len(each.users) - _USERS} more" if len(each.users) > _USERS else ""
    )
    return [moment(ban.start), safe_text(ban.id), str(ban.failures), length, str(ban.count), safe_text(users)]


def _rule(jail: Jail) -> str:
    length = duration(jail.bantime if math.isfinite(jail.bantime) else None)
    return f"{_number(jail.maxretry, 'failure')} within {duration(jail.findtime)} ban for {length}"


def _totals(replay: Replay) -> Iterator[str]:
    often = Counter(each.ban.id for each in replay.bans)
    yield (
        f"{_number(len(replay.bans), 'ban')} of {_number(len(often), 'id')} "
        f"from {_number(replay.failures, 'failure')}; {replay.late:,} of them came during a ban"
    )
    if again := [(id, count) for id, count in often.most_common(10) if count > 1]:
        yield "most often: " + ", ".join(f"{safe_text(id)} ({count})" for id, count in again)
    if replay.spared:
        yield f"not banned, as ignoreip spares them: {', '.join(map(safe_text, list(replay.spared)[:10]))}"


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + "s" * (count != 1)
