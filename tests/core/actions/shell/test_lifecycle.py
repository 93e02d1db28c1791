"""What an action with commands does for each operation, through failures, repairs, reloads and restarts."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest

from guardhooks import ActionError, ActionSpec, Ban, Jail, Op, Outcome
from tests.core.actions.shell.kit import Bench, ban

ONE, TWO, THREE, SIX = ban("192.0.2.1"), ban("192.0.2.2"), ban("192.0.2.3"), ban("2001:db8::1")


def run(bench: Bench, action: ActionSpec, *steps: tuple[Op, list[Ban]]) -> list[Outcome | bool | None]:
    async def every() -> list[Outcome | bool | None]:
        return [await bench.do(action, op, *bans) for op, bans in steps]

    return asyncio.run(every())


def test_start_bans_unban_and_flush(bench: Bench):
    action = bench.logger()
    run(bench, action, (Op.START, [ONE]), (Op.BAN, [TWO, THREE]), (Op.UNBAN, [ONE]), (Op.FLUSH, [TWO, THREE]))
    expected = ["start", "ban 192.0.2.1", "ban 192.0.2.2", "ban 192.0.2.3"]
    assert bench.log == [*expected, "unban 192.0.2.1", "unban 192.0.2.2", "unban 192.0.2.3", "stop"]


def test_banning_the_banned_and_unbanning_the_absent_run_nothing(bench: Bench):
    action = bench.logger()
    run(bench, action, (Op.START, [ONE]), (Op.BAN, [ONE]), (Op.UNBAN, [TWO]), (Op.CHECK, [ONE]), (Op.START, [ONE]))
    assert bench.log == ["start", "ban 192.0.2.1"]


def test_families_start_with_their_first_ban(bench: Bench):
    action = bench.logger(
        actionstart="echo start <tool> >> FOLDER/log", actionstop="echo stop <tool> >> FOLDER/log",
        actionflush="echo flush <tool> >> FOLDER/log", tool="four", tool__family_inet6="six",
    )  # fmt: skip
    run(bench, action, (Op.START, []), (Op.BAN, [ONE]))
    assert bench.log == ["start four", "ban 192.0.2.1"]
    run(bench, action, (Op.BAN, [SIX, TWO]), (Op.FLUSH, [ONE, TWO, SIX]))
    assert bench.log == [
        "start six", "ban 2001:db8::1", "ban 192.0.2.2", "flush four", "flush six", "stop four", "stop six",
    ]  # fmt: skip


def test_families_of_one_text_start_once_and_at_once_if_asked(bench: Bench):
    run(bench, bench.logger(tool__family_inet6="six", actionstart_on_demand="no"), (Op.START, []), (Op.FLUSH, []))
    assert bench.log == ["start", "stop"]


def test_a_longer_ban_is_prolonged(bench: Bench):
    action = bench.logger(actionprolong="echo prolong <ip> <bantime> >> FOLDER/log")
    run(bench, action, (Op.START, [ONE]), (Op.BAN, [ban(ONE.id, 7200.0)]), (Op.BAN, [ban(ONE.id, 7200.0)]))
    assert bench.log == ["start", "ban 192.0.2.1", "prolong 192.0.2.1 7200"]


def test_a_ban_before_the_start_is_an_error(bench: Bench):
    with pytest.raises(ActionError, match="not started"):
        run(bench, bench.logger(), (Op.BAN, [ONE]))


def test_actions_without_commands_are_left_to_other_plugins(bench: Bench):
    assert run(bench, bench.action(), (Op.START, []), (Op.BAN, [ONE])) == [None, None]


def test_python_actions_are_not_run(bench: Bench):
    assert run(bench, bench.action(name="smtp.py"), (Op.START, []), (Op.BAN, [ONE])) == [None, None]


# --- failures --------------------------------------------------------------------------------------------------------

FLAKY = "echo ban <ip> >> FOLDER/log; test ! -e FOLDER/broken"


def test_a_failed_ban_is_reported_and_undone_before_it_is_done_again(bench: Bench):
    action = bench.logger(actionban=FLAKY)
    (bench.folder / "broken").touch()
    with pytest.raises(ActionError, match=r"actionban of 192\.0\.2\.1: exit status 1"):
        run(bench, action, (Op.START, [ONE]))
    (bench.folder / "broken").unlink()
    run(bench, action, (Op.START, [ONE]), (Op.BAN, [ONE]))
    assert bench.log == ["start", "ban 192.0.2.1", "unban 192.0.2.1", "ban 192.0.2.1"]


def test_one_ban_that_fails_does_not_prevent_others(bench: Bench):
    action = bench.logger(actionban="test <ip> != 192.0.2.1 && echo ban <ip> >> FOLDER/log")
    for _ in range(2):
        with pytest.raises(ActionError, match=r"192\.0\.2\.1"):
            run(bench, action, (Op.START, [ONE, TWO]))
    outcome = run(bench, action, (Op.START, [ONE, TWO]), (Op.BAN, [THREE]), (Op.CHECK, [ONE, TWO, THREE]))[-1]
    assert [line for line in bench.log if line.startswith("ban")] == ["ban 192.0.2.2", "ban 192.0.2.3"]
    assert isinstance(outcome, Outcome)
    assert outcome.note.startswith("1 NOT done, retrying at each check: 192.0.2.1: test: actionban")
    assert outcome.failed.keys() == {"192.0.2.1"}
    assert outcome.added == 0


def test_an_unban_that_cannot_work_is_given_up(bench: Bench):
    action = bench.logger(actionunban="false")
    run(bench, action, (Op.START, [ONE]))
    for _ in range(2):
        with pytest.raises(ActionError):
            run(bench, action, (Op.UNBAN, [ONE]))
    run(bench, action, (Op.UNBAN, [ONE]), (Op.CHECK, []))


CHECKED = {
    "actionstart": "echo start >> FOLDER/log; touch FOLDER/up",
    "actionstop": "echo stop >> FOLDER/log; rm -f FOLDER/up",
    "actioncheck": "test -e FOLDER/up",
    "actionban": "echo ban <ip> >> FOLDER/log; test -e FOLDER/up",
}


@pytest.mark.parametrize(
    ("extra", "repair"),
    [
        ({}, ["stop", "start", "ban 192.0.2.1"]),
        (
            {"actionrepair": "echo repair >> FOLDER/log; touch FOLDER/up", "actionreban": "echo re <ip> >> FOLDER/log"},
            ["repair", "re 192.0.2.1"],
        ),
    ],
)
def test_what_others_removed_is_repaired(bench: Bench, extra: dict[str, str], repair: list[str]):
    action = bench.logger(**CHECKED, **extra)
    run(bench, action, (Op.START, [ONE]))
    assert bench.log == ["start", "ban 192.0.2.1"]
    (bench.folder / "up").unlink()
    outcome = run(bench, action, (Op.CHECK, [ONE]))[0]
    assert isinstance(outcome, Outcome)
    assert outcome.added == 1
    assert bench.log == repair
    (bench.folder / "up").unlink()
    run(bench, action, (Op.BAN, [TWO]))
    assert bench.log == ["ban 192.0.2.2", *repair, "ban 192.0.2.2"]


def test_a_check_that_fails_behind_the_start_repairs_nothing_and_keeps_no_ban_from_being_made(bench: Bench):
    action = bench.logger(**{**CHECKED, "actioncheck": "test -e FOLDER/never"})
    outcome = run(bench, action, (Op.START, [ONE]), (Op.CHECK, [ONE]), (Op.BAN, [TWO]), (Op.CHECK, [ONE, TWO]))[-1]
    assert isinstance(outcome, Outcome)
    assert "actioncheck: exit status 1, though started just before" in outcome.problem
    assert outcome.failed == {}
    assert bench.log == ["start", "ban 192.0.2.1", "ban 192.0.2.2"]


def test_a_check_is_believed_once_it_has_passed(bench: Bench):
    check = {"actioncheck": "test -e FOLDER/proved && test -e FOLDER/up"}
    run(bench, bench.logger(**CHECKED | check), (Op.START, [ONE]))
    (bench.folder / "proved").touch()
    run(bench, bench.logger(**CHECKED | check), (Op.CHECK, [ONE]))
    (bench.folder / "up").unlink()
    outcome = run(bench, bench.logger(**CHECKED | check), (Op.CHECK, [ONE]))[0]
    assert isinstance(outcome, Outcome)
    assert outcome.problem == ""
    assert bench.log == ["start", "ban 192.0.2.1", "stop", "start", "ban 192.0.2.1"]


def test_a_repair_that_does_not_work_is_made_once_and_told(bench: Bench):
    action = bench.logger(
        **{**CHECKED, "actionstart": "echo start >> FOLDER/log; mkdir FOLDER/once && touch FOLDER/up"}
    )
    action = bench.action(**{**action.properties, "actionban": "echo ban <ip> >> FOLDER/log"})
    run(bench, action, (Op.START, [ONE]))
    (bench.folder / "up").unlink()
    first, second = run(bench, action, (Op.CHECK, [ONE]), (Op.CHECK, [ONE]))
    assert isinstance(first, Outcome)
    assert "actionstart: exit status 1" in first.problem
    assert isinstance(second, Outcome)
    assert second.failed == {}
    assert bench.log == ["start", "ban 192.0.2.1", "stop", "start", "ban 192.0.2.1"]


BADLY_STARTED = {"actionstart": "echo start >> FOLDER/log; vanished-helper"}


def test_a_start_that_fails_keeps_no_ban_from_being_tried(bench: Bench):
    outcome = run(bench, bench.logger(**BADLY_STARTED), (Op.START, [ONE]), (Op.BAN, [TWO]), (Op.CHECK, [ONE, TWO]))[-1]
    assert isinstance(outcome, Outcome)
    assert "actionstart: exit status 127 (command not found)" in outcome.problem
    assert outcome.failed == {}
    assert bench.log == ["start", "ban 192.0.2.1", "ban 192.0.2.2"]


def test_a_start_that_fails_is_retried_after_longer_and_longer_pauses(bench: Bench):
    now = [1000.0]
    bench.clock = lambda: now[0]
    bench.restart()
    action = bench.logger(**BADLY_STARTED, actionban="true", actionunban="")
    run(bench, action, (Op.START, [ONE]))
    attempts = []
    for later in range(1, 60):
        now[0] = 1000.0 + later
        run(bench, action, (Op.CHECK, [ONE]))
        attempts += [later] * (bench.log.count("start") - (1 if later == 1 else 0))
    assert attempts == [1, 4, 13, 40]


def test_bans_are_made_again_behind_a_retried_start(bench: Bench):
    now = [1000.0]
    bench.clock = lambda: now[0]
    bench.restart()
    action = bench.logger(actionstart="echo start >> FOLDER/log; test -e FOLDER/helper")
    run(bench, action, (Op.START, [ONE]))
    (bench.folder / "helper").touch()
    now[0] += 60
    outcome = run(bench, action, (Op.CHECK, [ONE]))[0]
    assert isinstance(outcome, Outcome)
    assert outcome.problem == ""
    assert bench.log == ["start", "ban 192.0.2.1", "start", "unban 192.0.2.1", "ban 192.0.2.1"]


def test_the_first_start_clears_nothing_and_tries_the_check_behind_it(bench: Bench):
    action = bench.logger(
        **CHECKED | {"actioncheck": "echo check >> FOLDER/log"}, actionflush="echo flush >> FOLDER/log"
    )
    run(bench, action, (Op.START, [ONE]))
    assert bench.log == ["start", "check", "ban 192.0.2.1"]


def test_what_a_lost_journal_would_have_told_is_cleared_once_the_start_fails(bench: Bench):
    (bench.folder / "up").touch()
    action = bench.logger(
        **CHECKED | {"actionstart": "echo start >> FOLDER/log; mkdir FOLDER/up", "actioncheck": "true"}
    )
    action = bench.action(**{**action.properties, "actionban": "echo ban <ip> >> FOLDER/log"})
    run(bench, action, (Op.START, [ONE]))
    assert bench.log == ["start", "stop", "start", "ban 192.0.2.1"]


def test_an_unban_in_a_broken_family_repairs_it_only_if_configured(bench: Bench):
    extra = {"actionunban": "echo unban <ip> >> FOLDER/log; test -e FOLDER/up"}
    for flag, expected in (
        ("no", ["unban 192.0.2.1"]),
        ("yes", ["unban 192.0.2.1", "stop", "start", "unban 192.0.2.1"]),
    ):
        action = bench.logger(**{**CHECKED, **extra, "actionrepair_on_unban": flag})
        run(bench, action, (Op.START, [ONE]))
        (bench.folder / "up").unlink()
        _ = bench.log
        run(bench, action, (Op.UNBAN, [ONE]))
        assert bench.log == expected
        run(bench, action, (Op.FLUSH, []))
        _ = bench.log


def test_a_hung_command_fails_in_time_and_delays_no_other_action(bench: Bench):
    hung = bench.logger(actionban="echo $$ > FOLDER/pid; sleep 600", timeout="0.3")
    other = bench.action(name="other", actionban="echo other <ip> >> FOLDER/log")

    async def both() -> None:
        await bench.do(other, Op.START)
        slow = asyncio.ensure_future(bench.do(hung, Op.START, ONE))
        await bench.do(other, Op.BAN, ONE)
        assert not slow.done()
        with pytest.raises(ActionError, match=r"killed after 0\.3 s"):
            await slow

    asyncio.run(both())
    assert "other 192.0.2.1" in bench.log
    assert not Path("/proc", (bench.folder / "pid").read_text().strip()).exists()


def test_ip_of_an_account_is_the_account(bench: Bench):
    action = bench.logger()
    account = ban("bob@example.org")
    run(bench, action, (Op.START, []), (Op.BAN, [account]), (Op.UNBAN, [account]))
    assert bench.log == ["start", "ban bob@example.org", "unban bob@example.org"]


def test_a_command_that_needs_an_address_leaves_the_ban_of_an_account_failing(bench: Bench):
    action = bench.logger(actionban="echo ban <ip-rev> >> FOLDER/log")
    account = ban("bob@example.org")
    *_, outcome = run(bench, action, (Op.START, []), (Op.BAN, [account, ONE]))
    assert isinstance(outcome, Outcome)
    assert list(outcome.failed) == ["bob@example.org"]
    assert "is no address" in outcome.failed["bob@example.org"]
    run(bench, action, (Op.UNBAN, [account]))
    assert bench.log == ["start", "ban 1.2.0.192."]


def test_the_end_of_one_jails_ban_leaves_that_of_another_on_a_list_they_share(bench: Bench):
    edge = bench.action(
        actionban="grep -qxF <ip> FOLDER/list || echo <ip> >> FOLDER/list", actionunban="sed -i '/^<ip>$/d' FOLDER/list"
    )

    async def story() -> list[list[str]]:
        seen = []
        for jail in ("short", "long"):
            for op, bans in ((Op.START, []), (Op.BAN, [ONE])):
                await bench.plugin.execute_action(Jail(jail), edge, op, bans)
        for jail in ("short", "long"):
            await bench.plugin.execute_action(Jail(jail), edge, Op.UNBAN, [ONE])
            seen.append((bench.folder / "list").read_text().split())
        return seen

    assert asyncio.run(story()) == [["192.0.2.1"], []]


# --- restarts --------------------------------------------------------------------------------------------------------


def test_after_a_restart_only_the_differences_are_made(bench: Bench):
    action = bench.logger(**CHECKED)
    run(bench, action, (Op.START, [ONE, TWO]), (Op.STOP, [ONE, TWO]))
    _ = bench.log
    bench.restart()
    run(bench, action, (Op.START, [TWO, THREE]))
    assert bench.log == ["unban 192.0.2.1", "ban 192.0.2.3"]
    run(bench, action, (Op.FLUSH, []))
    assert bench.log == ["unban 192.0.2.2", "unban 192.0.2.3", "stop"]


def test_after_a_reboot_everything_is_built_again(bench: Bench):
    action = bench.logger(**CHECKED)
    run(bench, action, (Op.START, [ONE]))
    (bench.folder / "up").unlink()
    _ = bench.log
    bench.restart()
    run(bench, action, (Op.START, [ONE]))
    assert bench.log == ["stop", "start", "ban 192.0.2.1"]


def test_after_a_restart_with_other_commands_leftovers_are_cleared(bench: Bench):
    run(bench, bench.logger(**CHECKED), (Op.START, [ONE]))
    _ = bench.log
    bench.restart()
    run(bench, bench.logger(**CHECKED, timeout="5"), (Op.START, [ONE]))
    assert bench.log == ["stop", "start", "ban 192.0.2.1"]


def test_a_file_without_check_or_stop_gets_no_line_twice(bench: Bench):
    def entries(option: str) -> ActionSpec:
        return bench.action(
            actionban="echo <ip> >> FOLDER/deny", actionunban="sed -i '/^<ip>$/d' FOLDER/deny", option=option
        )

    run(bench, entries("before"), (Op.START, [ONE, TWO]))
    bench.restart()
    run(bench, entries("after"), (Op.START, [TWO, THREE]))
    assert sorted((bench.folder / "deny").read_text().split()) == ["192.0.2.2", "192.0.2.3"]


def test_a_crash_in_the_middle_of_a_ban_leaves_it_in_force_once(bench: Bench):
    deny = bench.action(actionban="echo <ip> >> FOLDER/deny; sleep 600", actionunban="sed -i '/^<ip>$/d' FOLDER/deny")

    async def crash() -> None:
        task = asyncio.ensure_future(bench.do(deny, Op.START, ONE))
        while not (bench.folder / "deny").exists():
            await asyncio.sleep(0.01)  # another process has no event to give
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(crash())
    bench.restart()
    run(bench, bench.action(**{**deny.properties, "actionban": "echo <ip> >> FOLDER/deny"}), (Op.START, [ONE]))
    assert (bench.folder / "deny").read_text().split() == ["192.0.2.1"]


def test_a_journal_that_cannot_be_written_only_costs_time(bench: Bench):
    (bench.folder / "shell").write_text("not a folder")
    run(bench, bench.logger(**CHECKED), (Op.START, [ONE]), (Op.BAN, [TWO]))
    assert bench.log == ["stop", "start", "ban 192.0.2.1", "ban 192.0.2.2"]


# --- reloads ---------------------------------------------------------------------------------------------------------


def test_a_changed_action_replaces_the_former_one(bench: Bench):
    old, new = bench.logger(), bench.logger(actionban="echo new <ip> >> FOLDER/log")
    run(bench, old, (Op.START, [ONE]))
    run(bench, new, (Op.START, [ONE]))
    run(bench, old, (Op.STOP, []), (Op.FLUSH, []))
    assert bench.log == ["start", "ban 192.0.2.1", "unban 192.0.2.1", "stop", "start", "new 192.0.2.1"]


def test_a_change_that_changes_no_command_runs_none(bench: Bench):
    old, new = bench.logger(), bench.logger(comment="new")
    run(bench, old, (Op.START, [ONE]))
    run(bench, new, (Op.START, [ONE]), (Op.UNBAN, [ONE]))
    assert bench.log == ["start", "ban 192.0.2.1", "unban 192.0.2.1"]


def test_actionreload_leaves_the_bans_in_force(bench: Bench):
    old = bench.logger()
    new = bench.logger(actionreload="echo reload >> FOLDER/log", actionunban="echo new un <ip> >> FOLDER/log")
    run(bench, old, (Op.START, [ONE]))
    run(bench, new, (Op.START, [ONE]), (Op.UNBAN, [ONE]))
    assert bench.log == ["start", "ban 192.0.2.1", "reload", "new un 192.0.2.1"]


def test_a_shared_structure_is_removed_with_its_last_action(bench: Bench):
    first, second = bench.logger(), bench.logger(name="second")
    run(bench, first, (Op.START, [ONE]))
    run(bench, second, (Op.START, [TWO]))
    run(bench, first, (Op.FLUSH, [ONE]))
    assert bench.log == ["start", "ban 192.0.2.1", "ban 192.0.2.2", "unban 192.0.2.1"]
    run(bench, second, (Op.FLUSH, [TWO]))
    assert bench.log == ["unban 192.0.2.2", "stop"]


# --- norestored and notifications -------------------------------------------------------------------------------------


def test_with_norestored_restored_bans_are_not_done_but_undone(bench: Bench):
    action = bench.logger(norestored="1")
    run(bench, action, (Op.START, [ONE]), (Op.BAN, [TWO]), (Op.UNBAN, [ONE, TWO]), (Op.BAN, [ONE]))
    assert bench.log == ["start", "ban 192.0.2.2", "unban 192.0.2.1", "unban 192.0.2.2", "ban 192.0.2.1"]


def notification(bench: Bench, ban: str = "echo told <ip> <restored> >> FOLDER/log") -> ActionSpec:
    return bench.logger(norestored="true", actionunban="", actionban=ban)


def test_each_ban_is_reported_once(bench: Bench):
    steps = [(Op.START, [ONE]), (Op.BAN, [ONE, TWO]), (Op.BAN, [TWO]), (Op.START, [ONE, TWO]), (Op.FLUSH, [ONE, TWO])]
    run(bench, notification(bench), *steps)
    assert bench.log == ["start", "told 192.0.2.2 0", "stop"]


def test_a_notification_that_fails_is_not_repeated_and_fails_no_ban(bench: Bench):
    async def life() -> Outcome | bool | None:
        action = notification(bench, "echo told <ip> >> FOLDER/log; exit 1")
        await bench.do(action, Op.START)
        assert await bench.do(action, Op.BAN, ONE, TWO) is True
        while bench.log_length < 3:
            await asyncio.sleep(0.01)  # another process has no event to give
        outcome = await bench.do(action, Op.CHECK, ONE, TWO)
        await bench.do(action, Op.STOP)
        return outcome

    outcome = asyncio.run(life())
    assert bench.log == ["start", "told 192.0.2.1", "told 192.0.2.2"]
    assert isinstance(outcome, Outcome)
    assert "failed, last: test: actionban of 192.0.2." in outcome.note


def test_no_ban_waits_for_a_notification(bench: Bench):
    async def life() -> None:
        action = notification(bench, "cat FOLDER/fifo")
        await bench.do(action, Op.START)
        assert await bench.do(action, Op.BAN, *(ban(f"10.0.0.{last}") for last in range(100))) is True
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    os.mkfifo(bench.folder / "fifo")
    asyncio.run(asyncio.wait_for(life(), 10))


def test_a_changed_notification_reports_nothing_twice(bench: Bench):
    async def reload() -> None:
        old, new = notification(bench), notification(bench, "echo new <ip> >> FOLDER/log")
        await bench.do(old, Op.START)
        await bench.do(old, Op.BAN, ONE)
        await bench.do(new, Op.START, ONE)
        await bench.do(old, Op.STOP, ONE)
        await bench.do(new, Op.BAN, TWO)
        await bench.do(new, Op.STOP)

    asyncio.run(reload())
    log = bench.log
    assert (log[0], log[1].split()[:2], log[2]) == ("start", [log[1].split()[0], "192.0.2.1"], "new 192.0.2.2")
    assert len(log) == 3


def test_after_a_restart_what_another_jail_shares_is_not_lifted_before_that_jail_has_started(bench: Bench) -> None:
    async def story() -> None:
        shared = bench.logger()
        first, second = Jail("jail", actions=(shared,)), Jail("other", actions=(shared,))
        mine, theirs = ban("192.0.2.1"), replace(ban("192.0.2.1"), jail="other")
        bench.restart(first, second, bans=[mine, theirs])
        await bench.do(shared, Op.START, mine)
        await bench.plugin.execute_action(second, shared, Op.START, [theirs])
        assert bench.log
        bench.restart(first, second, bans=[theirs])  # the first jail's ban ended meanwhile
        await bench.do(shared, Op.START)
        assert "unban 192.0.2.1" not in bench.log
        await bench.plugin.execute_action(second, shared, Op.START, [theirs])
        bench.restart(first, second)
        await bench.plugin.execute_action(second, shared, Op.START, [])
        assert "unban 192.0.2.1" in bench.log

    asyncio.run(story())
