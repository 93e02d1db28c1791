"""fail2ban's files are served natively, whatever release they are of; what a site made of them is left to it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import guardhooks
from guardhooks import ActionSpec
from guardhooks.settings import load
from guardhooks_core.actions.mail.builtin_actions import CONTENTS, is_builtin
from guardhooks_core.actions.mail.parameters import OPTIONS as JAIL_OPTIONS

FAIL2BAN = Path("/etc/fail2ban")
needs_stock = pytest.mark.skipif(not FAIL2BAN.is_dir(), reason="needs fail2ban's stock files")


def actions(folder: Path, words: str, **files: str) -> dict[str, ActionSpec]:
    """The actions of a jail under Debian's configuration, with some files of the site's own in action.d."""
    config = folder / "config"
    shutil.copytree(FAIL2BAN, config)
    shutil.rmtree(config / "jail.d")
    for name, text in files.items():
        (config / "action.d" / name.replace("__", ".").replace("_", "-")).write_text(text)
    (config / "jail.local").write_text(f"[plain]\nenabled = true\nfilter =\nlogpath = /nowhere\naction = {words}\n")
    [jail] = load(config).jails
    return {action.name: action for action in jail.actions}


@needs_stock
def test_all_mail_actions_of_the_installed_fail2ban_are_served(tmp_path: Path):
    names = sorted(path.stem for path in (FAIL2BAN / "action.d").glob("*mail*.conf") if "common" not in path.stem)
    found = actions(tmp_path, "\n ".join(f'{name}[dest="a@example.org", sender=b@example.org]' for name in names))
    assert set(names) == set(CONTENTS) == set(found)
    assert [name for name in names if not is_builtin(found[name])] == []


@needs_stock
@pytest.mark.parametrize("shortcut", ["action_mw", "action_mwl"])
@pytest.mark.parametrize("mta", ["mail", "sendmail"])
def test_the_shortcuts_are_served(tmp_path: Path, shortcut: str, mta: str):
    found = actions(tmp_path, f"%({shortcut})s\nmta = {mta}")
    name = f"{mta}-whois{'-lines' if shortcut.endswith('l') else ''}"
    assert is_builtin(found[name])


@pytest.mark.parametrize("shortcut", ["action_mw", "action_mwl"])
def test_our_own_configuration_has_the_shortcuts_too(tmp_path: Path, shortcut: str):
    config = tmp_path / "config"
    shutil.copytree(Path(guardhooks.__file__).parent / "config", config)
    ours = "".join(f"mail.{option} = 1\n" for option in JAIL_OPTIONS)
    (config / "jail.local").write_text(f"[DEFAULT]\naction = %({shortcut})s\n[sshd]\n{ours}")
    settings = load(config)
    [jail] = settings.jails
    assert (jail.problems, settings.problems) == ((), ())
    [mail] = [action for action in jail.actions if action.name.startswith("sendmail-whois")]
    assert is_builtin(mail)
    assert not mail.file
    assert mail.get("dest") == "root"
    assert ("auth.log" in mail.get("logpath")) == (shortcut == "action_mwl")


@needs_stock
@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("sendmail_whois__local", "[Definition]\nactionban = curl -d <ip> https://chat.example\n"),
        ("sendmail_whois__local", '[Definition]\nactionban = echo "<ip> a été bannie" | <mailcmd>; whois <ip>\n'),
        ("sendmail_whois__local", '[Definition]\nactionban = echo "<ip>" | <mailcmd>\n'),
        ("sendmail_whois__local", "[Definition]\nactionban =\n"),
        ("sendmail_whois__local", "[Definition]\nactionunban = touch /tmp/x\n"),
        ("sendmail_common__local", "[Definition]\nactionstart = logger hello\n"),
        ("sendmail_common__local", "[Init]\nmailcmd = msmtp -t\n"),
        ("sendmail_whois__conf", "[Definition]\nactionban = telegram <ip>\nnorestored = 1\n"),
    ],
)
def test_what_the_site_changed_is_left_to_its_file(tmp_path: Path, file: str, text: str):
    assert not is_builtin(actions(tmp_path, "sendmail-whois", **{file: text})["sendmail-whois"])


@needs_stock
@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("sendmail_common__local", "[Definition]\nactionstart =\nactionstop =\n"),
        ("sendmail_common__local", "[Init]\ndest = somebody@example.org\nsendername = Wächter vom Dienst\n"),
        ("sendmail_common__local", '[Init]\nmailcmd = /usr/lib/sendmail -f "<sender>" "<dest>"\n'),
    ],
)
def test_other_values_for_the_same_commands_change_nothing(tmp_path: Path, file: str, text: str):
    assert is_builtin(actions(tmp_path, "sendmail-whois", **{file: text})["sendmail-whois"])


@pytest.mark.parametrize(
    ("options", "ours"),
    [({}, True), ({"native": "no"}, False), ({"actionban": "echo <ip>"}, False), ({"actionstart": ""}, True)],
)
def test_brackets(options: dict[str, str], ours: bool):
    assert is_builtin(ActionSpec("mail-whois", "mail-whois", options)) is ours


def test_other_actions_are_not_ours():
    assert not is_builtin(ActionSpec("complain", "complain"))
    assert not is_builtin(ActionSpec("sendmail-common", "x"))
