"""Tells fail2ban's own firewall commands, which a plugin replaces, from those that a site wrote itself.

A file of any fail2ban release counts as the original if its `actionban` and `actionunban` do what fail2ban's do and the
other commands consist of words from fail2ban's files. Everything else is the site's own, and runs as written.
"""

from __future__ import annotations

import re
from typing import Final

from guardhooks import ActionSpec
from guardhooks_core.actions.common.options import COMMANDS

_VOCABULARY: Final = """
    add chain check counter create delete destroy dev done dport dports echo element exist f2b fail2ban family filter
    flush for grep handle hash hdl hook inet input insert iphash ip6tables ipset iptables khandle l4proto list match
    maxelem meta multiport new nft null priority proto read return rule saddr sed set src state table tcp timeout true
    type while xargs
"""
_WORDS: Final = frozenset(_VOCABULARY.split())
"""The words of fail2ban's firewall commands; those shorter than three letters are not looked at."""
_WORD: Final = re.compile(r"[^\W\d_][^\W_]{2,}|\d{2,}")
_TAG: Final = re.compile(r"<[\w?/=-]+>")
_BANNING: Final = {"actionban": "add", "actionprolong": "add", "actionreban": "add", "actionunban": "delete"}
_BUILDING: Final = ("actionstart", "actionstop", "actionflush", "actioncheck", "actionrepair", "actionreload")


def has_stock_commands(action: ActionSpec) -> bool:
    """Whether the action has no commands but fail2ban's own: none at all, or those of a stock file."""
    if any(action.options.get(key, "").strip() for key in COMMANDS):
        return False
    patterns = {"add": _pattern(action, "-I", "add", " 1"), "delete": _pattern(action, "-D", "del(?:ete)?", "")}
    for key, does in _BANNING.items():
        text = _plain(action.get(key))
        if text and not patterns[does].fullmatch(text):
            return False
    values = (*action.options.values(), *(text for key, text in action.properties.items() if key not in COMMANDS))
    known = _WORDS | {word for value in values for word in _words(value)}
    return all(_words(_TAG.sub(" ", action.get(key))) <= known for key in _BUILDING)


def _pattern(action: ActionSpec, flag: str, verb: str, position: str) -> re.Pattern[str]:
    """What a stock `actionban` or `actionunban` looks like, with what the options have been put in for."""
    name = rf"(?:f2b|fail2ban)-(?:<name>|{re.escape(action.get('name'))})6?"
    target = rf"(?:<blocktype>|{re.escape(_plain(action.get('blocktype')))})"
    iptables = rf"(?:<iptables>|ip6?tables(?: <lockingopt>| -w)?) {flag} {name}{position} -s <ip> -j {target}"
    set_name = rf"(?:<ipmset>|{name})"
    ipset = (
        rf"(?:ipset --test {set_name} <ip> (?:\|\||&&) )?"
        rf"ipset (?:-exist |--)?{verb} {set_name} <ip>(?: timeout (?:<[\w-]+>|\d+))?(?: -exist)?"
    )
    place = r"[\w<>-]+ [\w<>-]+ (?:<[\w-]+>|[\w-]+)"
    nftables = rf"(?:<nftables>|nft) {verb} element {place} \\?\{{ <ip> \\?\}}"
    return re.compile("|".join((iptables, ipset, nftables)))


def _plain(text: str) -> str:
    return " ".join(text.split())


def _words(text: str) -> set[str]:
    return {word.lower() for word in _WORD.findall(text)}
