"""Scripts run in a session of their own, bounded in time and output."""

import asyncio
import os
import time
from pathlib import Path

import pytest

from guardhooks import ShellScript
from guardhooks_core.actions.shell.process import Runner


def run(text: str, limit: float = 10.0, **variables: str):
    return asyncio.run(Runner().run(ShellScript(text, variables), limit, "a"))


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def wait_for_end(pid: int) -> None:
    """A killed process that has lost its parent offers no event to wait for."""
    deadline = time.monotonic() + 10
    while is_alive(pid):
        assert time.monotonic() < deadline, f"{pid} still runs"
        time.sleep(0.01)


def open_files() -> set[Path]:
    return set(Path("/proc/self/fd").iterdir())


def test_success_and_output():
    result = run("echo hello; echo oops >&2")
    assert result.ok
    assert result.output == "hello\noops\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("echo why >&2; exit 3", "exit status 3: why"),
        ("no-such-command-here", "exit status 127 (command not found)"),
        ("kill -9 $$", "killed by signal 9"),
    ],
)
def test_failures_are_explained(text: str, says: str):
    result = run(text)
    assert not result.ok
    assert says in str(result)


def test_a_script_that_cannot_even_be_started_is_a_failure():
    result = run("true", x="y" * 200_000)
    assert not result.ok
    assert "could not be run" in str(result)


def test_the_environment_of_a_script():
    result = run('umask; pwd; read line || echo no input; ps -o sid= -p $$ | tr -d " "; echo $$')
    umask, folder, read, session, pid = result.output.split("\n")[:5]
    assert (umask, folder, read) == ("0077", "/", "no input")
    assert session == pid


def test_a_hung_script_is_killed_with_its_children(tmp_path: Path):
    deaf = f"(trap '' TERM; sleep 601) & echo $! >> {tmp_path}/pids"
    result = run(f"trap '' TERM; sleep 600 & echo $! > {tmp_path}/pids; {deaf}; wait", 0.5)
    assert "killed after 0.5 s" in str(result)
    for pid in map(int, (tmp_path / "pids").read_text().split()):
        wait_for_end(pid)


def test_a_child_left_in_the_background_does_not_hold_it_up(tmp_path: Path):
    result = run(f"sleep 600 & echo $! > {tmp_path}/pid; echo done")
    os.kill(int((tmp_path / "pid").read_text()), 9)
    assert result.ok
    assert result.output == "done\n"


def test_output_without_end_is_bounded():
    result = run("head -c 3000000 /dev/zero | tr '\\0' x; echo the end")
    assert result.ok
    assert len(result.output) <= 8192
    assert result.output.endswith("the end\n")


def test_cancelling_kills(tmp_path: Path):
    async def cancel() -> None:
        task = asyncio.ensure_future(Runner().run(ShellScript(f"echo $$ > {tmp_path}/pid; sleep 600"), 60, "a"))
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text().strip():
            await asyncio.sleep(0.01)  # another process has no event to give
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        pid = int((tmp_path / "pid").read_text())
        await asyncio.to_thread(wait_for_end, pid)

    asyncio.run(asyncio.wait_for(cancel(), 20))


def test_cancelling_at_any_moment_leaves_nothing_behind(tmp_path: Path):
    (tmp_path / "pids").touch()

    async def cancelled_after(turns: int) -> None:
        task = asyncio.ensure_future(
            Runner().run(ShellScript(f"sleep 600 & echo $! >> {tmp_path}/pids; wait"), 60, "a")
        )
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    async def at_every_turn() -> set[Path]:
        await cancelled_after(40)  # what asyncio itself opens once
        before = open_files()
        for turns in range(200):
            await cancelled_after(turns)
        return open_files() - before

    assert not asyncio.run(at_every_turn())
    for pid in map(int, (tmp_path / "pids").read_text().split()):
        wait_for_end(pid)


def test_slow_scripts_do_not_delay_others(tmp_path: Path):
    """More scripts hang than there are slots, and another one runs all the same."""

    async def crowd() -> None:
        runner = Runner()
        hung = [asyncio.ensure_future(runner.run(ShellScript(f"cat {tmp_path}/fifo"), 60, f"{n}")) for n in range(40)]
        assert (await runner.run(ShellScript("true"), 10, "other")).ok
        assert not any(task.done() for task in hung)
        for task in hung:
            task.cancel()
        await asyncio.gather(*hung, return_exceptions=True)

    os.mkfifo(tmp_path / "fifo")
    asyncio.run(asyncio.wait_for(crowd(), 30))


def test_scripts_of_one_lane_do_not_overlap(tmp_path: Path):
    async def count() -> None:
        runner = Runner()
        add = ShellScript(f"n=$(cat {tmp_path}/n); sleep 0.02; echo $((n + 1)) > {tmp_path}/n")
        await asyncio.gather(*(runner.run(add, 10, "counter") for _ in range(10)))

    (tmp_path / "n").write_text("0")
    asyncio.run(count())
    assert (tmp_path / "n").read_text() == "10\n"


def test_a_hung_script_does_not_block_its_lane(tmp_path: Path):
    async def crowd() -> None:
        runner = Runner()
        hung = asyncio.ensure_future(runner.run(ShellScript(f"cat {tmp_path}/fifo"), 60, "lane"))
        assert (await runner.run(ShellScript("true"), 10, "lane")).ok
        assert not hung.done()
        hung.cancel()
        await asyncio.gather(hung, return_exceptions=True)

    os.mkfifo(tmp_path / "fifo")
    asyncio.run(asyncio.wait_for(crowd(), 30))
