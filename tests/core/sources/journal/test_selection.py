"""What a jail's `journalmatch` and backend options make journalctl read."""

from __future__ import annotations

from pathlib import Path

import pytest

from guardhooks import ConfigError, Jail, SourceSpec
from guardhooks_core.sources.journal import log_source
from guardhooks_core.sources.journal.selection import Selection


def selection(match: str = "", backend: str = "systemd") -> Selection:
    return Selection.read("sshd", SourceSpec(match, kind="journal", backend=backend))


@pytest.mark.parametrize(("kind", "mine"), [("journal", True), ("file", False), ("kafka", False)])
def test_claims_journals_only(kind: str, mine: bool) -> None:
    assert (log_source(Jail("sshd"), SourceSpec("_COMM=sshd", kind=kind)) is not None) == mine


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ()),
        ("_COMM=sshd", ("_COMM=sshd",)),
        ("_SYSTEMD_UNIT=ssh.service + _COMM=sshd", ("_SYSTEMD_UNIT=ssh.service", "+", "_COMM=sshd")),
        ("A=1 B=2\nC=3", ("A=1", "B=2", "+", "C=3")),
        ('_EXE="/opt/my daemon"', ("_EXE=/opt/my daemon",)),
        ("+ A=1 + + B=2 +\n\nA=1", ("A=1", "+", "B=2")),
    ],
)
def test_each_line_is_an_alternative(text: str, words: tuple[str, ...]) -> None:
    assert selection(text).matches == words


@pytest.mark.parametrize("text", ["sshd", "--flush", "/usr/sbin/sshd", "_comm=sshd", '_COMM="sshd', "=x", "-u ssh"])
def test_what_is_no_match_is_refused_by_jail_and_line(text: str) -> None:
    with pytest.raises(ConfigError, match=r"\[sshd\] journalmatch: .*FIELD|quot"):
        selection(f"_COMM=sshd\n{text}")


@pytest.mark.parametrize(
    ("backend", "where", "files"),
    [
        ("auto", ("--system",), ()),
        ("systemd[]", ("--system",), ()),
        ("systemd[journalflags=1]", (), ()),
        ("systemd[journalflags=12]", ("--system", "--user"), ()),
        ("systemd[journalflags=2]", ("--directory=/run/log/journal",), ()),
        ("systemd[journalpath=/srv/j]", ("--directory=/srv/j",), ()),
        ("systemd[journalpath='/srv/j', journalflags=4][rotated=on]", ("--system", "--directory=/srv/j"), ()),
        ("systemd[journalpath=/srv/r, journalflags=16]", ("--root=/srv/r",), ()),
        ('systemd[journalfiles="/j/a.journal, /j/b*.journal"]', (), ("/j/a.journal", "/j/b*.journal")),
        ("systemd[namespace=web]", ("--system", "--namespace=web"), ()),
        ("systemd[namespace=web, journalflags=64]", ("--namespace=+web",), ()),
        ("systemd[journalflags=36]", ("--system", "--namespace=*"), ()),
    ],
)
def test_backend_options_choose_the_journal(backend: str, where: tuple[str, ...], files: tuple[str, ...]) -> None:
    found = selection(backend=backend)
    assert (found.where, found.files) == (where, files)


@pytest.mark.parametrize(
    ("backend", "names"),
    [
        ("systemd[journalpaht=/x]", "unknown option 'journalpaht'.*journalpath"),
        ("systemd[journalpath=x]", "journalpath: 'x': an absolute path"),
        ("systemd[journalfiles=x.journal]", "journalfiles: 'x.journal': an absolute path"),
        ("systemd[journalpath=]", "journalpath: '': the value is missing"),
        ("systemd[journalflags=all]", "journalflags: 'all'"),
        ("systemd[journalflags=128]", "journalflags: '128'"),
        ("systemd[journalflags=16]", "journalflags: '16'.*journalpath"),
        ("systemd[journalpath=/x, journalflags=1]", "journalflags: '1'"),
        ("systemd[journalfiles=/x, journalflags=4]", "journalflags: '4'"),
        ("systemd[rotated=maybe]", "rotated: 'maybe'.*on, off"),
        ("systemd[namespace=--x/y]", "namespace: '--x/y'"),
        ("systemd[namespace=a, journalpath=/x]", "only one of"),
        ("systemd[journalflags=2, namespace=a]", "journalflags: '2'"),
        ("systemd[journalpath]", "expected option=value"),
        ("systemd[rotated=on", "not of the form"),
    ],
)
def test_wrong_backend_options_are_refused_by_jail_and_option(backend: str, names: str) -> None:
    with pytest.raises(ConfigError, match=rf"^\[sshd\] backend: .*{names}"):
        selection(backend=backend)


def test_local_only_asks_for_entries_of_this_machine() -> None:
    machine = Path("/etc/machine-id")
    if not machine.exists():
        pytest.skip("this machine has no machine-id")
    match = f"_MACHINE_ID={machine.read_text().strip()}"
    assert selection("A=1\nB=2", "systemd[journalflags=1]").matches == ("A=1", match, "+", "B=2", match)
    assert selection("", "systemd[journalflags=1]").matches == (match,)


def test_sources_that_read_the_same_are_shared() -> None:
    assert selection("A=1 + B=2").key == selection("A=1\nB=2\nA=1", "auto").key
    different = {
        selection(text, backend).key for text in ("A=1", "A=2") for backend in ("auto", "auto[journalflags=1]")
    }
    assert len(different) == 4


def test_a_path_with_glob_characters_means_itself(tmp_path: Path) -> None:
    (tmp_path / "a[1].journal").touch()
    found = selection(backend=f"systemd[journalfiles={tmp_path}/*.journal]")
    assert found.at(path for path, _, _ in found.found()).where == (f"--file={tmp_path}/a[[]1].journal",)
