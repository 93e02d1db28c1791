"""Which folder and mount a log lies in, told by its name alone: to look might hang."""

from __future__ import annotations

import pytest

from guardhooks_core.sources.tail.threads import folder_of, mount_of, mount_points, threads_of

MOUNTS = ["/", "/var", "/var/log/remote", "/mnt/with blank"]


@pytest.mark.parametrize(
    ("path", "mount"),
    [
        ("/etc/passwd", "/"),
        ("/var/log/auth.log", "/var"),
        ("/variable/log", "/"),
        ("/var/log/remote/*.log", "/var/log/remote"),
        ("/var/log/remote", "/var/log/remote"),
        ("/mnt/with blank/x", "/mnt/with blank"),
        ("relative", "/"),
    ],
)
def test_the_longest_mount_point_that_holds_a_path_is_its_mount(path: str, mount: str) -> None:
    assert mount_of(path, MOUNTS) == mount


def test_the_kernel_says_where_something_is_mounted() -> None:
    assert {"/", "/proc"} <= set(mount_points())


@pytest.mark.parametrize(
    ("pattern", "folder"),
    [
        ("/var/log/auth.log", "/var/log"),
        ("/var/log/*.log", "/var/log"),
        ("/srv/*/log/[ab]", "/srv"),
        ("/auth.log", "/"),
        ("/*/x", "/"),
    ],
)
def test_a_glob_lies_in_the_folder_before_its_first_wildcard(pattern: str, folder: str) -> None:
    assert folder_of(pattern) == folder


def test_logs_of_one_folder_share_its_threads_and_those_of_others_do_not() -> None:
    assert threads_of("/proc/a") is threads_of("/proc/a")
    assert threads_of("/proc/a") is not threads_of("/proc/b")
