"""Which mount a log lies on, told by its name alone."""

from __future__ import annotations

import pytest

from guardhooks_core.sources.tail.mounts import mount_of, mount_points, threads_of

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


def test_logs_of_one_mount_share_its_threads_and_those_of_others_do_not() -> None:
    assert threads_of("/proc/a") is threads_of("/proc/b")
    assert threads_of("/proc/a") is not threads_of("/a")
