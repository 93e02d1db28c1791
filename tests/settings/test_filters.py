"""What a filter file says after both phases of substitution (sections 1.5 to 1.7)."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardhooks import ConfigError
from guardhooks.settings import load, load_filter
from tests.settings.conftest import ACTION, FILTER, JAIL, Write

LOGTYPES = "[lt_file]\np = F<q>\n[lt_journal]\np = J<q>\n[DEFAULT]\nlogtype = journal\nq = 1"


@pytest.mark.parametrize(
    ("text", "name", "failregex"),
    [
        ("failregex = <Foo>\nfoo = 1", "x", "1"),
        ("failregex = <ADDR>\naddr = mine", "x", "mine"),
        ("failregex = <ADDR>\n[Init]\naddr = mine", "x", "<ADDR>"),
        ("failregex = <m-<mode>> %(mode)s\nmode = a\nm-a = 1\nm-b = 2", "x", "1 a"),
        ("failregex = <m-<mode>> %(mode)s\nmode = a\nm-a = 1\nm-b = 2", "x[mode=b]", "2 b"),
        ("failregex = <v> %(v)s\nv = def\n[Init]\nv = init\n[DEFAULT]\nv = 0", "x", "init def"),
        ("failregex = <v> %(v)s\nv = def\n[Init]\nv = init", "x[v=b]", "b b"),
        ("failregex = <v>\n[Init]\nv = init", 'x[v="<known/v>|b"]', "init|b"),
        ("failregex = <v>\nv = def", 'x[v="<known/v>|b"]', "def|b"),
        ("failregex = def\n[Init]\nfailregex = init", "x", "init"),
        ("failregex = <s/w> %(s/w)s\nz = d\n[s]\nw = %(z)s\nz = s", "x", "s d"),
        (f"failregex = <lt_<logtype>/p>\n{LOGTYPES}", "x", "F1"),
        (f"failregex = <lt_<logtype>/p>\n{LOGTYPES}", "x[logtype=journal]", "J1"),
        ("failregex = <logtype>\nlogtype = short", "x", "short"),
        ("failregex = <logtype>\nlogtype = short", "x[logtype=rfc5424]", "rfc5424"),
        ("failregex = a\n\n  b\n  ; c", "x", "a|b"),
        ("failregex = <x>\n[Init]\nx = 4\n[Init?family=inet6]\nx = 6", "x", "<x>"),
        ("failregex = (?P<u>x)(?<=y)<HOST><F-USER>.</F-USER> < a>", "x", "(?P<u>x)(?<=y)<HOST><F-USER>.</F-USER> < a>"),
    ],
)  # fmt: skip
def test_failregex(write: Write, text: str, name: str, failregex: str) -> None:
    directory = write({"filter.d/x.conf": f"[Definition]\n{text}\n"})
    assert "|".join(load_filter(directory, name).failregex) == failregex


def test_layers_of_a_filter_refer_to_the_ones_below(write: Write) -> None:
    directory = write(
        {
            "filter.d/x.conf": "[INCLUDES]\nbefore = base.conf\n[Definition]\np = %(known/p)s x\nfailregex = %(p)s\n",
            "filter.d/base.conf": "[DEFAULT]\np = base\n",
            "filter.d/x.local": "[Definition]\np = %(known/p)s local\n",
            "filter.d/x.d/more.conf": "[Definition]\np = %(known/p)s more\n",
        }
    )
    assert load_filter(directory, "x").failregex == ("base x more local",)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("failregex = %(nope)s", "x.conf:2: [Definition] failregex: %(nope)s is not set"),
        ("failregex = <a>\na = <b>\nb = <a>", "x.conf:2: [Definition] failregex: <a> refers to itself"),
        ("maxlines = all", "x.conf:2: [Definition] maxlines: 'all' is not a whole number from 1 to 10000"),
    ],
)
def test_an_error_names_its_place_in_the_filter(write: Write, text: str, says: str) -> None:
    directory = write({"filter.d/x.conf": f"[Definition]\n{text}\n"})
    with pytest.raises(ConfigError) as caught:
        load_filter(directory, "x")
    assert says in str(caught.value)


def test_a_filter_that_is_none_is_refused(write: Write) -> None:
    directory = write({"filter.d/x.conf": "[Init]\na = 1\n", "filter.d/y.conf/z": ""})
    with pytest.raises(ConfigError, match="has no section"):
        load_filter(directory, "x")
    with pytest.raises(ConfigError, match="not a regular file"):
        load_filter(directory, "y")
    with pytest.raises(ConfigError, match="did you mean 'sshd'"):
        load_filter(directory, "sshdd")


LINE = st.text(alphabet="[]=%()s<>/abfj \n;,\"'?", max_size=25)
OPTION = st.tuples(st.sampled_from(["failregex", "filter", "action", "logpath", "a", "bantime", "ignoreip"]), LINE)


@settings(max_examples=50, deadline=None)
@given(st.lists(OPTION, max_size=6), st.lists(OPTION, max_size=6), LINE)
def test_any_configuration_loads_with_problems_at_worst(
    options: list[tuple[str, str]], filter_: list[tuple[str, str]], junk: str
) -> None:
    with TemporaryDirectory() as folder:
        directory = Path(folder)
        own = "".join(f"{key} = {text}\n" for key, text in options)
        defined = "".join(f"{key} = {text}\n" for key, text in filter_)
        for name, text in (("filter.d/f.conf", FILTER + defined), ("action.d/a.conf", ACTION + junk + defined)):
            (directory / name).parent.mkdir()
            (directory / name).write_text(text)
        (directory / "jail.conf").write_text(JAIL + own + junk)
        found = load(directory, journal=False)
        assert "j" in {jail.name for jail in found.jails} | found.broken.keys() or found.problems
        with suppress(ConfigError):
            load_filter(directory, junk)
