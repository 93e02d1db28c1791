"""The built-in mail actions: fail2ban's mail actions by name, unless the site has changed their files.

A file of any fail2ban release counts as the original if its commands consist of words from fail2ban's files and still
send what the name promises. A command in the brackets, another mail program, a translation or an added `curl` are the
site's own, and run as written.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from guardhooks import ActionSpec
from guardhooks_core.actions.common.options import is_wanted_native


@dataclass(frozen=True, slots=True)
class Content:
    """What a message contains besides the ban and its reason.

    `lines` are lines of the log that name the address, `matches` the lines that were counted, `web` links to pages
    about the address. `buffered`: several bans are collected before a message is sent.
    """

    whois: bool = False
    lines: bool = False
    matches: bool = False
    hostname: bool = False
    web: bool = False
    buffered: bool = False


CONTENTS: Final = {
    "mail": Content(),
    "mail-whois": Content(whois=True),
    "mail-whois-lines": Content(whois=True, lines=True),
    "mail-buffered": Content(buffered=True),
    "sendmail": Content(),
    "sendmail-whois": Content(whois=True),
    "sendmail-whois-lines": Content(whois=True, lines=True),
    "sendmail-whois-matches": Content(whois=True, matches=True),
    "sendmail-whois-ipmatches": Content(whois=True, matches=True),
    "sendmail-whois-ipjailmatches": Content(whois=True, matches=True),
    "sendmail-geoip-lines": Content(whois=True, lines=True, hostname=True, web=True),
    "sendmail-buffered": Content(buffered=True),
}
"""The built-in actions. The country of `sendmail-geoip-lines` comes from whois."""

_VOCABULARY: Final = """
    about after against all are attempts available awk ban banned been bgp bin buffered cat com containing country cut
    dat date dest dev domaintools done dshield echo escape exit fail failures for from geoip geoipasnum geoiplookup
    grep has have here host hostname hosts html http https information ipfailures ipinfo ipjailfailures
    ipjailmatches ipmatches jail just lib line lines local logpath mail mailargs matches max missing more net null
    org output print printf program projecthoneypot query regards restored run sbin sender sendmail set share spamhaus
    started stopped subject successfully summary tail the then these tmp txt until usr var whois will with www
"""
_WORDS: Final = frozenset(_VOCABULARY.split())
"""The words of at least three letters in the commands of fail2ban's mail actions."""
_WORD: Final = re.compile(r"[^\W\d_]{3,}")
_NOTIFYING: Final = ("actionban", "actionstart", "actionstop")
_UNDOING: Final = ("actionunban", "actionflush", "actioncheck", "actionprolong", "actionreban", "actionreload")
_VALUES: Final = ("name", "actname", "dest", "sender", "sendername", "logpath", "tmpfile")
"""Parameters whose values appear in the commands, and may be any words."""


def is_builtin(action: ActionSpec) -> bool:
    """Whether this plugin serves the action: a built-in name, no `native = no`, and no changed file."""
    content = CONTENTS.get(action.name)
    if content is None or not is_wanted_native(action):
        return False
    return not is_customised(action, content)


def is_customised(action: ActionSpec, content: Content) -> bool:
    """Whether the action's file or brackets differ from fail2ban's file in what they do."""
    if any(action.options.get(key, "").strip() for key in _NOTIFYING):
        return True
    if any(action.get(key).strip() for key in _UNDOING):
        return True
    if action.file and not _sends(action.get("actionban"), content):
        return True
    return any(_foreign(action.get(key), action) for key in (*_NOTIFYING, "mailcmd"))


def _foreign(command: str, action: ActionSpec) -> bool:
    given = [each.get(key, "") for each in (action.options, action.properties) for key in _VALUES]
    return not _words(command) <= _WORDS | _words(" ".join(given))


def _words(text: str) -> set[str]:
    without_escapes = re.sub(r"\\+[nt]", " ", text)
    return {word.lower() for word in _WORD.findall(without_escapes)}


def _sends(command: str, content: Content) -> bool:
    promised = ["<ip>"]
    promised += ["whois"] if content.whois and not content.web else []
    promised += ["grep"] if content.lines else []
    promised += ["geoiplookup"] if content.web else []
    return all(text in command for text in promised) and (not content.matches or "matches>" in command)
