"""The typed façade over pluggy: finds plugins, refuses bad ones, calls the rest in order, isolates their faults.

Nothing else in the host touches pluggy. Implementations are called one by one, so that one which raises is counted
(`faults`) and passed over instead of ending the call.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pluggy

from guardhooks import hookspecs
from guardhooks.control.requests import Request, Requests
from guardhooks.errors import ConfigError, GuardhooksError, PluginError
from guardhooks.findings import Findings
from guardhooks.model import (
    ActionSpec,
    Ban,
    Chunk,
    ConfigFinding,
    Failure,
    Finding,
    Ignore,
    Jail,
    Op,
    Outcome,
    Problem,
    Record,
    SourceSpec,
)
from guardhooks.plugins import loading
from guardhooks.plugins.action_calls import ActionCalls
from guardhooks.plugins.calls import Asked, Call, Implementation, Provided, traced, wrong_type
from guardhooks.plugins.checks import check_plugin
from guardhooks.plugins.failure_calls import FailureCalls
from guardhooks.plugins.faults import Faults, resource_exhaustion
from guardhooks.plugins.found import Found
from guardhooks.plugins.matching import Matching
from guardhooks.settings.option import OptionTable
from guardhooks.text import safe_text
from guardhooks.workers import LineMatcher, LogSource, MakeWindows

if TYPE_CHECKING:
    import click

    from guardhooks.views import GuardView

_HOOKS: Final = (
    "on_start", "failure_windows", "log_source", "line_matcher", "screen_failures", "on_failure", "decide_ban",
    "refuse_ban", "execute_action", "on_ban", "on_unban", "diagnose", "check_jail", "on_stop", "add_commands",
    "add_requests",
)  # fmt: skip

logger = logging.getLogger("guardhooks.plugins")


class Plugins:
    """All loaded plugins. One method for each hook, typed as the hook."""

    def __init__(self, clock: Callable[[], float] = time.time, *, trace: bool = False) -> None:
        self._manager = pluggy.PluginManager("guardhooks")
        self._manager.add_hookspecs(hookspecs)
        self._origins: dict[str, str] = {}
        self._chains: dict[tuple[str, str], tuple[Implementation, ...]] = {}
        self._wants_first_time_offenders: dict[str, bool] = {}
        self._failure_calls = FailureCalls(self._checked, self._fault, trace=trace)
        self._action_calls = ActionCalls(self._record_fault, trace=trace)
        self._requests: Requests | None = None
        self._matching = Matching()
        self._trace = trace
        self.faults = Faults(clock)
        self.problems: list[Problem] = []

    @classmethod
    def load(
        cls,
        *,
        disable: Sequence[str] = (),
        hooks_folder: Path | None = None,
        clock: Callable[[], float] = time.time,
        trace: bool = False,
    ) -> Plugins:
        """A fresh façade with all installed plugins and the site hooks of `hooks_folder`, except disabled ones.

        A plugin that cannot be used is refused and stands in `problems`; the others are loaded.

        :raises PluginError: when two plugins have one name.
        """
        plugins = cls(clock, trace=trace)
        found = loading.installed() + (loading.site_hooks(hooks_folder) if hooks_folder else [])
        wanted = [candidate for candidate in found if candidate.name not in disable]
        loading.refuse_duplicates(wanted)
        for name in sorted(set(disable) - {candidate.name for candidate in found}):
            unknown = Problem(
                f"no plugin is called {name!r}; see `guardhooks plugins`", section="Plugins", key="disable"
            )
            logger.warning("%s", safe_text(str(unknown)))
            plugins.problems.append(unknown)
        for candidate in wanted:
            try:
                plugins.register(loading.load(candidate), candidate.name, candidate.origin)
            except PluginError as error:
                logger.error("%s", safe_text(str(error)))
                plugins.problems.append(Problem(safe_text(str(error))))
        return plugins

    def register(self, plugin: object, name: str, origin: str = "registered") -> None:
        """Let one plugin in; it is asked before those that came earlier.

        :raises PluginError: when it breaks the contract, or its name is taken.
        """
        if name in self._origins:
            raise PluginError(f"two plugins are called {name!r}: {self._origins[name]} and {origin}")
        check_plugin(self._manager, plugin, name, origin)
        self._manager.register(plugin, name)
        self._origins[name] = origin
        self._forget_chains()

    # --- the hooks, in the order of the flow --------------------------------------------------------------------------

    def declared_options(self) -> list[OptionTable]:
        """The options of all plugins. What a plugin returns that is not an `OptionTable` is a fault of the plugin."""
        call = Call("declare_options", "", (), Sequence)
        tables: list[OptionTable] = []
        for implementation in self._chain("declare_options", None):
            declared: Sequence[object] = self._call(implementation, call) or ()
            tables += (table for table in declared if isinstance(table, OptionTable))
            for wrong in (table for table in declared if not isinstance(table, OptionTable)):
                self._fault(implementation.plugin, call, wrong_type(wrong, OptionTable))
        return tables

    def on_start(self, guard: GuardView) -> None:
        self._call_all("on_start", None, (guard,))

    def failure_windows(self, budget: int) -> MakeWindows | None:
        """What makes the failure windows of jails; None where no plugin offers it: the ledger has its own."""
        call = Call("failure_windows", "", (budget,), Callable)  # type: ignore[arg-type]  # isinstance takes it
        for implementation in self._chain("failure_windows", None):
            make: MakeWindows | None = self._call(implementation, call)
            if make is not None:
                return make
        return None

    def log_source(self, jail: Jail, spec: SourceSpec) -> Provided[LogSource]:
        """:raises ConfigError: when the spec cannot be right, or no plugin reads it."""
        call = Call("log_source", jail.name, (jail, spec), LogSource)
        for implementation in self._chain("log_source", jail):
            source: LogSource | None = self._call(implementation, call)
            if source is not None:
                return Provided(source, implementation.plugin, implementation.function)
        raise ConfigError(f"[{jail.name}] no plugin reads {spec.kind} {safe_text(spec.text)!r}")

    def line_matcher(self, source: LogSource, jails: Sequence[Jail]) -> list[Provided[LineMatcher]]:
        """Matchers that together serve as many of `jails` as there are plugins for.

        :raises PluginError: when resources are exhausted, for now.
        """
        matchers: list[Provided[LineMatcher]] = []
        left = list(jails)
        for implementation in self._chain("line_matcher", None):
            asked = [jail for jail in left if self._serves(implementation.plugin, jail)]
            if not asked:
                continue
            call = Call("line_matcher", "", (source, asked), LineMatcher)
            matcher: LineMatcher | None = self._call(implementation, call)
            if matcher is not None:
                self._matching.note(implementation.plugin, matcher)
                if not matcher.jails:
                    continue
                matchers.append(Provided(matcher, implementation.plugin, implementation.function))
                left = [jail for jail in left if jail.name not in matcher.jails]
        return matchers

    def feed(self, matcher: Provided[LineMatcher], chunk: Chunk) -> Found:
        """What a matcher finds in these lines; a fault in the middle costs the rest of them. For a worker thread.

        :raises PluginError: when the matcher's plugin was switched off by it, or resources are exhausted for now, and
            none of these lines counts; ask `line_matcher` again.
        """
        failures: list[Failure] = []
        try:
            fed = matcher.worker.feed(chunk)
            if isinstance(fed, Findings):
                return Found(fed, partial(self._matcher_fault, matcher))
            failures.extend(fed)
        except Exception as error:  # the plugin boundary
            if cause := resource_exhaustion(error):
                raise PluginError(f"plugin {matcher.plugin}: {cause}") from error
            self._matcher_fault(matcher, error)
            if any((matcher.plugin, jail) in self.faults.off for jail in matcher.worker.jails):
                raise PluginError(f"the line matcher of plugin {matcher.plugin} is switched off") from error
        return Found(failures)

    def _matcher_fault(self, matcher: Provided[LineMatcher], error: Exception) -> None:
        for jail in matcher.worker.jails:
            self._fault(matcher.plugin, Call("line_matcher", jail, ()), error)

    def screen_failures(self, jail: Jail, ids: Sequence[str], addresses: Sequence[str]) -> Sequence[int]:
        """The places of those failures for which `on_failure` must be called; see the hook."""
        return self._failure_calls.screen_failures(
            self._chain("screen_failures", jail), self._chain("on_failure", jail), jail, ids, addresses
        )

    def on_failure(self, jail: Jail, failure: Failure) -> Ignore | Awaitable[Ignore | None] | None:
        """What the first plugin that ignores the failure says; awaitable only where a plugin's answer is."""
        return self._failure_calls.on_failure(self._chain("on_failure", jail), jail, failure)

    def decide_ban(self, jail: Jail, failure: Failure, record: Record) -> list[Ban]:
        return self._failure_calls.decide_ban(self._chain("decide_ban", jail), jail, failure, record)

    def wants_first_time_offenders(self, jail: Jail) -> bool:
        """Whether a `decide_ban` wants to see first-time offenders, too; see `skip_first_time_offenders`."""
        asks = self._wants_first_time_offenders.get(jail.name)
        if asks is None:
            unmarked = any(not asked.skips_first_time_offenders for asked in self._chain("decide_ban", jail))
            asks = self._wants_first_time_offenders[jail.name] = unmarked or self._trace
        return asks

    def refuse_ban(self, jail: Jail, id: str) -> str:
        """Why the first plugin that refuses says that an id must not be banned in this jail; empty if none does."""
        call = Call("refuse_ban", jail.name, (jail, id), Ignore)
        for implementation in self._chain("refuse_ban", jail):
            answer: Ignore | None = self._call(implementation, call)
            if answer is not None:
                return answer.reason
        return ""

    async def execute_action(
        self, jail: Jail, action: ActionSpec, op: Op, bans: Sequence[Ban], executor: Executor | None = None
    ) -> Outcome | None:
        """Have one action done by the first plugin that handles it; None if none does.

        Plain functions run in `executor`.
        :raises ActionError: when it could not be done.
        """
        return await self._action_calls.execute_action(
            self._chain("execute_action", jail), jail, action, op, bans, executor
        )

    async def diagnose(  # noqa: PLR0917 -- the hook's
        self,
        guard: GuardView,
        jail: Jail,
        action: ActionSpec,
        bans: Sequence[Ban],
        address: str,
        executor: Executor | None = None,
    ) -> list[Finding] | None:
        """What the first plugin that handles the action finds; None if none does. A fault is a finding."""
        call = Call("diagnose", jail.name, (guard, jail, action, tuple(bans), address), list)
        return await self._action_calls.diagnose(self._chain("diagnose", jail), call, executor)

    def check_jail(self, jail: Jail, jails: Mapping[str, Jail]) -> list[ConfigFinding]:
        """What plugins find wrong with a jail. What one returns that is no `ConfigFinding` is a fault of the plugin."""
        call = Call("check_jail", jail.name, (jail, jails), Sequence)
        findings: list[ConfigFinding] = []
        for implementation in self._chain("check_jail", jail):
            answer: Sequence[object] = self._call(implementation, call) or ()
            findings += (each for each in answer if isinstance(each, ConfigFinding))
            for wrong in (each for each in answer if not isinstance(each, ConfigFinding)):
                self._fault(implementation.plugin, call, wrong_type(wrong, ConfigFinding))
        return findings

    def on_ban(self, jail: Jail, ban: Ban) -> None:
        self._call_all("on_ban", jail, (jail, ban))

    def on_unban(self, jail: Jail, ban: Ban) -> None:
        self._call_all("on_unban", jail, (jail, ban))

    def on_stop(self, guard: GuardView, *, still_loaded: Plugins | None = None) -> None:
        """Every plugin stops; at a reload only those that are not `still_loaded`."""
        remaining = still_loaded.asked("on_stop") if still_loaded is not None else ()
        call = Call("on_stop", "", (guard,))
        for implementation in self._chain("on_stop", None):
            if implementation not in remaining:
                self._call(implementation, call)

    def add_commands(self, cli: click.Group) -> None:
        self._call_all("add_commands", None, (cli,))

    def requests(self, reserved: Collection[str]) -> Requests:
        """What plugins add to the control socket, collected once; nobody can take a `reserved` name."""
        if self._requests is None:
            self._requests = Requests(reserved=reserved)
            for implementation in self._chain("add_requests", None):
                added = Requests(reserved=[*reserved, *(request.name for request in self._requests)])
                self._call(implementation, Call("add_requests", "", (added,)))
                for request in added:
                    self._requests.add(replace(request, run=self._isolated(implementation.plugin, request)))
        return self._requests

    def _isolated(self, plugin: str, request: Request) -> Callable[..., Awaitable[object]]:
        async def run(**arguments: object) -> object:
            try:
                return await request.run(**arguments)
            except GuardhooksError:
                raise
            except Exception as error:  # the plugin boundary
                self._fault(plugin, Call("add_requests", "", ()), error)
                raise PluginError(f"plugin {plugin} failed in {request.name}; see the daemon's log") from error

        return run

    # --- who is asked -------------------------------------------------------------------------------------------------

    def report(self, jails: Iterable[Jail]) -> list[dict[str, object]]:
        """Rows of `guardhooks plugins`: who is asked, per jail and hook, in which order, and from where it comes."""
        return [
            {
                "jail": jail.name,
                "hook": hook,
                "plugins": [
                    {"name": asked.plugin, "from": self._origins[asked.plugin], "wrapper": asked.wrapper}
                    for asked in self._chain(hook, jail)
                ],
                **(self._matching.report(jail.name) if hook == "line_matcher" else {}),
            }
            for jail in jails
            for hook in _HOOKS
            if not hook.startswith("add_")
        ]

    def names(self) -> dict[str, str]:
        """All loaded plugins and where each comes from."""
        return dict(self._origins)

    def asked(self, hook: str, jail: Jail | None = None) -> Sequence[Implementation]:
        """Who is asked by this hook, in order, without those that are off for the jail."""
        return self._chain(hook, jail)

    def asked_for_matchers(self, jails: Sequence[Jail]) -> Asked:
        """Who is asked for matchers of a source that these jails read, if nobody before serves them all."""
        return [
            (implementation, [jail.name for jail in jails if self._serves(implementation.plugin, jail)])
            for implementation in self._chain("line_matcher", None)
        ]

    def _chain(self, hook: str, jail: Jail | None) -> tuple[Implementation, ...]:
        """Implementations in the order in which they are asked, without those that are off for this jail."""
        key = (hook, jail.name if jail else "")
        chain = self._chains.get(key)
        if chain is None:
            caller = getattr(self._manager.hook, hook)
            offered = caller.spec.argnames
            every = [Implementation.of(each, offered) for each in reversed(caller.get_hookimpls())]
            chain = self._chains[key] = tuple(e for e in every if jail is None or self._serves(e.plugin, jail))
        return chain

    def _forget_chains(self) -> None:
        self._chains.clear()
        self._wants_first_time_offenders.clear()

    def _serves(self, plugin: str, jail: Jail) -> bool:
        if (plugin, jail.name) in self.faults.off:
            return False
        return [word[0] for word in jail.plugins if word[1:] == plugin][-1:] != ["-"]

    def unknown_switches(self, jail: Jail) -> list[Problem]:
        """What is wrong with a jail's `plugins =` switches: names that no plugin has."""
        return [
            Problem(f"no plugin is called {word[1:]!r}; see `guardhooks plugins`", section=jail.name, key="plugins")
            for word in jail.plugins
            if word[1:] not in self._origins
        ]

    # --- one call -----------------------------------------------------------------------------------------------------

    def _call_all(self, hook: str, jail: Jail | None, values: tuple[object, ...]) -> None:
        if not (chain := self._chain(hook, jail)):
            return
        call = Call(hook, jail.name if jail else "", values)
        for implementation in chain:
            self._call(implementation, call)

    def _call(self, implementation: Implementation, call: Call) -> Any:  # noqa: ANN401 -- `call.expected`, or None
        try:
            answer = implementation.call(*call.values)
        except ConfigError:
            raise
        except Exception as error:  # the plugin boundary
            if call.hook == "line_matcher" and (cause := resource_exhaustion(error)):
                raise PluginError(f"plugin {implementation.plugin}: {cause}") from error
            self._fault(implementation.plugin, call, error)
            return None
        return self._checked(implementation, call, answer)

    def _checked(self, implementation: Implementation, call: Call, answer: object) -> object:
        if self._trace:
            traced(implementation, call, answer)
        if answer is None or isinstance(answer, call.expected):
            return answer
        self._fault(implementation.plugin, call, wrong_type(answer, call.expected))
        return None

    def _record_fault(self, plugin: str, call: Call, error: BaseException) -> None:
        """Count a fault that must not switch the plugin off: an action that is left out protects nobody."""
        self._fault(plugin, call, error, may_switch_off=False)

    def _fault(self, plugin: str, call: Call, error: BaseException, *, may_switch_off: bool = True) -> None:
        may_switch_off = may_switch_off and bool(call.jail)
        if self.faults.record(plugin, call.hook, call.jail, error, may_switch_off=may_switch_off):
            self._forget_chains()
