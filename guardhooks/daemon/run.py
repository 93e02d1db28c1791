"""`guardhooks run`: one guard in the foreground, with its log, its control socket and its signals."""

from __future__ import annotations

import asyncio
import grp
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Final, cast

from guardhooks import log_targets, logs
from guardhooks.control.commands import own_requests
from guardhooks.control.dispatch import Dispatcher
from guardhooks.control.json_protocol import JsonProtocol
from guardhooks.control.requests import Requests
from guardhooks.control.transport import SocketServer, WireProtocol
from guardhooks.daemon import memory
from guardhooks.daemon.loop_reports import LoopReports, thread_died
from guardhooks.daemon.options import RunOptions
from guardhooks.daemon.service_manager import ServiceManager
from guardhooks.daemon.signals import Signals
from guardhooks.daemon.terminal import Terminal
from guardhooks.daemon.watchdog import Watchdog
from guardhooks.engine.guard import Guard
from guardhooks.errors import ConfigError, GuardhooksError, PluginError, StateError
from guardhooks.plugins import Plugins
from guardhooks.plugins.loading import HOOKS_FOLDER
from guardhooks.plugins.values import described
from guardhooks.settings import daemon_options as option
from guardhooks.settings import find_directory, load, read_daemon
from guardhooks.settings.daemon import needing_restart
from guardhooks.settings.model import Settings
from guardhooks.status import ReloadReport, to_dict
from guardhooks.system import open_files, state_folders
from guardhooks.system.config_directories import FAIL2BAN_DIRECTORY
from guardhooks.system.privileges import may_change_firewall
from guardhooks.system.worker_pool import WorkerPool
from guardhooks.text import plural, safe_text

_STDERR: Final = 2
"""The highest descriptor of a standard stream."""
_SOCKET_LOOK: Final = 2.0
"""Seconds between two checks that the control socket exists."""

_READY: Final = 4
"""Threads for what the control socket and the guard itself ask of the system, started before they are needed."""
_CONTROL: Final = 32
_LAST_LINES: Final = 1.0
"""Seconds that the last lines of the log have to be written, if nobody reads it."""

_FAIL2BAN_DATABASE: Final = Path("/var/lib/fail2ban/fail2ban.sqlite3")

logger = logging.getLogger("guardhooks.daemon")


def run(options: RunOptions) -> None:
    """Guard until SIGTERM, SIGINT or a `stop` command.

    :raises ConfigError: when the configuration cannot be used. :raises StateError: when the state folder cannot be used
        or belongs to a running daemon.
    """
    _occupy_standard_streams()
    logs.set_up(options.loglevel or "INFO")
    # Until the daemon handles signals there is nothing to clean up; and no KeyboardInterrupt is real from here on.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    open_files.raise_limit()
    memory.share_arenas()
    memory.pause_gc()
    directory = find_directory(options.config)
    daemon = read_daemon(directory)
    logs.set_up(options.loglevel or daemon.loglevel)
    if (daemon.logtarget, daemon.lognames) != (option.LOGTARGET.default, option.LOGNAMES.default):
        _log_to(daemon.logtarget, daemon.lognames)
    plugins = _load_plugins(options, directory)
    settings = load(directory, plugins.declared_options())
    _say_what_is_wrong(settings)
    folders = state_folders.folders(options.state or settings.state, socket=settings.socket)
    acts = not options.observe and may_change_firewall()
    with state_folders.lock(folders.state), _owned_names(settings.instance) if acts else nullcontext():
        try:
            asyncio.run(Daemon(options, settings, plugins, folders).serve())
        except (SystemExit, KeyboardInterrupt) as error:
            raise PluginError(f"a task of a plugin's own ended the daemon: {described(error)}") from error
    logs.wait(_LAST_LINES)


def _occupy_standard_streams() -> None:
    """Where stdin, stdout or stderr were closed, the next file opened, a lock or the ledger, would take its number."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)


@contextmanager
def _owned_names(instance: str) -> Iterator[None]:
    """Not in the state folder: daemons with folders of their own would delete each other's bans."""
    with state_folders.owned_names(instance, state_folders.runtime_folder()) as doubt:
        if doubt:
            logger.warning("%s", safe_text(doubt))
        yield


def _say_what_is_wrong(settings: Settings) -> None:
    if settings.base is not None:
        logger.info("%s has no jail.conf: its jail.local changes the packaged one", settings.directory)
    for problem in settings.problems:
        logger.log(logging.ERROR if problem.fatal else logging.WARNING, "%s", safe_text(str(problem)))
    for remark in dict.fromkeys([*settings.remarks, *(each for jail in settings.jails for each in jail.remarks)]):
        logger.info("%s", safe_text(str(remark)))
    for jail in settings.jails:
        for problem in jail.problems:
            logger.warning("[%s] degraded: %s", jail.name, safe_text(str(problem)))
    for name, problems in settings.broken.items():
        for problem in problems:
            logger.error("[%s] does not run: %s", name, safe_text(str(problem)))
    if settings.broken and not settings.jails:
        raise ConfigError(f"none of the enabled jails in {settings.directory} can run; see the reasons above")
    if not settings.jails:
        logger.warning("no jail is enabled in %s: nothing is guarded", settings.directory)


class Daemon:
    """One run: what the signals and the control socket act on."""

    def __init__(
        self, options: RunOptions, settings: Settings, plugins: Plugins, folders: state_folders.Folders
    ) -> None:
        self._options, self._settings, self._plugins, self._folders = options, settings, plugins, folders
        self._logged = (settings.logtarget, settings.lognames)
        self._stopping = asyncio.Event()
        self._flush = False
        self._reloading = asyncio.Lock()
        self._reload_asked = asyncio.Event()
        self._guard: Guard | None = None
        self._manager = ServiceManager()
        self._signals: Signals | None = None

    async def serve(self) -> None:
        """Start everything, wait for the end, stop everything."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(LoopReports())
        loop.set_default_executor(WorkerPool("control", ready=_READY, most=_CONTROL))
        _watch_children_without_threads()
        threading.excepthook = thread_died
        self._offer_import()
        guard = self._guard = Guard(
            self._settings,
            self._plugins,
            ledger_file=self._folders.state / state_folders.LEDGER_FILE,
            observe=self._observes(),
        )
        own = own_requests(guard, reload=self.reload, stop=self.stop, doctor=self.examine)
        names = [request.name for request in own]

        def added() -> Requests:
            return guard.plugins.requests(reserved=names, ask=dispatcher.ask)

        dispatcher = Dispatcher(own, added)
        control = self._server(guard, self._folders.socket, JsonProtocol(own, added), readers=self._readers())
        sockets = [control, *self._further_sockets(guard, dispatcher)]
        # Before anything is built that a signal's default action would leave behind.
        terminal = Terminal()
        self._signals = Signals(
            loop, stop=self._stopping.set, reload=lambda: self._hung_up(terminal), reopen=_reopen_log
        )
        self._signals.start()
        watchdog = Watchdog(loop, lambda: guard.plugins)
        watchdog.start()
        for each in sockets:
            await each.start()
        try:
            async with self._reloading:
                await guard.start()
            memory.freeze_gc(search=False)
            self._say_ready(guard)
            guard.supervisor.spawn(self._reload_by_signals(), "reload")
            for each in sockets:
                guard.supervisor.spawn(_keep_open(each), "control socket")
            guard.supervisor.spawn(self._manager.keep_alive(self._summary), "keep-alives")
            await self._until_stopped(guard)
        finally:
            self._manager.stopping()
            for each in sockets:
                await each.close()
            await guard.stop(flush=self._flush)
            watchdog.stop()
        logger.info("stopped%s", "; all bans are lifted" if self._flush else "; bans stay in force")

    def _further_sockets(self, guard: Guard, dispatcher: Dispatcher) -> list[SocketServer]:
        """Sockets on which plugins speak the protocols of other programs."""
        path = self._settings.fail2ban_socket
        if path is None:
            return []
        protocol = guard.plugins.control_protocol("fail2ban", dispatcher.ask)
        if protocol is None:
            logger.error(
                "[Fail2ban] socket is set, but no plugin serves fail2ban's clients; see `disable` in [Plugins]"
            )
            return []
        return [self._server(guard, path, protocol, idle_timeout=None)]

    @staticmethod
    def _server(
        guard: Guard,
        path: Path,
        protocol: WireProtocol,
        *,
        idle_timeout: float | None = 30.0,
        readers: int | None = None,
    ) -> SocketServer:
        return SocketServer(
            path,
            protocol,
            allowed_uids=frozenset({0, os.geteuid()}),
            idle_timeout=idle_timeout,
            admit=guard.ban_guard.protect_session_of,
            readers=readers,
        )

    def _readers(self) -> int | None:
        """The group that may look; its members must be able to reach the socket."""
        name = self._settings.readers
        if not name:
            return None
        try:
            group = grp.getgrnam(name).gr_gid
        except KeyError:
            logger.error("[Guardhooks] readers: there is no group %r; nobody but root may look", safe_text(name))
            return None
        folder = self._folders.socket.parent
        if folder == self._folders.state:
            logger.error(
                "[Guardhooks] readers: the socket lies in the state folder %s, which nobody else may enter; "
                "name another place with `socket`", folder,
            )  # fmt: skip
            return None
        state_folders.open_to_group(folder, group)
        return group

    def _offer_import(self) -> None:
        """Where a new ledger begins beside fail2ban's database, say how to take its bans over."""
        is_new = not (self._folders.state / state_folders.LEDGER_FILE).exists()
        if is_new and self._settings.directory == FAIL2BAN_DIRECTORY and _FAIL2BAN_DATABASE.is_file():
            logger.log(
                logs.NOTICE, "fail2ban's bans are not taken over by themselves: `guardhooks import %s` does that",
                _FAIL2BAN_DATABASE,
            )  # fmt: skip

    async def _until_stopped(self, guard: Guard) -> None:
        """Until a signal or a command ends it, or a part of it dies: then the service manager restarts it."""
        ends = [asyncio.create_task(self._stopping.wait()), asyncio.create_task(guard.supervisor.crashed())]
        done, waiting = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        for task in done:
            task.result()

    def _observes(self) -> bool:
        if self._options.observe:
            logger.warning("observing: bans are decided and logged, nobody is kept out")
        elif not may_change_firewall():
            logger.warning("observing, without the privilege CAP_NET_ADMIN: nobody is kept out; run as root to ban")
        else:
            return False
        return True

    def _hung_up(self, terminal: Terminal) -> None:
        """SIGHUP: somebody wants a reload, or has closed the terminal that the daemon was started in."""
        if not terminal.has_closed():
            self._reload_asked.set()
        elif terminal.hangup_ignored:
            logger.warning("the terminal was closed; the daemon continues, since it was started so as to survive that")
        else:
            logger.warning("the terminal was closed, so the daemon stops; start it as a service, or with nohup")
            self._stopping.set()

    def _say_ready(self, guard: Guard) -> None:
        names = ", ".join(guard.jails) or "none"
        logger.info("ready: pid %d, configuration %s, jails: %s", os.getpid(), guard.settings.directory, names)
        self._manager.ready(self._summary())

    async def stop(self, *, flush: bool) -> None:
        """The `stop` command: end soon; with `flush` every ban is lifted."""
        self._flush = flush
        if not flush and self._signals is not None:
            self._signals.expect_end()
        asyncio.get_running_loop().call_soon(self._stopping.set)

    async def examine(self, address: str) -> Mapping[str, object]:
        """The `doctor` command: the whole, or all that has to do with one address."""
        from guardhooks.doctor.examination import examine

        assert self._guard is not None  # the control socket opens after the guard is made
        return (await examine(self._guard, address)).to_dict()

    async def reload(self) -> Mapping[str, object]:
        """Read the configuration again and use it; the running one stays when the new one cannot be used.

        :raises GuardhooksError: saying why not.
        """
        assert self._guard is not None  # the control socket opens after the guard is made
        async with self._reloading:
            with self._manager.reloading():
                report = await self._read_and_use(self._guard)
        for line in report.lines():
            logger.log(logging.INFO if report.is_whole else logging.WARNING, "reload: %s", line)
        logger.info("reloaded: jails: %s", ", ".join(self._guard.jails))
        return {**cast("dict[str, object]", to_dict(self._guard.status())), "reload": to_dict(report)}

    async def _read_and_use(self, guard: Guard) -> ReloadReport:
        settings, plugins = await asyncio.to_thread(self._read_again)
        for problem in needing_restart(self._settings, settings):
            logger.warning("%s", safe_text(str(problem)))
        report = await guard.reload(settings, plugins)
        memory.freeze_gc()
        self._log_as(settings)
        return report

    def _summary(self) -> str:
        """One line for those who ask the service manager."""
        assert self._guard is not None  # asked for when the guard runs
        observing = "observing, nobody is kept out; " if self._guard.observing else ""
        return f"{observing}{plural(len(self._guard.jails), 'jail')}: {', '.join(self._guard.jails) or 'none'}"

    def _log_as(self, settings: Settings) -> None:
        """Log as the new configuration says; where that cannot be, as before."""
        former, self._logged = self._logged, (settings.logtarget, settings.lognames)
        if self._logged != former or log_targets.target() != settings.logtarget:
            _log_to(*self._logged)
        if self._options.loglevel is None:
            logs.set_up(settings.loglevel)

    def _read_again(self) -> tuple[Settings, Plugins]:
        directory = find_directory(self._options.config)
        plugins = _load_plugins(self._options, directory)
        settings = load(directory, plugins.declared_options())
        _say_what_is_wrong(settings)
        return settings, plugins

    async def _reload_by_signals(self) -> None:
        """However many SIGHUPs come during a reload, one more follows it."""
        while True:
            await self._reload_asked.wait()
            self._reload_asked.clear()
            try:
                await self.reload()
            except GuardhooksError as error:
                logger.error("reload refused, the running configuration stays: %s", safe_text(str(error)))


def _load_plugins(options: RunOptions, directory: Path) -> Plugins:
    daemon = read_daemon(directory)
    return Plugins.load(
        disable=daemon.disabled_plugins,
        place=daemon.disabled_at,
        require=daemon.required_plugins,
        hooks_folder=directory / HOOKS_FOLDER,
        trace=options.trace_hooks,
    )


def _log_to(target: str, names: str) -> None:
    """Without its log the machine is guarded all the same."""
    try:
        log_targets.set_target(target, names)
    except StateError as error:
        logger.error("%s; the log goes where it went before", safe_text(str(error)))


def _reopen_log() -> None:
    try:
        log_targets.reopen()
    except StateError as error:
        logger.error("%s; the former file is written on", safe_text(str(error)))


async def _keep_open(control: SocketServer) -> None:
    """Create a control socket again if somebody removed it."""
    problem = ""
    while True:
        await asyncio.sleep(_SOCKET_LOOK)
        try:
            await control.reopen_if_gone()
        except (StateError, OSError) as error:
            if str(error) != problem:
                logger.error("the control socket was removed and cannot be created again: %s", safe_text(str(error)))
            problem = str(error)
        else:
            problem = ""


def _watch_children_without_threads() -> None:
    """Python before 3.12 starts a thread for each child process, which want of memory or of threads forbids."""
    if sys.version_info < (3, 12):
        with suppress(OSError):  # a kernel without pidfd_open
            os.close(os.pidfd_open(os.getpid()))
            watcher = asyncio.PidfdChildWatcher()
            watcher.attach_loop(asyncio.get_running_loop())  # without a loop it refuses every child
            asyncio.set_child_watcher(watcher)
