"""The façade: which plugins are let in, who is asked in which order, and what one that fails costs the others."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from guardhooks import (
    ActionError,
    ActionSpec,
    Ban,
    Failure,
    Ignore,
    Jail,
    Op,
    Option,
    OptionTable,
    Outcome,
    PluginError,
    Record,
    hookimpl,
    option_types,
)
from guardhooks.plugins import Plugins
from tests.kit.bans import ban

JAIL = Jail("sshd")
FAILURE = Failure("sshd", "192.0.2.1", 1000.0, address="192.0.2.1")
RECORD = Record("192.0.2.1", (1000.0,))


class Core:
    """Stands where the plugins in the box stand: asked last."""

    @hookimpl(trylast=True)
    def on_failure(self) -> Ignore | None:
        return None

    @hookimpl(trylast=True)
    def decide_ban(self) -> list[Ban] | None:
        return [ban()]

    @hookimpl(trylast=True)
    def execute_action(self, action: ActionSpec) -> bool | None:
        return True if action.name == "core" else None


@pytest.fixture
def plugins() -> Plugins:
    loaded = Plugins()
    loaded.register(Core(), "core")
    return loaded


class Raising:
    @hookimpl
    def on_failure(self) -> Ignore | None:
        raise RuntimeError("boom")

    @hookimpl
    def decide_ban(self) -> list[Ban] | None:
        raise RuntimeError("boom")

    @hookimpl
    def execute_action(self) -> bool | None:
        raise RuntimeError("boom")


def execute(plugins: Plugins, name: str, jail: Jail = JAIL) -> Outcome | None:
    return asyncio.run(plugins.execute_action(jail, ActionSpec(name, name), Op.BAN, [ban()]))


def test_a_plugin_that_raises_silences_nobody(plugins: Plugins) -> None:
    class After:
        @hookimpl(trylast=True)
        def on_failure(self) -> Ignore | None:
            return Ignore("after all")

    plugins.register(After(), "after")
    plugins.register(Raising(), "raising")
    assert plugins.on_failure(JAIL, FAILURE) == Ignore("after all")
    assert plugins.decide_ban(JAIL, FAILURE, RECORD) == [ban()]
    assert execute(plugins, "core") == Outcome()
    assert plugins.faults.total["raising", "sshd"] == 3


def test_a_plugin_that_keeps_failing_is_switched_off_for_that_jail_only(plugins: Plugins) -> None:
    plugins.register(Raising(), "raising")
    for _ in range(5):
        plugins.decide_ban(JAIL, FAILURE, RECORD)
    assert list(plugins.faults.switched_off("sshd")) == ["raising"]
    assert plugins.faults.switched_off("dovecot") == {}
    assert "raising" not in str([row for row in plugins.report([JAIL]) if row["hook"] == "decide_ban"])
    assert "raising" in str([row for row in plugins.report([Jail("dovecot")]) if row["hook"] == "decide_ban"])


def test_rare_faults_do_not_add_up_to_a_switch_off() -> None:
    now = [0.0]
    plugins = Plugins(lambda: now[0])
    plugins.register(Raising(), "raising")
    for _ in range(20):
        plugins.decide_ban(JAIL, FAILURE, RECORD)
        now[0] += 30.0
    assert plugins.faults.switched_off("sshd") == {}


def test_later_plugins_are_asked_first_and_core_last(plugins: Plugins) -> None:
    class Third:
        @hookimpl
        def decide_ban(self, record: Record) -> list[Ban] | None:
            return [] if record.id == "192.0.2.1" else None

    plugins.register(Third(), "third")
    assert plugins.decide_ban(JAIL, FAILURE, RECORD) == []
    assert plugins.decide_ban(JAIL, FAILURE, Record("192.0.2.9")) == [ban()]


def test_a_wrapper_refines_the_decision(plugins: Plugins) -> None:
    class Longer:
        @hookimpl(wrapper=True)
        def decide_ban(self) -> Generator[None, list[Ban] | None, list[Ban] | None]:
            result = yield
            return [ban(length=each.length * 2) for each in result or []]

    plugins.register(Longer(), "longer")
    assert plugins.decide_ban(JAIL, FAILURE, RECORD) == [ban(length=1200.0)]


@pytest.mark.parametrize("yields", [0, 2])
def test_a_broken_wrapper_leaves_the_decision_as_it_was(plugins: Plugins, yields: int) -> None:
    class Broken:
        @hookimpl(wrapper=True)
        def decide_ban(self) -> Generator[None, list[Ban] | None, list[Ban] | None]:
            for _ in range(yields):
                yield
            raise RuntimeError("boom")

    plugins.register(Broken(), "broken")
    assert plugins.decide_ban(JAIL, FAILURE, RECORD) == [ban()]
    assert plugins.faults.total["broken", "sshd"] == 1


def test_an_async_on_failure_is_awaited(plugins: Plugins) -> None:
    class Slow:
        @hookimpl
        async def on_failure(self, failure: Failure) -> Ignore | None:
            await asyncio.sleep(0)
            return Ignore(failure.id)

    async def ask() -> Ignore | None:
        answer = plugins.on_failure(JAIL, FAILURE)
        assert answer is not None
        assert not isinstance(answer, Ignore)
        return await answer

    plugins.register(Slow(), "slow")
    assert asyncio.run(ask()) == Ignore("192.0.2.1")


def test_an_action_that_could_not_do_it_is_no_fault_of_the_plugin(plugins: Plugins) -> None:
    class Firewall:
        @hookimpl
        async def execute_action(self, action: ActionSpec) -> bool | None:
            if action.name == "wall":
                raise ActionError("the set is full")
            return None

    plugins.register(Firewall(), "wall")
    with pytest.raises(ActionError, match="wall: the set is full"):
        execute(plugins, "wall")
    assert plugins.faults.total == {}
    assert execute(plugins, "core") == Outcome()
    assert execute(plugins, "nobody") is None


def test_slow_and_quick_plugins_are_asked_in_order_until_one_serves_the_action(plugins: Plugins) -> None:
    asked: list[str] = []

    def plain(name: str) -> object:
        class Plain:
            @hookimpl
            def execute_action(self, action: ActionSpec) -> bool | None:
                asked.append(name)
                return action.name == name or None

        return Plain()

    def slow(name: str) -> object:
        class Slow:
            @hookimpl
            async def execute_action(self, action: ActionSpec) -> bool | None:
                asked.append(name)
                return action.name == name or None

        return Slow()

    names = ["g", "f", "e", "d", "c", "b", "a"]  # the last to come is asked first
    for name in names:
        plugins.register(slow(name) if name in {"c", "f"} else plain(name), name)
    plugins.register(Raising(), "raising")
    for wanted in reversed(names):
        asked.clear()
        assert execute(plugins, wanted) == Outcome()
        assert asked == sorted(asked)
        assert asked[-1] == wanted
    assert plugins.faults.total["raising", "sshd"] == len(names)
    assert execute(plugins, "core") == Outcome()


def test_an_action_of_nobody_but_a_raising_plugin_has_failed(plugins: Plugins) -> None:
    plugins.register(Raising(), "raising")
    with pytest.raises(ActionError, match="raising"):
        execute(plugins, "nobody")


def test_a_wrong_answer_is_a_fault_and_the_next_is_asked(plugins: Plugins) -> None:
    class Liar:
        @hookimpl
        def decide_ban(self) -> str:
            return "yes"

    plugins.register(Liar(), "liar")
    assert plugins.decide_ban(JAIL, FAILURE, RECORD) == [ban()]
    assert plugins.faults.total["liar", "sshd"] == 1


def test_switches_of_a_jail(plugins: Plugins) -> None:
    jail = Jail("quiet", plugins=("-core", "+core", "-core", "-typo"))
    assert plugins.decide_ban(jail, FAILURE, RECORD) == []
    assert plugins.decide_ban(JAIL, FAILURE, RECORD) == [ban()]
    assert [problem.key for problem in plugins.unknown_switches(jail)] == ["plugins"]


class Typo:
    @hookimpl
    def on_failur(self) -> None: ...


class WrongArgument:
    @hookimpl
    def on_failure(self, jial: Jail) -> None: ...


class StarArguments:
    @hookimpl
    def on_failure(self, *args: object) -> None: ...


class GeneratorFunction:
    @hookimpl
    def log_source(self) -> Generator[int, None, None]:
        yield 1


class AsyncDecision:
    @hookimpl
    async def decide_ban(self) -> None: ...


class WrappedSource:
    @hookimpl(wrapper=True)
    def log_source(self) -> Generator[None, object, object]:
        return (yield)


class Nothing:
    pass


@pytest.mark.parametrize(
    ("plugin", "said"),
    [
        (Typo, "did you mean on_failure"),
        (WrongArgument, "did you mean 'jail'"),
        (StarArguments, "'args'"),
        (GeneratorFunction, "generator function"),
        (AsyncDecision, "async"),
        (WrappedSource, "wrapper=True is only for decide_ban"),
        (Nothing, "implements no hook"),
    ],
)
def test_what_breaks_the_contract_is_refused_by_name(plugins: Plugins, plugin: type, said: str) -> None:
    with pytest.raises(PluginError, match=r"plugin bad \(here\) is refused") as refusal:
        plugins.register(plugin(), "bad", "here")
    assert said in str(refusal.value)
    assert "bad" not in plugins.names()


def test_two_plugins_of_one_name_are_an_error_that_names_both(plugins: Plugins) -> None:
    with pytest.raises(PluginError, match="registered and there"):
        plugins.register(Core(), "core", "there")


SITE_HOOK = """
import guardhooks
@guardhooks.hookimpl
def on_failure(failure):
    return guardhooks.Ignore("by site hook")
"""


@pytest.fixture
def hooks(tmp_path: Path) -> Path:
    folder = tmp_path / "hooks.d"
    folder.mkdir(mode=0o755)
    (folder / "site.py").write_text(SITE_HOOK)
    (folder / "site.py").chmod(0o644)
    return folder


def test_site_hooks_are_plugins_without_packaging(hooks: Path) -> None:
    plugins = Plugins.load(hooks_folder=hooks)
    assert plugins.names()["site"] == str(hooks / "site.py")
    assert plugins.on_failure(JAIL, FAILURE) == Ignore("by site hook")
    assert not list(hooks.glob("__pycache__"))


def test_a_site_hook_that_others_may_write_is_refused_by_name(hooks: Path) -> None:
    (hooks / "site.py").chmod(0o664)
    plugins = Plugins.load(hooks_folder=hooks)
    assert "site" not in plugins.names()
    assert any(f"{hooks / 'site.py'} is refused" in str(problem) for problem in plugins.problems)


def test_a_hooks_folder_that_others_may_write_is_refused(hooks: Path) -> None:
    hooks.chmod(0o777)
    assert "site" not in Plugins.load(hooks_folder=hooks).names()


def test_a_site_hook_of_another_user_is_refused(hooks: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to give a file away")
    os.chown(hooks / "site.py", 65534, 65534)
    plugins = Plugins.load(hooks_folder=hooks)
    assert any("belongs to uid 65534" in str(problem) for problem in plugins.problems)


def test_a_site_hook_with_a_syntax_error_costs_only_itself(hooks: Path) -> None:
    (hooks / "broken.py").write_text("def on_failure(:\n")
    (hooks / "broken.py").chmod(0o644)
    plugins = Plugins.load(hooks_folder=hooks)
    assert "broken" not in plugins.names()
    assert "site" in plugins.names()
    assert any("broken" in str(problem) and "SyntaxError" in str(problem) for problem in plugins.problems)


def test_disabled_plugins_are_not_loaded_and_unknown_names_are_told(hooks: Path) -> None:
    plugins = Plugins.load(disable=("site", "nosuch"), hooks_folder=hooks)
    assert "site" not in plugins.names()
    assert any("nosuch" in str(problem) for problem in plugins.problems)


def test_the_plugins_in_the_box_come_by_entry_point() -> None:
    names = Plugins.load().names()
    assert {"tail", "filterd", "ignore", "threshold", "recidive", "nftables", "ipset", "observe"} <= set(names)
    assert all(origin.startswith("guardhooks ") for origin in names.values())


def test_importing_the_package_loads_no_pluggy() -> None:
    code = "import sys, guardhooks; guardhooks.__version__; print('pluggy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_options_of_all_plugins_are_collected_and_what_is_none_is_the_plugins_fault(plugins: Plugins) -> None:
    table = OptionTable("action", (Option("zone", option_types.TEXT, "dmz", "the zone"),), names=("edge",))

    class Good:
        @hookimpl
        def declare_options(self) -> list[OptionTable]:
            return [table]

    class Bad:
        @hookimpl
        def declare_options(self) -> list[object]:
            return ["zone"]

    class Worse:
        @hookimpl
        def declare_options(self) -> list[OptionTable]:
            raise RuntimeError("boom")

    for number, plugin in enumerate((Good(), Bad(), Worse())):
        plugins.register(plugin, f"p{number}")
    assert plugins.declared_options() == [table]
    assert {name for name, _ in plugins.faults.total} == {"p1", "p2"}


def site_hook(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)
    (folder / name).chmod(0o644)


@pytest.mark.parametrize("text", ["raise SystemExit(0)", "import sys; sys.exit()", "raise BaseException('x')", "1/0"])
def test_a_plugin_that_wants_to_end_the_process_at_import_is_refused_with_its_line(hooks: Path, text: str) -> None:
    site_hook(hooks, "ending.py", f"import guardhooks\n{text}\n")
    plugins = Plugins.load(hooks_folder=hooks)
    assert "site" in plugins.names()
    refused = next(each for each in plugins.reports() if each.name == "ending")
    assert refused.state == "refused"
    assert refused.place == f"{hooks / 'ending.py'}:2"


def test_a_plugin_of_a_taken_name_is_refused_and_the_others_are_loaded(hooks: Path) -> None:
    site_hook(hooks, "threshold.py", SITE_HOOK)
    plugins = Plugins.load(hooks_folder=hooks)
    assert plugins.names()["threshold"].startswith("guardhooks ")
    assert "site" in plugins.names()
    refused = next(each for each in plugins.reports() if each.name == "threshold")
    assert (refused.state, refused.origin) == ("refused", str(hooks / "threshold.py"))
    assert "two plugins are called 'threshold'" in refused.reason


def test_a_disabled_plugin_is_reported_with_the_place_that_says_so(hooks: Path) -> None:
    plugins = Plugins.load(disable=["site"], place="guardhooks.conf:30", hooks_folder=hooks)
    report = next(each for each in plugins.reports() if each.name == "site")
    assert (report.state, report.place) == ("disabled", "guardhooks.conf:30")


def test_a_site_hook_that_did_not_change_is_the_same_module_after_a_reload(hooks: Path) -> None:
    first, again = Plugins.load(hooks_folder=hooks), Plugins.load(hooks_folder=hooks)
    assert first.asked("on_failure", JAIL) == again.asked("on_failure", JAIL)
    site_hook(hooks, "site.py", SITE_HOOK.replace("by site hook", "by an edited one"))
    edited = Plugins.load(hooks_folder=hooks)
    assert edited.asked("on_failure", JAIL) != first.asked("on_failure", JAIL)
    assert edited.on_failure(JAIL, FAILURE) == Ignore("by an edited one")
    assert first.on_failure(JAIL, FAILURE) == Ignore("by site hook")


@pytest.mark.parametrize("broken", ["def on_failure(:", "raise SystemExit(0)", "no_hook = 1"])
def test_the_last_good_version_of_a_site_hook_stays_in_use(hooks: Path, broken: str) -> None:
    Plugins.load(hooks_folder=hooks)
    site_hook(hooks, "site.py", broken)
    plugins = Plugins.load(hooks_folder=hooks)
    assert plugins.on_failure(JAIL, FAILURE) == Ignore("by site hook")
    assert plugins.kept == ["site"]
    assert any("last good version stays in use" in str(problem) for problem in plugins.problems)
    site_hook(hooks, "site.py", SITE_HOOK)
    assert Plugins.load(hooks_folder=hooks).kept == []


def test_a_required_plugin_that_is_missing_is_an_error_with_the_reason(hooks: Path) -> None:
    assert "site" in Plugins.load(require=["site", "ignore"], hooks_folder=hooks).names()
    site_hook(hooks, "geo.py", "import nowhere_to_be_found")
    with pytest.raises(PluginError, match=r"require: plugin 'geo' is needed.*nowhere_to_be_found"):
        Plugins.load(require=["geo"], hooks_folder=hooks)
    with pytest.raises(PluginError, match=r"require: plugin 'ignore' is needed.*disable"):
        Plugins.load(require=["ignore"], disable=["ignore"], hooks_folder=hooks)
