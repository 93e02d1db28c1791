"""`ban` and `unban` against a daemon: what is there already, lists, reasons, and what other jails still ban."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cli.running import Site, make_site


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = make_site(tmp_path_factory.mktemp("by-hand"))
    with site.running():
        yield site


@pytest.fixture
def live(daemon: Site) -> Site:
    """A daemon that bans nobody."""
    daemon.guardhooks("unban", "--all")
    return daemon


def answer_of(live: Site, *arguments: str, code: int = 0) -> dict[str, Any]:
    done = live.guardhooks(*arguments, "--json")
    assert done.returncode == code, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_a_shorter_ban_over_one_that_is_there_needs_replace(live: Site) -> None:
    answer_of(live, "ban", "app", "198.51.100.1", "--for", "1h")
    refused = live.guardhooks("ban", "app", "198.51.100.1", "--for", "60")
    assert refused.returncode == 1
    assert "--replace" in refused.stderr
    (shorter,) = answer_of(live, "ban", "app", "198.51.100.1", "--for", "60", "--replace")["banned"]
    assert shorter["length"] == 60
    (longer,) = answer_of(live, "ban", "app", "198.51.100.1", "--for", "2h")["banned"]
    assert longer["length"] == 7200


def test_a_reason_is_shown(live: Site) -> None:
    answer_of(live, "ban", "app", "198.51.100.1", "--reason", "ticket 4711")
    (ban,) = answer_of(live, "status", "app")["banned"]
    assert ban["reason"] == "ticket 4711"


def test_json_answers_when_some_are_refused(live: Site) -> None:
    answer = answer_of(live, "ban", "app", "198.51.100.1", "127.0.0.1", code=1)
    assert [ban["id"] for ban in answer["banned"]] == ["198.51.100.1"]
    assert [(each["id"], "own address" in each["reason"]) for each in answer["refused"]] == [("127.0.0.1", True)]


def test_ids_come_from_standard_input(live: Site) -> None:
    text = "198.51.100.1 198.51.100.2 # from the list\n\n# nobody\n2001:DB8::1\n"
    command = [sys.executable, "-m", "guardhooks", "ban", "app", "-", "--json", *live.place()]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
    banned = {ban["id"] for ban in json.loads(done.stdout)["banned"]}
    assert banned == {"198.51.100.1", "198.51.100.2", "2001:db8::1"}


def test_an_unban_in_one_jail_names_those_that_still_ban(live: Site) -> None:
    for jail in ("app", "other"):
        answer_of(live, "ban", jail, "198.51.100.1")
    done = live.guardhooks("unban", "198.51.100.1", "--jail", "app")
    assert done.returncode == 0
    assert "198.51.100.1 is still banned by other" in done.stdout
    assert "still banned" not in live.guardhooks("unban", "198.51.100.1").stdout
