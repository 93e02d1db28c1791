"""Whatever a plugin returns or raises is that plugin's fault alone: it is left out, and the rest goes on."""

from __future__ import annotations

import asyncio
import math
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from dataclasses import replace
from typing import Any

import pytest

from guardhooks import (
    ActionError,
    ActionSpec,
    Ban,
    Chunk,
    ConfigFinding,
    Failure,
    Finding,
    Ignore,
    Jail,
    LineMatcher,
    LogSource,
    Op,
    Outcome,
    PluginError,
    Position,
    Record,
    SourceSpec,
    SourceStatus,
    StartAt,
    hookimpl,
)
from guardhooks.plugins import Plugins
from tests.kit.bans import ban
from tests.kit.found import failures_of

JAIL = Jail("sshd")
FAILURE = Failure("sshd", "192.0.2.1", 1000.0, address="192.0.2.1", matches=("line",))
RECORD = Record("192.0.2.1", (1000.0,))


class UnspeakableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")

    __repr__ = __str__


RAISED = [
    RuntimeError("boom"),
    SystemExit(0),
    KeyboardInterrupt(),
    asyncio.CancelledError(),
    GeneratorExit(),
    BaseException("bare"),
    StopIteration(),
    UnspeakableError(),
]
WRONG_BANS = [
    ban(id=None),  # type: ignore[arg-type]
    ban(id=b"192.0.2.1"),  # type: ignore[arg-type]
    ban(id=""),
    ban(id="\udc80"),
    ban(jail=7),  # type: ignore[arg-type]
    ban(start="now"),  # type: ignore[arg-type]
    ban(start=math.nan),
    ban(start=math.inf),
    ban(start=1e300),
    ban(length="1h"),  # type: ignore[arg-type]
    ban(length=math.nan),
    ban(count="x"),
    ban(count=2**63),
    ban(failures=None),
    ban(reason=b"x"),
    ban(matches=(b"x",)),
    ban(matches="text"),
    ban(fields={"x": object()}),
    ban(fields=[1]),
    ban(notes={1: "x"}),
    ban(restored="no"),
    "192.0.2.1",
    UnspeakableError(),
]


class Core:
    """Stands where the plugins in the box stand."""

    @hookimpl(trylast=True)
    def decide_ban(self) -> list[Ban] | None:
        return [ban()]

    @hookimpl(trylast=True)
    def execute_action(self) -> bool | None:
        return True


class Raising:
    """Raises one thing in every hook that is called on the way of a ban."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def _raise(self) -> None:
        raise self.error

    @hookimpl
    def on_failure(self) -> Ignore | None:
        self._raise()
        return None

    @hookimpl
    def decide_ban(self) -> list[Ban] | None:
        self._raise()
        return None

    @hookimpl
    def refuse_ban(self) -> Ignore | None:
        self._raise()
        return None

    @hookimpl
    def execute_action(self) -> bool | None:
        self._raise()
        return None

    @hookimpl
    def on_ban(self) -> None:
        self._raise()


def loaded(*plugins: object) -> Plugins:
    facade = Plugins()
    for plugin in plugins:
        facade.register(plugin, type(plugin).__name__.lower())
    return facade


def blamed(plugins: Plugins) -> set[str]:
    return {name for name, _ in plugins.faults.total}


def run(answer: Awaitable[Any]) -> Any:  # noqa: ANN401 -- whatever is awaited
    """Await it as the daemon does, which handles Ctrl-C itself."""

    async def wait() -> Any:  # noqa: ANN401
        return await answer

    return asyncio.run(wait())


@pytest.fixture
def daemon_signals() -> Iterator[None]:
    """A daemon handles Ctrl-C itself: no KeyboardInterrupt is real there."""
    before = signal.signal(signal.SIGINT, lambda *_: None)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("daemon_signals")
@pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)
def test_whatever_a_hook_raises_is_counted_and_the_others_are_asked(error: BaseException) -> None:
    plugins = loaded(Core(), Raising(error))
    assert plugins.on_failure(JAIL, FAILURE) is None
    assert plugins.decide_ban(JAIL, FAILURE, RECORD) == [ban()]
    assert plugins.refuse_ban(JAIL, "192.0.2.1") == ""
    assert run(plugins.execute_action(JAIL, ActionSpec("a", "a"), Op.BAN, [ban()])) == Outcome()
    plugins.on_ban(JAIL, ban())
    assert plugins.faults.total == {("raising", "sshd"): 5}


@pytest.mark.usefixtures("daemon_signals")
@pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)
def test_whatever_an_async_hook_raises_is_counted_and_does_not_end_the_loop(error: BaseException) -> None:
    class Slow:
        @hookimpl
        async def on_failure(self) -> Ignore | None:
            await asyncio.sleep(0)
            raise error

        @hookimpl
        async def execute_action(self) -> bool | None:
            await asyncio.sleep(0)
            raise error

    async def story() -> Outcome | None:
        answer = plugins.on_failure(JAIL, FAILURE)
        assert isinstance(answer, Awaitable)
        assert await answer is None
        return await plugins.execute_action(JAIL, ActionSpec("a", "a"), Op.BAN, [ban()])

    plugins = loaded(Core(), Slow())
    assert asyncio.run(story()) == Outcome()
    assert plugins.faults.total == {("slow", "sshd"): 2}


def test_a_hook_that_cancels_its_task_cancels_nobody_elses() -> None:
    class Cancelling:
        @hookimpl
        async def on_failure(self) -> Ignore | None:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(10)
            return None

    plugins = loaded(Cancelling())
    answer = plugins.on_failure(JAIL, FAILURE)
    assert isinstance(answer, Awaitable)
    assert run(answer) is None
    assert blamed(plugins) == {"cancelling"}


@pytest.mark.parametrize("wrong", WRONG_BANS, ids=lambda wrong: type(wrong).__name__)
def test_a_ban_with_a_wrong_field_is_left_out_and_who_decided_it_is_blamed(wrong: object) -> None:
    class Deciding:
        answer: object = None

        @hookimpl
        def decide_ban(self) -> object:
            return self.answer

    deciding = Deciding()
    plugins = loaded(Core(), deciding)
    deciding.answer = [wrong]
    assert plugins.decide_ban(JAIL, FAILURE, RECORD) == [ban()]
    deciding.answer = [ban("192.0.2.9"), wrong]
    assert plugins.decide_ban(JAIL, FAILURE, RECORD) == [ban("192.0.2.9")]
    assert plugins.faults.total == {("deciding", "sshd"): 2}


@pytest.mark.parametrize("refined", [["x"], "x", None, 7], ids=lambda each: type(each).__name__)
def test_a_wrapper_that_returns_no_bans_changes_nothing(refined: object) -> None:
    class Wrapping:
        @hookimpl(wrapper=True)
        def decide_ban(self) -> Generator[None, Any, Any]:
            result = yield
            result.append("rubbish")
            return refined

    plugins = loaded(Core(), Wrapping())
    assert plugins.decide_ban(JAIL, FAILURE, RECORD) == [ban()]
    assert blamed(plugins) == {"wrapping"}


def test_a_wrapper_without_a_yield_is_refused_with_the_reason() -> None:
    class Yieldless:
        @hookimpl(wrapper=True)
        def decide_ban(self) -> list[Ban]:
            return []

    with pytest.raises(PluginError, match="there is no yield"):
        loaded(Yieldless())


WRONG_OUTCOMES: list[object] = [
    Outcome(failed=[1]),  # type: ignore[arg-type]
    Outcome(failed={1: "x"}),  # type: ignore[dict-item]
    Outcome(added="many"),  # type: ignore[arg-type]
    Outcome(note=b"x"),  # type: ignore[arg-type]
    Outcome(found=7),  # type: ignore[arg-type]
    "yes",
    False,
]


@pytest.mark.parametrize("wrong", WRONG_OUTCOMES, ids=lambda each: type(each).__name__)
def test_an_action_that_says_nothing_sensible_has_failed(wrong: object) -> None:
    class Acting:
        @hookimpl
        def execute_action(self) -> object:
            return wrong

    plugins = loaded(Acting())
    with pytest.raises(ActionError, match="plugin acting failed: it returned"):
        run(plugins.execute_action(JAIL, ActionSpec("a", "a"), Op.BAN, [ban()]))
    assert blamed(plugins) == {"acting"}


def test_bans_found_by_an_action_are_checked_one_by_one() -> None:
    class Searching:
        @hookimpl
        def execute_action(self) -> Outcome:
            return Outcome(found=(ban(), ban(length="1h")))  # type: ignore[arg-type]

    plugins = loaded(Searching())
    outcome = run(plugins.execute_action(JAIL, ActionSpec("a", "a"), Op.START, []))
    assert outcome.found == (ban(),)
    assert len(plugins.faults.total) == 1


@pytest.mark.parametrize("reason", [None, b"x", 7])
def test_an_ignore_without_a_reason_ignores_nobody(reason: object) -> None:
    class Ignoring:
        @hookimpl
        def on_failure(self) -> Ignore:
            return Ignore(reason)  # type: ignore[arg-type]

        @hookimpl
        def refuse_ban(self) -> Ignore:
            return Ignore(reason)  # type: ignore[arg-type]

    plugins = loaded(Ignoring())
    assert plugins.on_failure(JAIL, FAILURE) is None
    assert plugins.refuse_ban(JAIL, "192.0.2.1") == ""
    assert plugins.faults.total == {("ignoring", "sshd"): 2}


def test_a_note_that_is_no_text_is_taken_out_and_its_writer_blamed() -> None:
    class Noting:
        @hookimpl
        def on_failure(self, failure: Failure) -> None:
            failure.notes["country"] = "XX"
            failure.notes["asn"] = 64496  # type: ignore[assignment]

    class After:
        @hookimpl(trylast=True)
        def on_failure(self) -> None: ...

    failure = replace(FAILURE, notes={})
    plugins = loaded(After(), Noting())
    assert plugins.on_failure(JAIL, failure) is None
    assert failure.notes == {"country": "XX"}
    assert blamed(plugins) == {"noting"}


def test_findings_that_are_none_are_left_out() -> None:
    class Looking:
        @hookimpl
        def diagnose(self) -> list[object]:
            return [Finding("good"), Finding(7), "bad"]  # type: ignore[arg-type]

        @hookimpl
        def check_jail(self) -> list[object]:
            return [ConfigFinding("odd"), ConfigFinding("odd", line="x"), None]  # type: ignore[arg-type]

    plugins = loaded(Looking())
    found = run(plugins.diagnose(None, JAIL, ActionSpec("a", "a"), [], ""))  # type: ignore[arg-type]
    assert found[0] == Finding("good")
    assert "plugin looking failed" in found[1].text
    assert plugins.check_jail(JAIL, {}) == [ConfigFinding("odd")]
    assert plugins.faults.total == {("looking", "sshd"): 2}


# --- sources and matchers ---------------------------------------------------------------------------------------------


class World:
    """A source and a matcher whose every answer a test can spoil."""

    key: Any = "world"
    jails: Any = ("sshd",)
    problems: Any = {}  # noqa: RUF012 -- an instance may have its own

    def __init__(self, **spoilt: object) -> None:
        self.given: dict[str, Any] = {"chunks": [], "found": [], "status": SourceStatus("world", "reading"), **spoilt}
        vars(self).update({name: value for name, value in spoilt.items() if name in {"key", "jails", "problems"}})

    @hookimpl
    def log_source(self) -> LogSource:
        return self

    @hookimpl
    def line_matcher(self) -> LineMatcher:
        return self

    async def chunks(self, start: StartAt) -> AsyncIterator[Chunk]:
        for chunk in self.given["chunks"]:
            if isinstance(chunk, BaseException):
                raise chunk
            yield chunk

    def status(self) -> SourceStatus:
        return self._answer("status")

    async def close(self) -> None: ...

    def feed(self, chunk: Chunk) -> Any:  # noqa: ANN401
        return self._answer("found")

    def time_of(self, line: bytes) -> Any:  # noqa: ANN401
        return self._answer("time")

    def trace(self, chunk: Chunk, *, every: bool = True) -> list[Any]:
        return []

    def _answer(self, name: str) -> Any:  # noqa: ANN401
        if isinstance(answer := self.given[name], BaseException):
            raise answer
        return answer


CHUNK = Chunk(b"a\nb\n", "log", 1000.0)
WRONG_CHUNKS: list[object] = [
    Chunk("text", "log", 1000.0),  # type: ignore[arg-type]
    Chunk(b"a\nb\n", "log", math.nan),
    Chunk(b"a\nb\n", None, 1000.0),  # type: ignore[arg-type]
    Chunk(b"a\nb\n", "log", 1000.0, times=(1.0,)),
    Chunk(b"a\nb\n", "log", 1000.0, times=("x", "y")),  # type: ignore[arg-type]
    Chunk(b"a\n", "log", 1000.0, Position("s", "o", 7)),  # type: ignore[arg-type]
    Chunk(b"a\n", "log", 1000.0, "here"),  # type: ignore[arg-type]
    None,
    b"a\nb\n",
]


@pytest.mark.parametrize("wrong", WRONG_CHUNKS, ids=lambda each: type(each).__name__)
def test_a_wrong_chunk_is_left_out_and_reading_goes_on(wrong: object) -> None:
    world = World(chunks=[wrong, CHUNK])
    plugins = loaded(world)

    async def story() -> list[Chunk]:
        source = plugins.log_source(JAIL, SourceSpec("x"))
        return [each async for each in plugins.workers.chunks(source, "sshd", StartAt({}, 0.0, lambda _: None))]

    assert asyncio.run(story()) == [CHUNK]
    assert plugins.faults.total == {("world", "sshd"): 1}


@pytest.mark.parametrize(
    "error", [SystemExit(0), asyncio.CancelledError(), RuntimeError("boom")], ids=lambda each: type(each).__name__
)
def test_a_source_that_raises_ends_with_an_error_that_can_be_handled(error: BaseException) -> None:
    plugins = loaded(World(chunks=[CHUNK, error]))
    seen: list[Chunk] = []

    async def story() -> None:
        source = plugins.log_source(JAIL, SourceSpec("x"))
        async for each in plugins.workers.chunks(source, "sshd", StartAt({}, 0.0, lambda _: None)):
            seen.append(each)  # noqa: PERF401 -- what came before the error counts

    with pytest.raises((PluginError, RuntimeError)):
        asyncio.run(story())
    assert seen == [CHUNK]
    assert blamed(plugins) == {"world"}


WRONG_FAILURES: list[object] = [
    replace(FAILURE, id=None),  # type: ignore[arg-type]
    replace(FAILURE, id=b"192.0.2.1"),  # type: ignore[arg-type]
    replace(FAILURE, id=""),
    replace(FAILURE, id="\udc80"),
    replace(FAILURE, time=math.nan),
    replace(FAILURE, time=1e300),
    replace(FAILURE, time="now"),  # type: ignore[arg-type]
    replace(FAILURE, address="nowhere"),
    replace(FAILURE, matches="text"),  # type: ignore[arg-type]
    replace(FAILURE, matches=(b"x",)),  # type: ignore[arg-type]
    replace(FAILURE, fields={"x": object()}),  # type: ignore[dict-item]
    replace(FAILURE, jail="another"),
    replace(FAILURE, notes=None),  # type: ignore[arg-type]
    "192.0.2.1",
    None,
]


@pytest.mark.parametrize("wrong", WRONG_FAILURES, ids=lambda each: type(each).__name__)
def test_a_wrong_failure_is_left_out_and_the_matcher_blamed(wrong: object) -> None:
    plugins = loaded(World(found=[FAILURE, wrong, FAILURE]))
    matcher = plugins.line_matcher(World(), [JAIL])[0]
    assert failures_of(plugins.feed(matcher, CHUNK)) == [FAILURE, FAILURE]
    assert plugins.faults.total == {("world", "sshd"): 1}


def test_helper_lines_do_not_count_and_names_that_must_be_looked_up_need_no_id() -> None:
    found = [replace(FAILURE, id="", nofail=True), replace(FAILURE, id="", address="", resolve="a.example")]
    plugins = loaded(World(found=found))
    assert failures_of(plugins.feed(plugins.line_matcher(World(), [JAIL])[0], CHUNK)) == found[1:]
    assert not plugins.faults.total


@pytest.mark.parametrize(
    "spoilt",
    [{"jails": 7}, {"jails": ("another",)}, {"problems": {"sshd": ["x"]}}],
    ids=lambda each: type(each).__name__,
)
def test_a_matcher_that_lies_about_itself_is_not_used(spoilt: dict[str, object]) -> None:
    plugins = loaded(World(**spoilt))
    assert plugins.line_matcher(World(), [JAIL]) == []
    assert blamed(plugins) == {"world"}


@pytest.mark.parametrize(
    "status",
    ["fine", None, SourceStatus("k", 7), SystemExit(0), UnspeakableError()],
    ids=lambda each: type(each).__name__,
)
def test_a_status_that_cannot_be_shown_is_the_sources_fault(status: object) -> None:
    plugins = loaded(World(status=status))
    with pytest.raises(PluginError, match="the status of plugin world cannot be read"):
        plugins.workers.status(plugins.log_source(JAIL, SourceSpec("x")), "sshd")
    assert blamed(plugins) == {"world"}


@pytest.mark.parametrize("time", ["now", math.nan, 1e300, SystemExit(0)], ids=lambda each: type(each).__name__)
def test_a_date_that_is_none_is_the_matchers_fault(time: object) -> None:
    plugins = loaded(World(time=time))
    assert plugins.workers.time_of(plugins.line_matcher(World(), [JAIL]), b"line") is None
    assert blamed(plugins) == {"world"}


# --- what is shown of it ---------------------------------------------------------------------------------------------


def failing(plugins: Plugins, times: int) -> None:
    for _ in range(times):
        plugins.decide_ban(JAIL, FAILURE, RECORD)


@pytest.fixture
def now() -> list[float]:
    return [1000.0]


@pytest.fixture
def outage(now: list[float]) -> tuple[Plugins, Callable[[bool], None]]:
    """A plugin whose service is down until it is told otherwise."""

    class Service:
        is_down = True

        @hookimpl
        def decide_ban(self) -> list[Ban] | None:
            if self.is_down:
                raise OSError("connection refused")
            return []

    service = Service()
    plugins = Plugins(lambda: now[0])
    plugins.register(Core(), "core")
    plugins.register(service, "service", "acme 1.0")
    return plugins, lambda is_down: setattr(service, "is_down", is_down)


def test_faults_below_the_switch_off_rate_are_reported_with_their_line(
    outage: tuple[Plugins, Callable[[bool], None]],
) -> None:
    plugins, _ = outage
    failing(plugins, 3)
    report = next(each for each in plugins.reports() if each.state == "faults")
    assert (report.name, report.origin, report.jail, report.faults, report.last) == (
        "service", "acme 1.0", "sshd", 3, 1000.0,
    )  # fmt: skip
    assert report.reason == "decide_ban: OSError: connection refused"
    assert report.place.startswith(f"{__file__}:")


def test_a_plugin_switched_off_for_an_outage_is_asked_again_after_it(
    outage: tuple[Plugins, Callable[[bool], None]], now: list[float]
) -> None:
    plugins, set_down = outage
    failing(plugins, 5)
    assert list(plugins.faults.switched_off("sshd")) == ["service"]
    set_down(False)
    assert not plugins.retry()
    now[0] += 61
    assert plugins.retry()
    assert plugins.faults.switched_off("sshd") == {}
    assert plugins.decide_ban(JAIL, FAILURE, RECORD) == []


def test_a_plugin_that_fails_again_at_once_waits_longer_each_time(
    outage: tuple[Plugins, Callable[[bool], None]], now: list[float]
) -> None:
    plugins, _ = outage
    failing(plugins, 5)
    for pause in (60, 120, 240):
        now[0] += pause - 1
        assert not plugins.retry()
        now[0] += 1
        assert plugins.retry()
        failing(plugins, 1)
        assert list(plugins.faults.switched_off("sshd")) == ["service"]


def test_a_storm_of_one_fault_fills_no_log(caplog: pytest.LogCaptureFixture, now: list[float]) -> None:
    plugins = Plugins(lambda: now[0])
    plugins.register(World(status=None), "world")
    source = plugins.log_source(JAIL, SourceSpec("x"))
    for _ in range(100):
        with pytest.raises(PluginError):
            plugins.workers.status(source, "sshd")
    assert sum("plugin world failed" in line for line in caplog.messages) == 5
    now[0] += 61
    with pytest.raises(PluginError):
        plugins.workers.status(source, "sshd")
    assert "(95 more of these before)" in caplog.messages[-1]
