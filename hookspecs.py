"""The contract between guardhooks and its plugins, in the order of the flow.

Noun hooks (`log_source`, `line_matcher`) are asked once, when a jail starts, and return a worker. Verb hooks
(`on_failure`, `decide_ban`, `execute_action`) are called for every event. An implementation carries
`@guardhooks.hookimpl`, may leave out arguments that it does not need, and is an ordinary function (or method): a
generator function would claim every call of a first-result hook, so it is refused when the plugin loads, except as a
`wrapper=True` of `decide_ban`. Only the hooks that say "may be async" may be coroutine functions.

A plugin that raises, whatever it raises, or returns what its hook does not allow (the whole value is looked at: a `Ban`
whose length is a text, too) is logged, counted and shown in `status`; the others are asked as if it were not there.
After five faults within a minute it is switched off for that jail, and tried again after a minute, then two, four, up
to an hour. Core implementations are `trylast`: other plugins are asked before them.

A reload loads all plugins again. From then on every hook asks the new ones: a source whose `log_source` is the same
function as before is read on without a gap, with new matchers if other functions serve `line_matcher`; actions are
started again if other functions serve `execute_action`. A site hook (`hooks.d`) whose file did not change is the same
module after a reload; one that cannot be loaded any more goes on as it was.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from typing import TYPE_CHECKING

import pluggy

from guardhooks.model import (
    ActionSpec,
    Ban,
    ConfigFinding,
    Failure,
    Finding,
    Ignore,
    Jail,
    Op,
    Outcome,
    Record,
    SourceSpec,
)
from guardhooks.settings.option import OptionTable
from guardhooks.workers import LineMatcher, LogSource, MakeWindows

if TYPE_CHECKING:
    import click

    from guardhooks.control.requests import Ask, Requests
    from guardhooks.control.transport import WireProtocol
    from guardhooks.views import GuardView

hookspec = pluggy.HookspecMarker("guardhooks")


@hookspec
def declare_options() -> Sequence[OptionTable] | None:
    """Called before the configuration is read, at the start and at each reload.

    Return one `OptionTable` for each place where options of this plugin may stand: jails (`geoip.countries`), the
    brackets of the actions that it serves, the brackets of filters or of `backend`. Options that nobody declares are
    reported as likely mistakes. Must not block; nothing of the guard is there yet.

    Every plugin is asked.
    """


@hookspec
def on_start(guard: GuardView) -> None:
    """Called once, when the configuration is read and before any source is opened; again after each reload.

    Every plugin is asked. Prepare what later calls need here: nothing slow may happen on the way of a ban.

    :param guard: the running guard; `guard.jails` holds all jails by name.
    """


@hookspec(firstresult=True)
def failure_windows(budget: int) -> MakeWindows | None:
    """Called once, before the ledger of a guard is opened: who keeps the failure windows of its jails in memory?

    Return a function that makes the windows of one jail, see `FailureWindows`, or None: leave it to others. Where
    nobody offers one, the ledger keeps them. A reload does not change who does.

    Stops at the first result that is not None.

    :param budget: bytes that the log lines of all windows may take together.
    """


@hookspec(firstresult=True)
def log_source(jail: Jail, spec: SourceSpec) -> LogSource | None:
    """Called when a jail starts, once for each `logpath` line, journal match or other source that it names.

    Return a worker that can read this spec, or None: "not mine". Sources with an equal `key` are shared by all jails
    that name them; only the first of them is used. Nothing is opened yet: a missing file is no error. Raise
    `ConfigError` if the spec is yours and cannot be right.

    Stops at the first result that is not None.

    :param jail: the jail that starts.
    :param spec: what it wants read.
    """


@hookspec(firstresult=True)
def line_matcher(source: LogSource, jails: Sequence[Jail]) -> LineMatcher | None:
    """Called once for each source, with all jails that read it; again when a reload changes them.

    Return a worker that finds the failures of those jails in the source's lines, or None: "none of these is mine". A
    worker may serve some of the jails only (its `jails`); the next plugin is asked for the rest.

    Stops when every jail has a matcher.

    :param source: the worker that reads the lines.
    :param jails: the jails that read this source and have no matcher yet.
    """


@hookspec
def screen_failures(jail: Jail, ids: Sequence[str], addresses: Sequence[str]) -> Sequence[int] | None:
    """Called before `on_failure` with all failures that were found in a block of lines. Only for speed; optional.

    Return the places of those failures for which your own `on_failure` must be called; of the others you say that it
    would return None and do nothing. None says that it must be called for every one. Must not block.

    Every plugin that has an `on_failure` is asked. If each says of a failure that it need not be called, then no
    `on_failure` is, and mostly no `Failure` object is made. One plugin with an `on_failure` but without this hook has
    all of them called for every failure.

    :param jail: the jail whose filter matched.
    :param ids: `Failure.id` of each failure, in order.
    :param addresses: `Failure.address` of each.
    """


@hookspec
def on_failure(jail: Jail, failure: Failure) -> Ignore | Awaitable[Ignore | None] | None:
    """Called for each failure found, before it counts. May be async.

    Return `Ignore(reason)` to drop it, None to keep it. An enricher writes to `failure.notes`. Raise `ConfigError`
    where something outside the plugin keeps it from an answer: that is shown, and never switches it off. An async
    answer that takes longer than five seconds is a fault, and is not waited for. Until it comes, other failures go on:
    it holds up its own failure alone. Of one jail eight are asked at a time; while a thousand wait, more count unasked.

    Every plugin is asked until one ignores the failure. Implementations marked `tryfirst` come first.

    :param jail: the jail whose filter matched, or that an embedding server named.
    :param failure: what happened; `failure.id` is a single address or a text, not yet widened to a prefix.
    """


@hookspec(firstresult=True)
def decide_ban(jail: Jail, failure: Failure, record: Record) -> list[Ban] | None:
    """Called for each failure that was kept, when it has been counted.

    Return the bans that follow: usually one of `failure.id` in this jail, possibly more, in other jails too; an empty
    list says "explicitly none", None says "no opinion".

    Stops at the first result that is not None. A `wrapper=True` implementation receives that result (None if nobody had
    one) from its `yield` and returns the refined one.

    :param jail: the jail in which the failure was counted.
    :param failure: what happened; `failure.id` is the id that counts, widened to the jail's prefix length.
    :param record: what the ledger knows about this id, the present failure included.
    """


@hookspec
def refuse_ban(jail: Jail, id: str) -> Ignore | None:
    """Called before a ban is enforced, whoever made it, and to learn whether a prefix would hit too many.

    Return `Ignore(reason)` when an id must not be banned in this jail, None if it may be. A prefix must
    not be banned when it holds, or lies in, what is allowlisted. Must not block and must change nothing.

    Every plugin is asked until one refuses. A ban by hand with `--force` is not asked about.

    :param jail: the jail that would ban.
    :param id: the address, prefix or text that would be banned.
    """


@hookspec(firstresult=True)
def execute_action(
    jail: Jail, action: ActionSpec, op: Op, bans: Sequence[Ban]
) -> bool | Outcome | Awaitable[bool | Outcome | None] | None:
    """Called when an action of a jail has something to do. May be async; a plain function runs in a worker thread.

    Return True (or an `Outcome`) when all of it is done, None: "not my action". Raise `ActionError` if it could not be
    done: the bans are shown as failing and retried with back-off. Where only some bans of a batch failed,
    return an `Outcome` that names them in `failed`: only those are retried. Be idempotent: banning the banned and
    unbanning the absent are successes. Calls for one action of one jail never overlap; calls for different ones may.

    Stops at the first result that is not None; a result that needs awaiting is awaited first.

    :param jail: the jail that acts.
    :param action: the action as configured.
    :param op: `start`: make ready, afterwards exactly `bans` are in force. `ban`, `unban`: these. `flush`: lift all and
        remove what was built. `stop`: the daemon ends, bans stay. `check`: compare with `bans`, repair what differs.
    :param bans: what the op is about, in batches of any size; for `flush` and `stop` those in force.
    """


@hookspec
def on_ban(jail: Jail, ban: Ban) -> None:
    """Called when a ban is in force: every action has done it and the ledger has it on disk.

    Every plugin is asked. Must not block: hand slow work to a thread of your own.

    :param jail: the jail that bans.
    :param ban: the ban.
    """


@hookspec
def on_unban(jail: Jail, ban: Ban) -> None:
    """Called when a ban is over, by time or by hand.

    Every plugin is asked. Must not block.

    :param jail: the jail that had banned.
    :param ban: the ban that is over. Where it was lifted before its time, its note `unbanned` says by whom or what
        (`uid 0 alice`, `ignoreip 192.0.2.0/24`); bans by hand have a note `asker`.
    """


@hookspec(firstresult=True)
def diagnose(
    guard: GuardView, jail: Jail, action: ActionSpec, bans: Sequence[Ban], address: str
) -> Sequence[Finding] | Awaitable[Sequence[Finding] | None] | None:
    """Called when an administrator asks why somebody does or does not get through (`guardhooks doctor`). May be async.

    Look at what really is there (the kernel, a file, a remote service) and change nothing. For an address, end with one
    finding that decides: `blocks` True or False. A plain function runs in a worker thread. Without a daemon it is
    asked too, by a process of its own in which `on_start` was never called. None: "not my action".

    Stops at the first result that is not None.

    :param guard: the guard that asks; it may not have been started.
    :param jail: the jail of the action.
    :param action: the action as configured.
    :param bans: with an address the bans in force that cover it, else all desired bans of the jail.
    :param address: the address that is asked about, empty when the action as a whole is.
    """


@hookspec
def check_jail(jail: Jail, jails: Mapping[str, Jail]) -> Sequence[ConfigFinding] | None:
    """Called by `guardhooks check` for each jail, before anything runs; `on_start` was never called.

    Return what is wrong with what this plugin does for the jail: options that contradict each other, programs or
    services that are missing. One cause must be told in the same words for every jail, which is then printed once.
    Must change nothing; may take a second, not a minute. None: "nothing to say".

    Every plugin is asked.

    :param jail: the jail.
    :param jails: all jails that are checked, by name.
    """


@hookspec
def on_stop(guard: GuardView) -> None:
    """Called once: when all sources are closed and the ledger is written, or when a reload has replaced the plugin.

    Every plugin is asked that stops; one that a reload found unchanged goes on and gets another `on_start`.

    :param guard: the guard that stops, or goes on without this plugin.
    """


@hookspec
def add_commands(cli: click.Group) -> None:
    """Called when the command line starts and the subcommand is not one of guardhooks' own, or for `--help`.

    Every plugin is asked. Add subcommands with `cli.add_command`.

    :param cli: the `guardhooks` command group.
    """


@hookspec
def add_requests(requests: Requests) -> None:
    """Called when the daemon is first asked for a request that is not guardhooks' own; again after each reload.

    Every plugin is asked. Add requests with `requests.add(guardhooks.Request(…))`; a command of yours asks them by
    `guardhooks.ask_daemon`. A name that is taken is an error of the plugin that comes later; guardhooks' own cannot be
    taken. What a request runs belongs to the daemon's event loop and must not block it.

    :param requests: the table of requests.
    """


@hookspec(firstresult=True)
def control_protocol(name: str, ask: Ask) -> WireProtocol | None:
    """Called once when the daemon starts, for each further control socket that its configuration names.

    Return what speaks the protocol of this name, or None: "not mine". The host makes the socket, lets in only the
    daemon's own user and root, and keeps the limits; clients may be idle for as long as they like. What the protocol
    does belongs to the daemon's event loop and must not block it.

    Stops at the first result that is not None.

    :param name: `fail2ban`, for `socket` in section `[Fail2ban]` of guardhooks.conf.
    :param ask: has a request of the daemon's table run, as its own control socket does: `await ask("status", jail=…)`.
    """
