"""Where state lies, who may touch it, and that two daemons never share it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from guardhooks.errors import StateError
from guardhooks.system.state_folders import folders, lock, private_folder, socket_folder

needs_root = pytest.mark.skipif(os.geteuid() != 0 and "CI" not in os.environ, reason="changes owners: needs root")
NOBODY = 65534


def test_everything_lies_in_the_folder_that_was_named(tmp_path: Path) -> None:
    found = folders(tmp_path / "state")

    assert found.state == found.runtime == tmp_path / "state"
    assert found.socket == tmp_path / "state" / "guardhooks.sock"
    assert not found.state.exists()


def test_a_relative_folder_is_meant_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert folders(Path("s")).state == tmp_path / "s"


def test_a_plain_user_keeps_state_where_xdg_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "s"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "r"))

    found = folders()

    assert found.state == tmp_path / "s" / "guardhooks"
    assert found.socket == tmp_path / "r" / "guardhooks" / "guardhooks.sock"


def test_without_xdg_a_plain_user_keeps_state_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_STATE_HOME", "relative/is/ignored")
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))

    found = folders()

    assert found.state == tmp_path / ".local/state/guardhooks"
    assert found.runtime.name == "guardhooks-1000"


def test_root_uses_the_systems_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)

    assert folders().state == Path("/var/lib/guardhooks")
    assert folders().socket == Path("/run/guardhooks/guardhooks.sock")
    assert folders(socket=Path("/srv/x.sock")).socket == Path("/srv/x.sock")


def test_a_new_folder_is_open_to_nobody_else(tmp_path: Path) -> None:
    previous = os.umask(0)
    try:
        private_folder(tmp_path / "a" / "b")
    finally:
        os.umask(previous)

    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700


def test_a_folder_that_others_write_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o770)

    with pytest.raises(StateError, match=r"writable by others \(mode 0770\); chmod"):
        private_folder(tmp_path)


@needs_root
def test_a_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    os.chown(tmp_path, NOBODY, NOBODY)

    with pytest.raises(StateError, match=f"belongs to uid {NOBODY}"):
        private_folder(tmp_path)
    with pytest.raises(StateError, match=f"belongs to uid {NOBODY}"):
        socket_folder(tmp_path)


@needs_root
def test_a_link_planted_by_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    os.chown(tmp_path / "link", NOBODY, NOBODY, follow_symlinks=False)

    with pytest.raises(StateError, match="link made by another user"):
        private_folder(tmp_path / "link")


@pytest.mark.parametrize("check", [private_folder, socket_folder])
def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path, check: object) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(StateError, match="is not a folder"):
        check(tmp_path / "file")  # type: ignore[operator]
    with pytest.raises(StateError, match="cannot be"):
        check(tmp_path / "file" / "below")  # type: ignore[operator]


def test_a_socket_may_lie_in_a_sticky_folder_but_not_in_an_open_one(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    socket_folder(tmp_path)

    tmp_path.chmod(0o777)
    with pytest.raises(StateError, match="writable by others"):
        socket_folder(tmp_path)


def test_a_second_daemon_on_the_same_state_is_told_who_has_it(tmp_path: Path) -> None:
    with lock(tmp_path / "state"):
        program = (
            "import sys, pathlib, guardhooks.system.state_folders as s\nwith s.lock(pathlib.Path(sys.argv[1])): pass"
        )
        second = subprocess.run(
            [sys.executable, "-c", program, str(tmp_path / "state")], capture_output=True, text=True, check=False
        )
    assert f"in use by a guardhooks daemon (pid {os.getpid()})" in second.stderr
    assert "--state" in second.stderr


def test_the_lock_is_free_again_after_its_holder(tmp_path: Path) -> None:
    with lock(tmp_path / "state"):
        pass
    with lock(tmp_path / "state"):
        assert (tmp_path / "state" / "lock").read_text() == f"{os.getpid()}\n"


def test_a_lock_file_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    (tmp_path / "precious").write_text("keep me")
    (state / "lock").symlink_to(tmp_path / "precious")

    with pytest.raises(StateError, match="lock file"), lock(state):
        pass
    assert (tmp_path / "precious").read_text() == "keep me"
