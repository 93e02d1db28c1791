"""The typed façade over pluggy: finds plugins, refuses bad ones, calls the rest in order, isolates their faults.

Nothing else in the host touches pluggy. Implementations are called one by one, so that one which raises is counted
(`faults`) and passed over instead of ending the call.
"""

from __future__ import annotations

import asyncio
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
from guardhooks.control.requests import Ask, Request, Requests
from guardhooks.control.transport import WireProtocol
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
from guardhooks.plugins.blocking import Blocker
from guardhooks.plugins.boundary import as_exception, pass_interrupt, wait_for
from guardhooks.plugins.calls import Asked, Call, Implementation, Provided, calls_plugin, traced
from guardhooks.plugins.checks import check_plugin
from guardhooks.plugins.failure_calls import FailureCalls
from guardhooks.plugins.faults import Faults, resource_exhaustion
from guardhooks.plugins.found import Found
from guardhooks.plugins.matching import Matching
from guardhooks.plugins.values import check_columns, defect, sound, sound_failures
from guardhooks.plugins.worker_calls import WorkerCalls
from guardhooks.settings.option import OptionTable
from guardhooks.status import PluginReport
from guardhooks.text import did_you_mean, safe_text
from guardhooks.workers import LineMatcher, LogSource, MakeWindows

if TYPE_CHECKING:
    import click

    from guardhooks.views import GuardView

_HOOKS: Final = (
    "on_start", "failure_windows", "log_source", "line_matcher", "screen_failures", "on_failure", "decide_ban",
    "refuse_ban", "execute_action", "on_ban", "on_unban", "diagnose", "check_jail", "on_stop", "add_commands",
    "add_requests", "control_protocol",
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
        self.workers = WorkerCalls(self._record_fault)
        self._requests: Requests | None = None
        self._matching = Matching()
        self._trace = trace
        self.faults = Faults(clock)
        self.problems: list[Problem] = []
        self.unused: list[PluginReport] = []
        self.kept: list[str] = []
        """Site hooks whose last good version is used."""

    @classmethod
    def load(
        cls,
        *,
        disable: Sequence[str] = (),
        place: str = "",
        require: Sequence[str] = (),
        hooks_folder: Path | None = None,
        clock: Callable[[], float] = time.time,
        trace: bool = False,
        own: bool = True,
    ) -> Plugins:
        """A fresh façade with all installed plugins and the site hooks of `hooks_folder`, except disabled ones.

        A plugin that cannot be used, or whose name is taken, is refused and stands in `problems`; others are loaded.

        :param place: where `disable` is written, `file:line`. :param require: plugins that must be in use.
        :param own: load those in the box, too.
        :raises PluginError: when one of those is not.
        """
        plugins = cls(clock, trace=trace)
        found = loading.installed() + (loading.site_hooks(hooks_folder) if hooks_folder else [])
        for name in sorted(set(disable) - {candidate.name for candidate in found}):
            unknown = Problem(
                _no_plugin(name, {candidate.name for candidate in found}), section="Plugins", key="disable"
            )
            logger.warning("%s", safe_text(str(unknown)))
            plugins.problems.append(unknown)
        for candidate in (each for each in found if each.name in disable):
            why = "[Plugins] disable"
            plugins.unused.append(PluginReport(candidate.name, "disabled", candidate.origin, reason=why, place=place))
        wanted, taken = loading.without_duplicates(each for each in found if each.name not in disable)
        for candidate, why in taken:
            plugins._refuse(candidate, PluginError(why))
        for candidate in (each for each in wanted if own or not each.is_own):
            try:
                plugins._let_in(candidate)
            except PluginError as error:
                plugins._refuse(candidate, error)
        plugins._miss(require)
        return plugins

    def _let_in(self, candidate: loading.Candidate) -> None:
        """Load one candidate. A site hook that cannot be used any more goes on as it was.

        :raises PluginError: when it cannot be used, and never could.
        """
        try:
            plugin = loading.load(candidate)
            self.register(plugin, candidate.name, candidate.origin)
        except PluginError as error:
            former = loading.last_good(candidate)
            if former is None:
                raise
            self._refuse(candidate, PluginError(f"{error}; its last good version stays in use"))
            self.kept.append(candidate.name)
            self.register(former, candidate.name, candidate.origin)
        else:
            loading.remember(candidate, plugin)

    def _refuse(self, candidate: loading.Candidate, error: PluginError) -> None:
        why, place = safe_text(str(error)), safe_text(loading.place_of(error, candidate))
        logger.error("%s", why)
        self.problems.append(Problem(why))
        self.unused.append(PluginReport(candidate.name, "refused", candidate.origin, reason=why, place=place))

    def _miss(self, required: Sequence[str]) -> None:
        """:raises PluginError: when a plugin that must be there is not."""
        for name in required:
            if name not in self._origins:
                why = next((each.reason for each in self.unused if each.name == name), "no plugin is called so")
                raise PluginError(f"[Plugins] require: plugin {name!r} is needed, and is not in use: {safe_text(why)}")

    def register(self, plugin: object, name: str, origin: str = "registered") -> None:
        """Let one plugin in; it is asked before those that came earlier.

        :raises PluginError: when it breaks the contract, or its name is taken.
        """
        if name in self._origins:
            raise PluginError(f"two plugins are called {name!r}: {self._origins[name]} and {origin}")
        check_plugin(self._manager, plugin, name, origin)
        try:
            self._manager.register(plugin, name)
        except (ValueError, pluggy.PluginValidationError) as error:
            raise PluginError(f"plugin {name} ({origin}) is refused: {error}") from error
        self._origins[name] = origin
        self._forget_chains()

    # --- the hooks, in the order of the flow --------------------------------------------------------------------------

    def declared_options(self) -> list[OptionTable]:
        """The options of all plugins. What a plugin returns that is not an `OptionTable` is a fault of the plugin."""
        call = Call("declare_options", "", (), Sequence)
        tables: list[OptionTable] = []
        for implementation in self._chain("declare_options", None):
            tables += self._sound(implementation, call, OptionTable)
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
            if source is None:
                continue
            try:
                return self.workers.source(implementation, jail, source)
            except Exception as error:  # noqa: BLE001 -- the plugin boundary
                self._fault(implementation.plugin, call, error)
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
            if matcher is None:
                continue
            try:
                provided = self.workers.matcher(implementation, asked, matcher)
                self._matching.note(implementation.plugin, provided)
            except Exception as error:  # noqa: BLE001 -- the plugin boundary
                self._fault(implementation.plugin, call, error)
                continue
            if provided.jails:
                matchers.append(provided)
                left = [jail for jail in left if jail.name not in provided.jails]
        return matchers

    def feed(self, matcher: Provided[LineMatcher], chunk: Chunk) -> Found:
        """What a matcher finds in these lines; a fault in the middle costs the rest of them. For a worker thread.

        :raises PluginError: when the matcher's plugin was switched off by it, or resources are exhausted for now, and
            none of these lines counts; ask `line_matcher` again.
        """
        failures: list[Failure] = []
        fault: Exception | None = None
        try:
            fed = matcher.worker.feed(chunk)
            if isinstance(fed, Findings):
                check_columns(fed, matcher.jails)
                return Found(fed, partial(self._matcher_fault, matcher), matcher.jails)
            failures.extend(fed)
        except BaseException as error:  # the plugin boundary
            if cause := resource_exhaustion(error):
                raise PluginError(f"plugin {matcher.plugin}: {cause}") from error
            fault = as_exception(error)
        failures, wrong = sound_failures(failures, matcher.jails)
        if wrong and fault is None:
            fault = PluginError(f"it returned {wrong}")
        if fault is not None:
            self._matcher_fault(matcher, fault)
            if any((matcher.plugin, jail) in self.faults.off for jail in matcher.jails):
                raise PluginError(f"the line matcher of plugin {matcher.plugin} is switched off") from fault
        return Found(failures)

    def _matcher_fault(self, matcher: Provided[LineMatcher], error: Exception) -> None:
        for jail in matcher.jails:
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
            findings += self._sound(implementation, call, ConfigFinding)
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

    def control_protocol(self, name: str, ask: Ask) -> WireProtocol | None:
        """The protocol of a further control socket; None if no plugin speaks it."""
        call = Call("control_protocol", "", (name, ask), WireProtocol)
        for implementation in self._chain("control_protocol", None):
            protocol: WireProtocol | None = self._call(implementation, call)
            if protocol is not None:
                return protocol
        return None

    def requests(self, reserved: Collection[str], ask: Ask | None = None) -> Requests:
        """What plugins add to the control socket, collected once; nobody can take a `reserved` name.

        :param ask: has any request of the daemon run.
        """
        if self._requests is None:
            self._requests = Requests(reserved=reserved)
            for implementation in self._chain("add_requests", None):
                added = Requests(reserved=[*reserved, *(request.name for request in self._requests)], ask=ask)
                self._call(implementation, Call("add_requests", "", (added,)))
                for request in added:
                    self._requests.add(replace(request, run=self._isolated(implementation.plugin, request)))
        return self._requests

    def _isolated(self, plugin: str, request: Request) -> Callable[..., Awaitable[object]]:
        async def run(**arguments: object) -> object:
            try:
                return await wait_for(plugin, "add_requests", "", request.run(**arguments), None)
            except GuardhooksError:
                raise
            except BaseException as error:  # the plugin boundary
                if isinstance(error, asyncio.CancelledError):
                    raise
                self._fault(plugin, Call("add_requests", "", ()), as_exception(error))
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

    def reports(self) -> list[PluginReport]:
        """The plugins that are not in use, and those that have failed."""
        failed = [replace(each, origin=self._origins.get(each.name, "")) for each in self.faults.reports()]
        return [*self.unused, *failed]

    def retry(self) -> bool:
        """Ask those again that were switched off a while ago; True if there are any."""
        if due := self.faults.retry():
            self._forget_chains()
        return due

    def blocks(self, call: Blocker) -> None:
        """A call of a plugin blocks the event loop: a fault, which switches nobody off. For any thread."""
        where = f"it blocks the event loop, and with it every jail: {call.place}"
        self._record_fault(call.plugin, Call(call.hook, call.jail, ()), PluginError(where))

    def hangs(self, plugin: str, hook: str, jail: str, what: str) -> None:
        """A plugin gives no answer: a fault, which switches nobody off."""
        self._record_fault(plugin, Call(hook, jail, ()), PluginError(what))

    def files(self) -> Mapping[str, str]:
        """The names of the plugins by the files of their modules."""
        found = {}
        for name, plugin in self._manager.list_name_plugin():
            file = getattr(plugin, "__file__", None) or self._origins.get(name, "")
            if plugin is not None and file:
                found[str(file)] = name
        return found

    def loaded(self) -> dict[str, object]:
        """The plugins themselves, by name; a reload that finds one unchanged has the same object."""
        return {name: plugin for name, plugin in self._manager.list_name_plugin() if plugin is not None}

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
            Problem(_no_plugin(word[1:], self._origins), section=jail.name, key="plugins")
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

    def _sound(self, implementation: Implementation, call: Call, expected: type) -> list[Any]:
        """The values of an answer that are right; one that is not is a fault."""
        answer = self._call(implementation, call)
        if answer is None:
            return []
        right, wrong = sound(answer, expected)
        if wrong:
            self._fault(implementation.plugin, call, PluginError(f"it returned {wrong}"))
        return right

    @calls_plugin
    def _call(self, implementation: Implementation, call: Call) -> Any:  # noqa: ANN401 -- `call.expected`, or None
        try:
            answer = implementation.call(*call.values)
        except ConfigError:
            raise
        except BaseException as error:  # the plugin boundary
            pass_interrupt(error)
            if call.hook == "line_matcher" and (cause := resource_exhaustion(error)):
                raise PluginError(f"plugin {implementation.plugin}: {cause}") from error
            self._fault(implementation.plugin, call, as_exception(error))
            return None
        return self._checked(implementation, call, answer)

    def _checked(self, implementation: Implementation, call: Call, answer: object) -> object:
        if self._trace:
            traced(implementation, call, answer)
        if answer is None:
            return None
        if wrong := defect(answer, call.expected):
            self._fault(implementation.plugin, call, PluginError(f"it returned {wrong}"))
            return None
        return answer

    def _record_fault(self, plugin: str, call: Call, error: BaseException) -> None:
        """Count a fault that must not switch the plugin off: an action that is left out protects nobody."""
        self._fault(plugin, call, error, may_switch_off=False)

    def _fault(self, plugin: str, call: Call, error: BaseException, *, may_switch_off: bool = True) -> None:
        is_defect = isinstance(error, PluginError) or not isinstance(error, GuardhooksError)
        may_switch_off = may_switch_off and bool(call.jail) and is_defect
        if self.faults.record(plugin, call.hook, call.jail, error, may_switch_off=may_switch_off):
            self._forget_chains()


def _no_plugin(name: str, known: Iterable[str]) -> str:
    return f"no plugin is called {name!r}{did_you_mean(name, sorted(known)) or '; see `guardhooks plugins`'}"
