"""What attackers write never runs: through every way of quoting a tag, and through every stock file."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from guardhooks import Ban, Op, shell_script
from guardhooks.settings import load
from guardhooks_core.actions.common.hostnames import Hostnames
from guardhooks_core.actions.common.options import COMMANDS
from guardhooks_core.actions.shell.commands import Commands, has_commands
from guardhooks_core.actions.shell.tags import TagContext
from tests.core.actions.shell.kit import NOW, Bench, ban

FAIL2BAN = Path("/etc/fail2ban")

HOSTILE = [
    "$(touch CANARY)", "`touch CANARY`", "; touch CANARY;", "| touch CANARY", "|| touch CANARY", "&& touch CANARY",
    "& touch CANARY &", "\ntouch CANARY\n", "\r\ntouch CANARY\r\n", "'; touch CANARY; '", '"; touch CANARY; "',
    "'\"'\"'; touch CANARY; #", "\\'; touch CANARY; #", '\\"; touch CANARY; #', "~!touch CANARY", "\n~!touch CANARY\n",
    "-rf", "--version", "-e touch CANARY", "> CANARY", ">CANARY", "< /dev/zero", "<(touch CANARY)",
    "${x:=$(touch CANARY)}",
    "$f2bV_matches", "<matches>", "<F-USER>", "<actionban>", "*", "~root", "{a,b}", "!!", "%s%n%x", "\\c\\0", "\\", "'",
    '"',
    "\x1b[2J\x1b]0;owned\x07", "\x00touch CANARY", "\udcff\udc80", "\u202etxt.exe", "EOF\ntouch CANARY\n",
    "A" * 1_000_000, "$(touch CANARY)" * 70_000, "\n" * 1_000_000, "'\"`$(" * 200_000,
]  # fmt: skip
PLACES = [
    "<T>", "x<T>", "'<T>'", '"<T>"', '"a $(printf %s "<T>") b"', '"a `printf %s "<T>"` b"', "\"it's <T>\"",
    "'say \"<T>\"'",
    '"$(echo <T>)"', "--user=<T>", "# <T>\necho", "<T> <T>",
]  # fmt: skip


def everywhere(tag: str) -> str:
    """One command that has the tag in every place; each argument that looks like an option of it gives it away."""
    check = 'for word in "$@"; do case "$word" in -*) touch FOLDER/option;; esac; done'
    lines = [f"set -- x {place.replace('<T>', tag)}; shift; {check}" for place in PLACES if "--user" not in place]
    return "\n".join([*lines, f"cat <<EOF\n{tag}\nEOF", f"echo {tag} > FOLDER/done"])


@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: repr(value[:20]))
def test_nothing_runs(bench: Bench, value: str):
    value = value.replace("CANARY", str(bench.folder / "canary"))
    tags = ("<fid>", "<matches>", "<F-USER>", "<raw-ticket>")
    action = bench.action(actionban="\n".join(map(everywhere, tags)), actionunban=everywhere("<fid>"))
    hostile = ban(value, matches=(value, value), fields={"user": value})

    async def life() -> None:
        await bench.do(action, Op.START)
        await bench.do(action, Op.BAN, hostile)
        await bench.do(action, Op.UNBAN, hostile)

    asyncio.run(life())
    assert (bench.folder / "done").exists()
    assert {path.name for path in bench.folder.iterdir()} == {"done", "shell"}


def test_what_comes_from_the_log_is_not_expanded_again():
    context = TagContext("jail", "", NOW, ban("192.0.2.1", fields={"user": "<ip><name>"}))
    assert shell_script("echo '<F-USER>'", context.value).variables == {"f2bV_F_user": "<ip><name>"}


MARK = "pwnedMARK"


@pytest.mark.skipif(not FAIL2BAN.is_dir(), reason="needs fail2ban's stock files")
def test_no_stock_file_gets_an_attackers_text_as_shell_text(tmp_path: Path):
    config = tmp_path / "config"
    shutil.copytree(FAIL2BAN, config)
    names = sorted(path.stem for path in (config / "action.d").glob("*.conf"))
    sections = (f"[{name}]\nenabled = true\nfilter =\naction = {name}[lines=2]\n" for name in names)
    (config / "jail.local").write_text("".join(sections))
    actions = [action for jail in load(config).jails for action in jail.actions if has_commands(action)]
    assert len(actions) > 50
    hostile = Ban(
        f"$({MARK})", "jail", NOW, 60, matches=(f"'{MARK}", f'"{MARK}'), reason=MARK,
        fields={"user": f";{MARK}", "ip4": "192.0.2.1"},
    )  # fmt: skip
    for action in actions:
        commands = Commands(action, {})
        for family in commands.families:
            for command in COMMANDS:
                context = TagContext("jail", family, NOW, hostile)
                script = shell_script(commands.text(command, family), context.value)
                assert MARK not in script.text, (action.name, command)


@pytest.mark.parametrize("name", ["$(touch x)", "a b", "-rf", "a;b", "", "a" * 300, "\x1b[2J", "ü.example"])
def test_names_from_dns_are_names_or_nothing(name: str):
    assert asyncio.run(Hostnames(lambda _: name).of_address("192.0.2.1")) == ""


def test_names_from_dns():
    asked = []

    def lookup(address: str) -> str:
        asked.append(address)
        return "host.example"

    async def twice() -> list[str]:
        names = Hostnames(lookup)
        return [await names.of_address("192.0.2.1"), await names.of_address("192.0.2.1")]

    assert asyncio.run(twice()) == ["host.example"] * 2
    assert asked == ["192.0.2.1"]
