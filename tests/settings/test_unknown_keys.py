"""Keys and bracket options that nobody reads are reported where they stand, with the nearest name that is read."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from guardhooks import Option, OptionTable, Problem, option_types
from guardhooks.settings import load
from tests.settings.conftest import Write

ZONE = Option("zone", option_types.TEXT, "", "the zone")
DECLARED = (
    OptionTable("action", (ZONE,), names=("edge",)),
    OptionTable("action", (Option("maxelem", option_types.TEXT, "", "room"),), names=("a",)),
    OptionTable("jail", (Option("geoip.countries", option_types.WORDS, (), "countries"),)),
    OptionTable("filter", (Option("format", option_types.TEXT, "", "the format"),), names=("f",)),
)


def problems(write: Write, jail: str, files: Mapping[str, str] | None = None) -> list[Problem]:
    settings = load(write({**(files or {}), "jail.local": f"[j]\n{jail}\n"}), DECLARED)
    assert not settings.broken
    return [*settings.problems, *settings.jails[0].problems]


@pytest.mark.parametrize(
    ("line", "key", "says"),
    [
        ("reconcile = 5", "reconcile", "is an option of the daemon and has no effect here"),
        ("disable = mail", "disable", "is an option of the daemon"),
        ("geoip.contries = NL", "geoip.contries", "did you mean 'geoip.countries'?"),
        ("geoip.x = NL", "geoip.x", "no such option"),
        ("action = a[nam=x]", "action", "action a has no option 'nam'; did you mean 'name'?"),
        ("action = a[maxelm=5]", "action", "action a has no option 'maxelm'; did you mean 'maxelem'?"),
        ("action = a[prt=5]", "action", "did you mean 'port'?"),
        ("action = a[colour=red]", "action", "; allowed: actname, bantime, "),
        ("action = a[prt?family=inet6=5]", "action", "did you mean 'port'?"),
        ("banaction = a[nam=x]\naction_ = %(banaction)s[port=1]\naction = %(action_)s", "banaction", "'nam'"),
        ("action = edge[zne=1]", "action", "action edge has no option 'zne'; did you mean 'zone'?"),
        ("filter = f[lgtype=x]", "filter", "filter f has no option 'lgtype'; did you mean 'logtype'?"),
        ("filter = f[mod=x]", "filter", "did you mean 'mode'?"),
    ],
)
def test_what_nobody_reads_is_reported_once_with_its_line(write: Write, line: str, key: str, says: str) -> None:
    [problem] = problems(write, line)
    assert (problem.section, problem.key, problem.line) == ("j", key, 2)
    assert problem.file.endswith("/jail.local")
    assert says in problem.message
    assert not problem.fatal


@pytest.mark.parametrize(
    "line",
    [
        "mine = 1\nport = %(mine)s",
        "mine = 1\naction = a[port=%(mine)s]",
        "other.key = 1",
        "geoip.countries = NL",
        "action = a[port=1, protocol=tcp, chain=X, name=x, actname=y, bantime=5, norestored=1, actionban=b]",
        "action = a[port?family=inet6=1]",
        "action = a[maxelem=5]",
        "action = a[foo=1, port=<foo>]",
        "action = b[own=1, In=2, cmd-x=3, deep=4, inner=5, low=6]",
        "action = edge[zone=1]",
        "action = nobody-knows[colour=red]",
        "action = mine.py[colour=red]",
        "filter = f[mode=x, logtype=file, failregex='x <HOST>', usedns=no, format=json]",
        "filter = g[own=1, mdre-ddos=2, agents=3]",
        "filter = f[mine=1]\nfailregex = %(known/mine)s <HOST>",
    ],
)
def test_what_something_reads_is_not_reported(write: Write, line: str) -> None:
    files = {
        "action.d/b.conf": "[INCLUDES]\nbefore = base.conf\n[Definition]\nactionban = <own> %(in)s <cmd-<k>>\nk = x\n",
        "action.d/base.conf": "[Definition]\nactionban = <deep>\n[Init]\ninner = 1\n[Init?family=inet6]\nlow = 1\n",
        "filter.d/g.conf": "[Definition]\nfailregex = ^<own> <mdre-<mode>> <HOST> <lt_<logtype>/p>\nmode = n\n"
        "mdre-n = x\n[Init]\nagents = 1\n[lt_file]\np = 1\n",
    }  # fmt: skip
    assert [problem for problem in problems(write, line, files) if "option" in problem.message] == []


def test_keys_of_the_daemon_in_the_defaults_of_jails_are_reported(write: Write) -> None:
    [problem] = load(write({"jail.local": "[DEFAULT]\nloglevel = DEBUG\n"})).problems
    assert (problem.section, problem.key, problem.line) == ("DEFAULT", "loglevel", 2)
    assert load(write({"jail.local": "[DEFAULT]\nstate = x\n[j]\nport = %(state)s\n"})).problems == ()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[Guardhooks]\nreconcil = 5\n", "did you mean 'reconcile'?"),
        ("[Guardhooks]\ndisable = mail\n", "it belongs in section [Plugins]"),
        ("[Guardhooks]\nbantime = 1h\n", "it belongs in jail.local"),
        ("[Guardhook]\nreconcile = 5\n", "no such section; did you mean 'Guardhooks'?"),
        ("[Guardhooks]\nreconcile = no\n", "or units such as 10m, 1h30m, 1d, 2w; 30s is used instead"),
    ],
)
def test_what_is_wrong_in_the_file_of_the_daemon_is_reported(write: Write, text: str, says: str) -> None:
    [problem] = load(write({"guardhooks.conf": text})).problems
    assert says in problem.message
    assert problem.line == 2


def test_without_the_plugins_brackets_of_actions_are_not_judged(write: Write) -> None:
    [found] = load(write({"jail.local": "[j]\naction = a[nam=x]\n"})).jails
    assert found.problems == ()
