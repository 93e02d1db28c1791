"""What commands get to see: static tags by family, dynamic tags of a ban, and how values are put in place."""

import math
import subprocess

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from guardhooks import ActionError, ActionSpec, Ban, shell_script
from guardhooks.shell.quoting import Quote, tags
from guardhooks_core.actions.shell.commands import Commands, has_commands
from guardhooks_core.actions.shell.tags import TagContext, reversed_address
from tests.core.actions.shell.kit import NOW, Ledger, ban


def commands(options: dict[str, str] | None = None, **properties: str) -> Commands:
    ready = {key.replace("__family_", "?family="): text for key, text in properties.items()}
    return Commands(ActionSpec("a", "a", {"name": "j", **(options or {})}, ready), {"fq-hostname": "h.example"})


def test_static_tags_prefer_the_family():
    iptables = commands(actionban="<tool> -s <ip>", tool="iptables <lock>", lock="-w", tool__family_inet6="ip6tables")
    assert iptables.text("actionban", "inet4") == "iptables -w -s <ip>"
    assert iptables.text("actionban", "inet6") == "ip6tables -s <ip>"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<name>@<fq-hostname>", "j@h.example"),
        ("a<br>b<sp>c", "a\nb c"),
        ("<unknown> < file <ip>", "<unknown> < file <ip>"),
        ("<bantime>", "<bantime>"),
        ("<port>", "22"),
        ("<timeout>", "60"),
        ("<<inner>>", "22"),
    ],
)
def test_static_tags(text: str, expected: str):
    found = commands({"port": "22", "bantime": "7", "inner": "port"}, actionban=text)
    assert found.text("actionban", "") == expected


def test_a_tag_that_refers_to_itself_is_refused():
    with pytest.raises(ActionError, match="actionban: a tag refers to itself"):
        commands(actionban="<a>", a="x<b>", b="<a>").text("actionban", "")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("", 60), ("5", 5), ("1.5", 1.5), ("2m", 120), ("30 s", 30), ("1h", 3600), ("0", 60), ("2m # long", 120)],
)
def test_timeouts(text: str, seconds: float):
    assert commands({"timeout": text}).timeout == seconds


@pytest.mark.parametrize("text", ["soon", "5 parsec"])
def test_an_invalid_timeout_is_refused(text: str):
    with pytest.raises(ActionError, match="timeout"):
        _ = commands({"timeout": text}).timeout


def test_families_and_on_demand_follow_the_conditions():
    plain, conditional = commands(actionban="x"), commands(actionban="x", a__family_inet6="y")
    assert (plain.families, plain.on_demand) == (("",), False)
    assert (conditional.families, conditional.on_demand) == (("inet4", "inet6"), True)
    assert not commands(a__family_inet6="y", actionstart_on_demand="false").on_demand
    assert commands({"families": "inet6"}, a__family_inet6="y").families == ("inet6",)


def test_which_actions_have_commands():
    assert has_commands(ActionSpec("a", "a", {}, {"actionban": "x"}))
    assert not has_commands(ActionSpec("a", "a", {"port": "22"}, {"actionban": "  ", "type": "allports"}))


FULL = ban(
    "192.0.2.1", 86400.0, count=3, failures=5, matches=("line one", "line two"),
    fields={"user": "root", "fid": "the id", "port": None, "mlfid": ("a", None)},
)  # fmt: skip


@pytest.mark.parametrize(
    ("tag", "value"),
    [
        ("ip", "192.0.2.1"), ("fid", "192.0.2.1"), ("family", "inet4"), ("ip-rev", "1.2.0.192."), ("ip-host", "h.test"),
        ("failures", "5"), ("ipfailures", "7"), ("ipjailfailures", "3"), ("time", "1800000000"), ("bantime", "86400"),
        ("bancount", "3"), ("matches", "line one\nline two"), ("ipmatches", "line one\nline two"), ("restored", "0"),
        ("F-USER", "root"), ("F-ID", "192.0.2.1"), ("F-PORT", ""), ("F-NOBODY", ""), ("F-MLFID", "('a', None)"),
        ("jail.name", "jail"), ("jail.banned", "10"), ("jail.banned_total", "20"), ("jail.found", "30"),
        ("jail.found_total", "30"), ("jail.secret", None), ("nothing", None), ("IP", None),
    ],
)  # fmt: skip
def test_dynamic_tags(tag: str, value: str | None):
    assert TagContext("jail", "inet4", NOW, FULL, "h.test", Ledger()).value(tag) == value


def test_tags_of_commands_without_a_ban():
    context = TagContext("jail", "inet6", NOW, bantime=604800.0)
    assert [context.value(tag) for tag in ("family", "time", "ip", "F-USER")] == ["inet6", "1800000000", "", ""]
    assert [context.value(tag) for tag in ("bantime", "failures", "ip-host")] == ["604800", "0", "None"]


def test_permanent_and_restored():
    context = TagContext("jail", "", NOW, ban("x", math.inf, restored=True))
    assert (context.value("bantime"), context.value("restored"), context.value("ip")) == ("-1", "1", "x")


def test_the_address_of_a_text_id_is_its_offender():
    assert TagContext("jail", "", NOW, ban("session", fields={"ip4": "192.0.2.7"})).value("ip") == "192.0.2.7"
    assert TagContext("jail", "", NOW, ban("999.1.1.1")).value("ip") == "999.1.1.1"


def test_a_missing_name_or_family_is_none_as_scripts_expect():
    assert TagContext("jail", "", NOW, ban("192.0.2.1")).value("ip-host") == "None"
    assert TagContext("jail", "", NOW, ban("2001:db8::1")).value("family") == "inet6"
    assert TagContext("jail", "", NOW, ban("session")).value("family") == "None"


def test_reversed_addresses():
    assert reversed_address("2001:db8::/64") == "0." * 24 + "8.b.d.0.1.0.0.2."


@pytest.mark.parametrize(
    ("text", "quote", "begins"),
    [
        ("echo <x>", Quote.BARE, True),
        ("echo a<x>", Quote.BARE, False),
        ("--user=<x>", Quote.BARE, False),
        ('echo "<x>"', Quote.DOUBLE, True),
        ('echo "a <x>"', Quote.DOUBLE, False),
        ("echo '<x>'", Quote.SINGLE, True),
        (r'echo "\"" <x>', Quote.BARE, True),
        ("echo 'it'\\''s' <x>", Quote.BARE, True),
        ('echo "it\'s <x>"', Quote.DOUBLE, False),
        ('echo "$(grep "<x>")"', Quote.DOUBLE, True),
        ('echo "$(grep <x>)"', Quote.BARE, True),
        ('echo "`date` <x>"', Quote.DOUBLE, False),
        ("echo `date '+%s'` '<x>'", Quote.SINGLE, True),
        ("# it's a comment\necho <x>", Quote.BARE, True),
        ("echo $# '<x>'", Quote.SINGLE, True),
        ("(echo <x>)", Quote.BARE, True),
        ("cat <<EOF\nit's <x>\nEOF", Quote.HERE, False),
        ("cat <<-'EOF' | grep <x>\nit's\n\tEOF", Quote.BARE, True),
        ("cat <<EOF\nit's\nEOF\necho <x>", Quote.BARE, True),
        ("echo $((1<<2)) <x>", Quote.BARE, True),
        ("a <y><x>", Quote.BARE, True),
        ("'#' '<x>'", Quote.SINGLE, True),
        ("'\\' <x>", Quote.BARE, True),
    ],
)
def test_how_a_tag_is_quoted(text: str, quote: Quote, begins: bool):
    found = [tag for tag in tags(text) if tag.name == "x"]
    assert [(tag.quote, tag.begins) for tag in found] == [(quote, begins)]


def said(text: str, value: str) -> bytes:
    """What the shell makes of `text` when the tag `<x>` has that value."""
    script = shell_script(text, {"x": value}.get)
    environment = {key: text.encode(errors="replace") for key, text in script.variables.items()}
    return subprocess.run(["/bin/sh", "-c", script.text], env=environment, capture_output=True, check=True).stdout


SPELLINGS = ("<x>", '"<x>"', "'<x>'", '"$(printf %s <x>)"', '"`printf %s "<x>"`"', "''<x>''", '"a"<x>')


@settings(max_examples=60, deadline=None)
@given(
    st.text(st.characters(exclude_categories=["C", "Z"], include_characters=" \n\t"), max_size=20),
    st.sampled_from(SPELLINGS),
)
@example("$(echo pwned)", "'<x>'")
@example("'; echo pwned; '", "'<x>'")
@example('"; echo pwned; "', '"<x>"')
@example("-n", "<x>")
@example("a\n", '"$(printf %s <x>)"')
def test_a_value_arrives_as_it_is_however_it_is_quoted(value: str, spelling: str):
    dash = "_" if value.startswith("-") and not spelling.startswith('"a"') else ""
    lead = b"a" if spelling.startswith('"a"') else b""
    if "printf" in spelling:  # a command substitution drops newlines at the end of what it yields (POSIX sh, 2.6.3)
        value = value.rstrip("\n")
    assert said(f"printf '[%s]' {spelling}", value) == b"[" + lead + (dash + value).encode() + b"]"


def test_harmless_values_become_text_and_others_variables():
    script = shell_script("ban <ip> '<F-USER>' <ip>", {"ip": "2001:db8::/64", "F-USER": "a b"}.get)
    assert script.text == "ban 2001:db8::/64 ''\"${f2bV_F_user}\"'' 2001:db8::/64"
    assert script.variables == {"f2bV_F_user": "a b"}


def test_control_characters_do_not_reach_a_command():
    script = shell_script("<x>", {"x": "\x1b[31mred\x07\nnext\tcell\u202e\x00"}.get)
    assert script.variables["f2bV_x"] == "\\x1b[31mred\\x07\nnext\tcell\\u202e\\x00"


def test_long_values_are_cut_to_what_the_kernel_takes():
    assert len(shell_script("<x>", {"x": "é" * 1_000_000}.get).variables["f2bV_x"]) == 32_000


def test_text_ids_are_passed_unchanged():
    assert Ban("a", "j", 0, 1).id == shell_script("<fid>", {"fid": "a"}.get).text
