"""Where a daemon keeps its state and its socket, who may touch them, and that no two daemons share them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from guardhooks.errors import StateError
from guardhooks.system.lock_files import locked

SOCKET_NAME: Final = "guardhooks.sock"
LOCK_NAME: Final = "lock"
LEDGER_FILE: Final = "ledger.sqlite3"
SYSTEM_RUNTIME: Final = Path("/run/guardhooks")
"""Where root's daemon has its socket."""


@dataclass(frozen=True, slots=True)
class Folders:
    """`state` holds the ledger and the lock, `runtime` what does not outlive a boot; `socket` is the control socket."""

    state: Path
    runtime: Path
    socket: Path


def folders(state: Path | None = None, *, socket: Path | None = None) -> Folders:
    """The folders of the daemon that keeps its state in `state`, by default those of the running user.

    With `state` everything lies there. Without: `/var/lib/guardhooks` and `/run/guardhooks` for root, the XDG state and
    runtime folders for anybody else. `socket` is a configured place of the control socket. Nothing is created.

    :raises StateError: when a plain user has no home to keep state in.
    """
    if state is not None:
        base = Path(os.path.abspath(state))  # noqa: PTH100 -- resolve() would follow links, which may still change
        found = Folders(base, base, base / SOCKET_NAME)
    elif os.geteuid() == 0:
        found = Folders(Path("/var/lib/guardhooks"), SYSTEM_RUNTIME, SYSTEM_RUNTIME / SOCKET_NAME)
    else:
        runtime = _user_runtime()
        found = Folders(_user_state(), runtime, runtime / SOCKET_NAME)
    return found if socket is None else Folders(found.state, found.runtime, socket)


def runtime_folder() -> Path:
    """Where this user's daemons meet that have state folders of their own."""
    return Path("/run/guardhooks") if os.geteuid() == 0 else _user_runtime()


def _user_state() -> Path:
    configured = os.environ.get("XDG_STATE_HOME", "")
    if configured.startswith("/"):  # the XDG base directory specification has relative ones ignored
        return Path(configured) / "guardhooks"
    try:
        return Path.home() / ".local" / "state" / "guardhooks"
    except RuntimeError:
        raise StateError("this user has no home folder to keep state in; name a folder with --state DIR") from None


def _user_runtime() -> Path:
    configured = os.environ.get("XDG_RUNTIME_DIR", "")
    if configured.startswith("/"):
        return Path(configured) / "guardhooks"
    return Path("/tmp") / f"guardhooks-{os.geteuid()}"  # noqa: S108 -- its owner and mode are checked before use


def private_folder(folder: Path) -> None:
    """Create a folder that is open to nobody else, or make sure that it is ours.

    :raises StateError: when it cannot be made or written, belongs to somebody else or is writable by others.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            _refuse_shared(folder)
    except OSError as error:
        where = f" ({error.filename})" if error.filename and str(error.filename) != str(folder) else ""
        raise StateError(
            f"state folder {folder} cannot be made: {error.strerror}{where}; name another one with --state DIR"
        ) from error
    if not is_read_only(folder) and not os.access(folder, os.W_OK | os.X_OK, effective_ids=True):
        raise StateError(f"state folder {folder} cannot be written; make it writable or name another with --state DIR")


def is_read_only(folder: Path) -> bool:
    """Whether a folder lies on a file system that is mounted read-only: its ledger can be read, not written."""
    try:
        return bool(os.statvfs(folder).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def _refuse_shared(folder: Path) -> None:
    """A folder that others own or write could be swapped under a daemon that runs as root."""
    status = folder.stat()
    if not stat.S_ISDIR(status.st_mode):
        raise StateError(f"state folder {folder} is not a folder; move it away or name another one with --state DIR")
    if folder.is_symlink() and folder.lstat().st_uid not in (0, os.geteuid()):
        raise StateError(f"state folder {folder} is a link made by another user; name another one with --state DIR")
    if status.st_uid != os.geteuid():
        raise StateError(
            f"state folder {folder} belongs to uid {status.st_uid}, this process runs as uid {os.geteuid()}; "
            "chown it or name another one with --state DIR"
        )
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        mode = stat.S_IMODE(status.st_mode)
        raise StateError(f"state folder {folder} is writable by others (mode {mode:04o}); chmod 0700 {folder}")


def socket_folder(folder: Path) -> None:
    """Create the folder of a socket, or make sure that nobody can swap what lies in it.

    A folder that was there may be root's and shared, such as `/run`, or sticky.

    :raises StateError: when it cannot be made, or others may write it.
    """
    try:
        status = folder.stat()
    except FileNotFoundError:
        private_folder(folder)
        return
    except OSError as error:
        raise StateError(f"socket folder {folder} cannot be used: {error.strerror}") from error
    if not stat.S_ISDIR(status.st_mode):
        raise StateError(f"socket folder {folder} is not a folder; name another one with --state DIR")
    if status.st_uid not in (0, os.geteuid()):
        raise StateError(f"socket folder {folder} belongs to uid {status.st_uid}; name another one with --state DIR")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not status.st_mode & stat.S_ISVTX:
        mode = stat.S_IMODE(status.st_mode)
        raise StateError(f"socket folder {folder} is writable by others (mode {mode:04o}); chmod go-w {folder}")


def open_to_group(folder: Path, group: int) -> None:
    """Let the members of a group into the folder of a socket, created if need be; one that others may enter stays so.

    :raises StateError: as `socket_folder`.
    """
    socket_folder(folder)
    status = folder.stat()
    if status.st_uid == os.geteuid() and not status.st_mode & stat.S_IXOTH:
        try:
            os.chown(folder, -1, group)
            folder.chmod(0o710)
        except OSError as error:
            raise StateError(f"socket folder {folder} cannot be opened to the group: {error.strerror}") from error


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Hold a state folder, created if need be, for this process alone; the kernel lets go when the process ends.

    :raises StateError: naming the process that holds it, or why the folder cannot be used.
    """
    private_folder(folder)
    path = folder / LOCK_NAME
    try:
        descriptor = locked(path)
    except BlockingIOError as error:
        raise StateError(
            f"state folder {folder} is in use by a guardhooks daemon ({_holder(path)}); "
            "stop it with `guardhooks stop`, or name another folder with --state DIR"
        ) from error
    except OSError as error:
        remedy = "remove it, or name a folder on a local disk with --state DIR"
        raise StateError(f"lock file {path} cannot be locked: {error.strerror}; {remedy}") from error
    try:
        if not is_read_only(folder):
            os.truncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(descriptor)


@contextmanager
def owned_names(instance: str, runtime: Path) -> Iterator[str]:
    """Own the names of an instance's sets and chains in this network namespace, as long as the process lives.

    Yields why others may own them as well; empty if nobody does.

    :raises StateError: naming the process that owns them.
    """
    try:
        private_folder(runtime)
        network = Path("/proc/self/ns/net").stat().st_ino
        path = runtime / f"names-{network}{'-' * bool(instance)}{instance}.lock"
        descriptor = locked(path)
    except BlockingIOError as error:
        raise StateError(
            f"another guardhooks daemon ({_holder(path)}) keeps its bans in sets and chains of the same names; stop "
            "it, or give this one a name of its own: `instance = NAME` in the section [Guardhooks] of guardhooks.conf"
        ) from error
    except (OSError, StateError) as error:
        yield f"it is not known whether another daemon uses the same names: {error}"
        return
    try:
        os.truncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield ""
    finally:
        os.close(descriptor)


def _holder(lock_file: Path) -> str:
    pid = ""
    with suppress(OSError, ValueError):
        pid = lock_file.read_text()[:32].strip()
    return f"pid {pid}" if pid.isdigit() else "another process"
