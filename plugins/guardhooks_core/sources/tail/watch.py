"""One watchdog observer for all sources of the process; it reports which directory entries changed."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias, TypeVar

from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver, ObservedWatch

from guardhooks import WorkerPool
from guardhooks_core.sources.tail.reader import identity

_Result = TypeVar("_Result")

Listener: TypeAlias = Callable[[str], None]
"""Called with the path of a directory entry that changed, in a thread of the observer; must be quick."""

# Opening and reading are left out: our own reads would trigger events endlessly.
_EVENTS: Final[list[type[FileSystemEvent]]] = [
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
]


_WATCHDOG_TIME: Final = 5.0
"""Seconds that a call of watchdog may take."""


class Watcher(Protocol):
    """Reports changes in directories to listeners."""

    def watch(self, directory: str, listener: Listener) -> bool:
        """Report changes in `directory` to `listener`. True if it is a new watch, or the directory was replaced.

        :raises OSError: if it cannot be watched: it does not exist, or a limit of the kernel is reached.
        """
        ...

    def unwatch(self, directories: Iterable[str], listener: Listener) -> None: ...


class _Directory(FileSystemEventHandler):
    """A watched directory. `listeners` is replaced, never changed, because the observer reads it without a lock."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.listeners: tuple[Listener, ...] = ()
        self.identity = identity(os.stat(path))
        self.gone = False
        self.token: ObservedWatch | None = None

    def on_any_event(self, event: FileSystemEvent) -> None:
        source, target = os.fsdecode(event.src_path), os.fsdecode(event.dest_path)
        if source == self.path and isinstance(event, DirDeletedEvent):
            self.gone = True
        for listener in self.listeners:
            listener(source)
            if target:
                listener(target)


@dataclass(slots=True)
class _Running:
    observer: BaseObserver
    directories: dict[str, _Directory]


class ObserverWatcher:
    """A `Watcher` over watchdog. The observer runs while at least one directory is watched.

    watchdog starts threads, and the start of a thread that dies for want of memory never returns: one thread of its own
    makes all calls, each with a time limit, and is given up with its observer when that passes.
    """

    def __init__(self) -> None:
        # Never taken by the observer's threads: they hold watchdog's own lock while they call the listeners.
        self._lock = threading.Lock()
        self._worker: WorkerPool | None = None
        self._running: _Running | None = None

    def watch(self, directory: str, listener: Listener) -> bool:
        return self._bounded(lambda: self._watch(directory, listener))

    def unwatch(self, directories: Iterable[str], listener: Listener) -> None:
        paths = list(directories)
        if paths:
            with suppress(OSError):
                self._bounded(lambda: self._unwatch(paths, listener))

    def _bounded(self, function: Callable[[], _Result]) -> _Result:
        with self._lock:
            try:
                worker = self._worker = self._worker or WorkerPool("watchdog", most=1, start_time=_WATCHDOG_TIME)
                return worker.submit(function).result(_WATCHDOG_TIME)
            except TimeoutError:
                self._running = None
                raise OSError(errno.ETIMEDOUT, "watchdog could not start a thread, or hangs") from None
            except RuntimeError as error:
                raise OSError(errno.EAGAIN, str(error)) from None
            finally:
                if self._worker is not None and self._running is None:
                    self._worker.shutdown(cancel_futures=True)
                    self._worker = None

    def _watch(self, directory: str, listener: Listener) -> bool:
        running = self._running or self._start()
        try:
            before = running.directories.get(directory)
            watched = self._renewed(running, directory)
            if listener in watched.listeners:
                return watched is not before
            watched.listeners = (*watched.listeners, listener)
            return True
        finally:
            self._stop_if_idle()

    def _unwatch(self, directories: Iterable[str], listener: Listener) -> None:
        running = self._running
        for directory in directories if running is not None else ():
            assert running is not None
            watched = running.directories.get(directory)
            if watched is None:
                continue
            watched.listeners = tuple(one for one in watched.listeners if one != listener)
            if not watched.listeners:
                self._unschedule(running, watched)
        self._stop_if_idle()

    def _start(self) -> _Running:
        observer = Observer()
        observer.start()
        self._running = _Running(observer, {})
        return self._running

    def _renewed(self, running: _Running, directory: str) -> _Directory:
        watched = running.directories.get(directory)
        if watched is not None and not watched.gone and watched.identity == identity(os.stat(directory)):
            return watched
        listeners: tuple[Listener, ...] = ()
        if watched is not None:
            listeners = watched.listeners
            self._unschedule(running, watched)
        fresh = _Directory(directory)
        fresh.listeners = listeners
        fresh.token = running.observer.schedule(fresh, directory, event_filter=_EVENTS)
        running.directories[directory] = fresh
        return fresh

    def _unschedule(self, running: _Running, watched: _Directory) -> None:
        del running.directories[watched.path]
        if watched.token is not None:
            running.observer.unschedule(watched.token)

    def _stop_if_idle(self) -> None:
        running = self._running
        if running is not None and not running.directories:
            self._running = None
            running.observer.stop()
            running.observer.join()


SHARED: Final = ObserverWatcher()
"""The watcher of all sources of the process."""
