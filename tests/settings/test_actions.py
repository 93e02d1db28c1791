"""From `action =` to `ActionSpec`s: identities, parameters, what reaches whom, and what one bad action costs."""

from __future__ import annotations

import pytest

from guardhooks import ActionSpec, Jail
from guardhooks.settings import load
from tests.settings.conftest import Write


def jail(write: Write, action: str, **files: str) -> Jail:
    names = {f"action.d/{name}.conf": text for name, text in files.items()}
    indented = action.replace("\n", "\n  ")
    [found] = load(write({**names, "jail.local": f"[j]\nbantime = 1h\nport = 99\naction = {indented}\n"})).jails
    return found


def action(write: Write, text: str, definition: str) -> ActionSpec:
    [found] = jail(write, text, x=definition).actions
    return found


@pytest.mark.parametrize(
    ("text", "actnames"),
    [
        ("a", ["a"]),
        ("a[name=j]", ["a"]),
        ("a[name=j-tcp] a[name=j-udp]", ["a-tcp", "a-udp"]),
        ("a[name=other]", ["a-other"]),
        ("a[actname=z, name=other]", ["z"]),
        ("a\nb[x=1]\n  [y=2] c", ["a", "b", "c"]),
        ("smtp.py[dest=me]", ["smtp"]),
    ],
)
def test_actname(write: Write, text: str, actnames: list[str]) -> None:
    found = jail(write, text)
    assert [spec.actname for spec in found.actions] == actnames
    assert found.problems == ()


def test_options_and_properties_of_an_action_file(write: Write) -> None:
    definition = (
        "[Definition]\nactionstart = start <chain> <name> <kind>\nactionban = <tool> <ip> <chain> <timeout> <bantime>\n"
        "kind = secret\nnorestored = 1\n[Init]\nchain = INPUT\ntool = t4 <chain>\ntimeout = 5m\nName = ignored\n"
        "[Init?family=inet6]\ntool = t6\n"
    )
    spec = action(write, 'x[chain="<known/chain>2", q=1]', definition)
    assert spec.options == {"chain": "INPUT2", "q": "1", "name": "j", "actname": "x"}
    assert spec.properties == {
        "actionstart": "start INPUT2 j secret",
        "actionban": "<tool> <ip> INPUT2 <timeout> <bantime>",
        "norestored": "1",
        "chain": "INPUT",
        "tool": "t4 <chain>",
        "tool?family=inet6": "t6",
        "timeout": "5m",
        "name": "ignored",
    }
    assert spec.file.endswith("/action.d/x.conf")


def test_a_bracket_option_speaks_for_both_families_unless_one_is_named(write: Write) -> None:
    definition = "[Definition]\nactionban = <b>\n[Init]\nb = 4\nc = 4\n[Init?family=inet6]\nb = 6\nc = 6\n"
    spec = action(write, "x[b=drop, c=drop, c?family=inet6=drop6]", definition)
    assert spec.get("actionban") == "drop"
    assert "b?family=inet6" not in spec.properties
    assert spec.get("c?family=inet6") == "drop6"


def test_options_of_the_jail_reach_the_action_file_before_its_own(write: Write) -> None:
    definition = (
        "[Definition]\nactionban = %(logpath)s <logpath> %(bantime)s <kept> <port>\nlogpath = /dev/null\n"
        "[Init]\nkept = init\n"
    )
    spec = action(write, "x[kept=<known/kept>]", definition)
    assert spec.get("actionban") == "/var/log/x /var/log/x 1h init <port>"
    spec = action(write, "x", "[Definition]\nactionban = <logpath>\n[Init]\nlogpath = mine\n")
    assert spec.get("actionban") == "mine"


def test_an_action_without_any_file_is_left_to_plugins(write: Write) -> None:
    [spec] = jail(write, 'firewall9[chain="<known/chain>", port=1]').actions
    assert spec == ActionSpec("firewall9", "firewall9", {"port": "1", "name": "j", "actname": "firewall9"})


@pytest.mark.parametrize(
    ("text", "left", "says"),
    [
        ("a b[x]", ["a"], "'b' is left out: [x]: expected"),
        ("a\nb[x=%(nope)s]", ["a"], "%(nope)s is not set"),
        ("a[port=%(port)s]\nb[x=%(nope)s]\nc[port=%(port)s]\nd[y=%(port)s]", ["a", "c", "d"], "%(nope)s is not set"),
        ("a[x=1] a[x=2]", ["a"], "actname 'a' already"),
        ("bad a", ["a"], "'bad' is left out: <loop> refers to itself"),
        ("wrong a", ["a"], "%(nope)s is not set"),
    ],
)
def test_one_bad_action_costs_itself(write: Write, text: str, left: list[str], says: str) -> None:
    loop = "[Definition]\nactionban = <loop>\nloop = x <loop>\n"
    found = jail(write, text, bad=loop, wrong="[Definition]\nactionban = %(nope)s\n")
    [problem] = found.problems
    assert [spec.actname for spec in found.actions] == left
    assert says in problem.message
    assert problem.line > 0
    assert not problem.fatal


def test_no_action_at_all_is_told_unless_it_is_meant(write: Write) -> None:
    [found] = load(write({"jail.conf": "[j]\nenabled = 1\nfilter = f\nlogpath = /x\n"})).jails
    assert "nobody gets banned" in found.problems[0].message
    assert jail(write, "").problems == ()
