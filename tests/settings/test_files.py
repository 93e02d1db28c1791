"""Which files are read, in which order, and what includes do (sections 1.1, 1.2, 1.4)."""

from __future__ import annotations

from pathlib import Path

import pytest

from guardhooks import ConfigError
from guardhooks.settings import find_directory, jail_names, load
from guardhooks.settings.definitions import PACKAGED
from guardhooks.settings.layers import MAX_CHAIN, MAX_FILES, Reader
from tests.settings.conftest import Write


def read(directory: Path, key: str = "a") -> str | None:
    config = Reader().read(directory / "b")
    value = config.find("s", key) if config else None
    return value.text if value else None


def test_every_conf_is_read_before_any_local(write: Write) -> None:
    names = ["b.conf", "b.d/1.conf", "b.d/zz.conf", "b.local", "b.d/1.local", "b.d/zz.local"]
    for count in range(1, len(names) + 1):
        directory = write({name: f"[s]\na = {name}\n" for name in names[:count]})
        write({"b.d/zzz.rpmsave": "[s]\na = no\n", "b.d/.hidden.conf": "[s]\na = no\n"})
        assert read(directory) == names[count - 1]


def test_a_local_alone_is_enough_and_an_empty_value_replaces(write: Write) -> None:
    assert read(write({"b.d/x.local": "[s]\na = 1\n"})) == "1"
    assert read(write({"b.conf": "[s]\na = 2\n", "b.d/x.local": "[s]\na =\n"})) == ""


def test_before_loses_and_after_wins(write: Write) -> None:
    directory = write(
        {
            "b.conf": (
                "[INCLUDES]\nbefore = one.conf\n  %(x)s.conf\nafter = last.conf\n"
                "[DEFAULT]\nx = two\n[s]\nb = own\nc = own\n"
            ),
            "one.conf": "[s]\na = one\nb = one\n",
            "one.local": "[s]\na = one.local\n",
            "two.conf": "[INCLUDES]\nbefore = deep.conf\n[s]\nd = two\n",
            "deep.conf": "[s]\nd = deep\ne = deep\n",
            "last.conf": "[s]\nc = last\n",
        }
    )
    assert [read(directory, key) for key in "abcde"] == ["one.local", "own", "last", "two", "deep"]


def test_a_circle_of_includes_ends(write: Write) -> None:
    files = {
        "b.conf": "[INCLUDES]\nbefore = c.conf\n[s]\na = b\n",
        "c.conf": "[INCLUDES]\nafter = b.conf\n[s]\na = c\n",
    }
    assert read(write(files)) == "b"


def test_includes_that_multiply_end(write: Write) -> None:
    files = {
        f"i{n}.conf": f"[INCLUDES]\nbefore = i{n + 1}.conf\nafter = i{n + 1}.conf\n[s]\na = {n}\n" for n in range(20)
    }
    config = Reader().read(write({**files, "b.conf": "[INCLUDES]\nbefore = i0.conf\n[s]\na = 1\n"}) / "b")
    assert config is not None
    assert len(config.files) <= MAX_FILES + MAX_CHAIN
    assert any("too many files" in str(problem) for problem in config.problems)


def test_a_missing_include_is_told_unless_it_is_optional(write: Write) -> None:
    directory = write(
        {"b.conf": "[INCLUDES]\nbefore = gone.conf\nafter = x.local\n  paths-overrides.conf\n[s]\na = 1\n"}
    )
    config = Reader().read(directory / "b")
    assert config is not None
    [problem] = config.problems
    missing = f"the included file {directory}/gone.conf does not exist; the rest is used without it"
    assert str(problem) == f"{directory}/b.conf:2: [INCLUDES] before: {missing}"


def test_the_packaged_configuration_lends_filters_and_includes(write: Write) -> None:
    mine = "[INCLUDES]\nbefore = common.conf\n[Definition]\nfailregex = ^%(__prefix_line)sbad <HOST>\n"
    directory = write(
        {"filter.d/f.conf": mine, "jail.local": "[sshd]\nenabled = 1\nfilter = sshd\nlogpath = /x\naction =\n"}
    )
    settings = load(directory)
    assert [(jail.name, jail.problems) for jail in settings.jails] == [("j", ()), ("sshd", ())]


def test_the_packaged_configuration_loads_whole(tmp_path: Path) -> None:
    (tmp_path / "etc").symlink_to(PACKAGED)
    settings = load(tmp_path / "etc")
    assert settings.problems == ()
    assert settings.broken == {}
    assert "sshd" in {jail.name for jail in settings.jails}
    assert all(jail.problems == () for jail in settings.jails)


def test_find_directory(tmp_path: Path) -> None:
    assert find_directory(tmp_path) == tmp_path
    assert find_directory(None).is_dir()
    with pytest.raises(ConfigError, match="no such directory"):
        find_directory(tmp_path / "gone")


def test_a_directory_without_jails_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"neither jail\.conf nor jail\.local"):
        load(tmp_path)
    (tmp_path / "jail.conf").mkdir()
    with pytest.raises(ConfigError, match="not a regular file"):
        load(tmp_path)


def test_one_unreadable_file_of_several_costs_itself(write: Write) -> None:
    directory = write({})
    (directory / "jail.local").write_bytes(b"\0\1\2")
    settings = load(directory)
    assert [jail.name for jail in settings.jails] == ["j"]
    [problem] = settings.problems
    assert problem.fatal
    left_out = "is not a text file (it holds NUL bytes); the rest is used without this file"
    assert str(problem) == f"{directory}/jail.local: {left_out}"


def test_jail_names_are_in_file_order(write: Write) -> None:
    directory = write({"jail.conf": "[z]\n[INCLUDES]\n[a b.c]\n[DEFAULT]\n", "jail.local": "[m]\n"})
    assert jail_names(directory) == ["z", "a b.c", "m"]


def test_a_jail_local_without_a_jail_conf_changes_the_packaged_one(tmp_path: Path) -> None:
    (tmp_path / "jail.local").write_text("[nginx-http-auth]\nenabled = true\n[sshd]\nenabled = false\n")
    settings = load(tmp_path)
    assert [jail.name for jail in settings.jails] == ["nginx-http-auth"]
    assert settings.jails[0].filter is not None
    assert settings.jails[0].filter.failregex
    assert settings.base is not None
    (tmp_path / "jail.conf").write_text("[j]\nenabled = true\nfilter = sshd\nlogpath = /x\naction =\n")
    own = load(tmp_path)
    assert own.base is None
    assert "j" in [jail.name for jail in own.jails]
