"""What `guardhooks init` proposes for machines of several kinds, and how it words that."""

from __future__ import annotations

from pathlib import Path

import pytest

from guardhooks.settings import Service, catalogue, load
from guardhooks.setup import Evidence, Proposal, jail_local, propose, write_directory
from guardhooks.setup.programs import AT_CHOICE, PROGRAMS
from tests.config.corpora import CONFIG


@pytest.fixture(scope="module")
def services() -> tuple[Service, ...]:
    return catalogue(CONFIG)


def names(proposals: tuple[Proposal, ...]) -> list[str]:
    return [each.service.name for each in proposals]


def test_nothing_is_proposed_for_an_empty_machine(services: tuple[Service, ...], tmp_path: Path) -> None:
    assert propose(services, Evidence(root=tmp_path)) == ()


def test_what_runs_is_proposed_with_the_reason(services: tuple[Service, ...], tmp_path: Path) -> None:
    found = propose(services, Evidence(running=frozenset({"sshd", "vsftpd"}), root=tmp_path))
    assert names(found) == ["sshd", "vsftpd"]
    assert [each.why for each in found] == ["sshd runs", "vsftpd runs"]


def test_a_server_on_another_port_is_guarded_there(services: tuple[Service, ...], tmp_path: Path) -> None:
    evidence = Evidence(running=frozenset({"sshd"}), ports={"sshd": frozenset({22, 2222})}, root=tmp_path)
    (sshd,) = propose(services, evidence)
    assert sshd.port == "22,2222"


def test_the_usual_port_needs_no_setting(services: tuple[Service, ...], tmp_path: Path) -> None:
    evidence = Evidence(running=frozenset({"nginx"}), ports={"nginx": frozenset({80, 443})}, root=tmp_path)
    assert [(each.service.name, each.port) for each in propose(services, evidence)] == [("nginx-http-auth", "")]


def test_a_web_server_with_an_access_log_gets_the_jails_for_scanners(
    services: tuple[Service, ...], tmp_path: Path
) -> None:
    log = tmp_path / "var/log/nginx/access.log"
    log.parent.mkdir(parents=True)
    log.touch()
    found = propose(services, Evidence(units=frozenset({"nginx.service"}), root=tmp_path))
    assert set(names(found)) == {"nginx-http-auth", "web-secrets", "web-scanner"}


def test_a_log_that_only_one_jail_reads_tells_of_its_server(services: tuple[Service, ...], tmp_path: Path) -> None:
    log = tmp_path / "opt/mattermost/logs/mattermost.log"
    log.parent.mkdir(parents=True)
    log.touch()
    (found,) = propose(services, Evidence(root=tmp_path))
    assert (found.service.name, found.logs) == ("mattermost", (str(log),))


def test_every_program_belongs_to_a_jail_that_exists(services: tuple[Service, ...]) -> None:
    assert {*PROGRAMS, *AT_CHOICE} <= {service.name for service in services}


def test_the_written_directory_loads_without_a_finding(services: tuple[Service, ...], tmp_path: Path) -> None:
    evidence = Evidence(
        running=frozenset({"sshd", "dovecot"}),
        ports={"sshd": frozenset({2222})},
        ssh_peers=("203.0.113.9",),
        networks=("10.0.0.0/8",),
        root=tmp_path,
    )
    directory = tmp_path / "etc"
    write_directory(directory, jail_local(propose(services, evidence), evidence))
    settings = load(directory, journal=False)
    assert not settings.problems
    assert not settings.broken
    sshd, dovecot = settings.jails
    assert (sshd.name, sshd.options["port"], dovecot.name) == ("sshd", "2222", "dovecot")
    assert sshd.ignoreip == ("203.0.113.9", "10.0.0.0/8")
    assert sshd.escalation is not None


def test_without_an_ssh_server_no_jail_is_left_on(services: tuple[Service, ...], tmp_path: Path) -> None:
    evidence = Evidence(root=tmp_path)
    write_directory(tmp_path / "etc", jail_local((), evidence))
    assert load(tmp_path / "etc", journal=False).jails == ()


def test_files_that_are_there_stay_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "jail.conf").write_text("[DEFAULT]\nbantime = 99\n")
    _, kept = write_directory(tmp_path, "[sshd]\nenabled = true\n")
    assert kept == [tmp_path / "jail.conf"]
    assert "99" in (tmp_path / "jail.conf").read_text()
