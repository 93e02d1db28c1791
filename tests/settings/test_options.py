"""Declared options: every type reads back what it writes, and every row of the tables can be parsed and shown."""

from __future__ import annotations

import runpy
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardhooks import ConfigError, Jail, Option, OptionTable, option_types
from guardhooks.settings import jail_options, load
from guardhooks.settings.daemon_options import SECTIONS
from guardhooks.settings.declared import HOST_TABLES, DeclaredOptions
from guardhooks.settings.definitions import PACKAGED
from guardhooks.settings.ini import Value, read_ini
from guardhooks.settings.interpolation import Scope
from guardhooks.settings.merged import MergedConfig
from guardhooks.settings.option import Setting
from guardhooks.settings.option_types import render_duration
from guardhooks.settings.reader import OptionReader
from guardhooks.settings.times import parse_duration
from tests.settings.conftest import Write

ROOT = Path(__file__).parents[2]
EVERY = [(table, option) for table in HOST_TABLES for option in table]


@pytest.mark.parametrize(("table", "option"), EVERY, ids=[f"{table.place}-{option.name}" for table, option in EVERY])
def test_every_default_can_be_written_and_read_back(table: OptionTable, option: Option[Any]) -> None:
    assert table.title
    assert option.help
    text = option.type.render(option.default)
    if text and not option.default_text:
        assert option.parse(text) == option.default


@settings(deadline=None)
@given(st.one_of(st.integers(0, 10**12), st.floats(0.001, 1e9)))
def test_a_time_is_read_back_as_it_was_written(seconds: float) -> None:
    assert parse_duration(render_duration(seconds)) == seconds


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0"), (90, "90s"), (600, "10m"), (86400, "1d"), (2592000, "30d"), (0.5, "0.5")]
)
def test_times_are_shown_in_the_largest_unit(seconds: float, text: str) -> None:
    assert render_duration(seconds) == text


@pytest.mark.parametrize(
    ("type_", "text", "says"),
    [
        (option_types.BOOLEAN, "y", "neither true nor false"),
        (option_types.integer(1, 5), "six", "'six' is not a whole number from 1 to 5"),
        (option_types.integer(1, 5, nearest=False), "6", "'6' is not a whole number from 1 to 5"),
        (option_types.integer(1, 5), "9" * 5000, "is not a whole number"),
        (option_types.number(1, 5), "1e9", "'1e9' is not a number from 1 to 5"),
        (option_types.number(), "x", "is not a number"),
        (option_types.DURATION, "0", "a time greater than 0"),
        (option_types.duration(60, 3600), "2 hrs", "'2 hrs' is not a time"),
        (option_types.choice("dmz", "lan"), "dmzz", "did you mean 'dmz'"),
        (option_types.PATH, "etc/x", "not an absolute path"),
    ],
)
def test_what_is_not_allowed_is_refused_in_one_short_line(
    type_: option_types.OptionType[Any], text: str, says: str
) -> None:
    with pytest.raises(ConfigError) as refusal:
        Option("o", type_, None, "help").parse(text)
    assert says in str(refusal.value)
    assert len(str(refusal.value)) < 300


@pytest.mark.parametrize(
    ("type_", "text", "value", "remark"),
    [
        (option_types.integer(1, 5), "6", 5, "'6' is taken as 5: only a whole number from 1 to 5 is possible"),
        (option_types.integer(1, 5), "-3", 1, "'-3' is taken as 1"),
        (option_types.integer(0, 5, below=1), "-3", 1, "'-3' is taken as 1"),
        (option_types.integer(1, 5), "3 # three", 3, "'3 # three' is taken as 3; write comments on lines of their own"),
        (option_types.integer(1, 5), "3", 3, ""),
        (option_types.number(1, 120), "0", 1, "'0' is taken as 1: only a number from 1 to 120 is possible"),
        (option_types.duration(60, 3600), "2h", 3600, "'2h' is taken as 1h: only a time from 1m to 1h is possible"),
        (option_types.duration(1, below=60), "0", 60, "'0' is taken as 1m"),
        (option_types.DURATION, "1w # a week", 604800, "'1w # a week' is taken as 1w"),
        (option_types.TEXT, "a # b", "a # b", ""),
    ],
)
def test_what_is_out_of_range_means_the_nearest_and_that_is_said(
    type_: option_types.OptionType[Any], text: str, value: object, remark: str
) -> None:
    option = Option("o", type_, None, "help")
    assert option.parse(f" {text} ") == value
    assert option.remark(f" {text} ").startswith(remark)
    assert bool(option.remark(text)) is bool(remark)


def test_a_setting_says_where_it_comes_from_and_hides_secrets(write: Write) -> None:
    config = MergedConfig()
    config.merge(read_ini(write({"x.conf": "[s]\na = 1h\ntoken = hunter2\n"}) / "x.conf"))
    problems: list[Any] = []
    reader = OptionReader(Scope(config, "s"), problems)
    set_, unset = Option("a", option_types.DURATION, 60.0, "a"), Option("b", option_types.DURATION, 60.0, "b")
    secret = Option("token", option_types.TEXT, "", "t", secret=True)
    found = reader.setting(set_)
    assert (found.value, found.text, found.origin.rpartition("/")[2]) == (3600, "1h", "x.conf:2")
    assert (reader.setting(unset).text, reader.setting(unset).origin) == ("1m", "default")
    assert "hunter2" not in reader.setting(secret).text
    assert reader.value(secret) == "hunter2"
    assert Setting(secret, "").text == ""
    assert Setting(set_, 1.0, Value("1", "f", 3)).origin == "f:3"


def test_defaults_of_jails_are_those_of_a_jail_made_by_hand(write: Write) -> None:
    [found] = load(write({})).jails
    by_hand = Jail("j")
    names = {option.name for option in jail_options.FAIL2BAN_TABLE} | {o.name for o in jail_options.OWN_TABLE}
    same = [field.name for field in fields(Jail) if field.name in names - {"filter"}]
    assert len(same) > 8
    assert {name: getattr(found, name) for name in same} == {name: getattr(by_hand, name) for name in same}


@pytest.mark.parametrize("section", SECTIONS)
def test_the_packaged_file_of_the_daemon_shows_every_option(section: str) -> None:
    written = read_ini(PACKAGED / "guardhooks.conf").sections[section]
    assert list(written) == [option.name for option in SECTIONS[section]]
    for option in SECTIONS[section]:
        option.parse(written[option.name].text)


def test_the_page_of_all_options_is_up_to_date() -> None:
    script = ROOT / "docs" / "generate.py"
    if not script.is_file():
        pytest.skip("not run from a checkout")
    generated = runpy.run_path(str(script))
    assert generated["CONFIGURATION"].read_text() == generated["configuration"](), f"run python {script}"


def test_tables_of_plugins_are_known_beside_those_of_the_host() -> None:
    zone = Option("zone", option_types.TEXT, "", "the zone")
    declared = DeclaredOptions([OptionTable("action", (zone,), names=("edge",))])
    assert "zone" in declared.names("action", "edge")
    assert "zone" not in declared.names("action", "other")
    assert "name" in declared.names("action", "other")
    assert declared.is_served("edge")
    assert not declared.is_served("other")
