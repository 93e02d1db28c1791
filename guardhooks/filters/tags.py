"""The matching tags of filter.d (`<HOST>`, `<F-USER>…</F-USER>`, `<SKIPLINES>`) as Python regex text."""

from __future__ import annotations

import re
from typing import Final

IP4: Final = r"(?:::f{4,6}:)?(?P<ip4>(?:\d{1,3}\.){3}\d{1,3})"
IP6: Final = r"(?P<ip6>(?:[0-9a-fA-F]{1,4}::?|:){1,7}(?:[0-9a-fA-F]{1,4}|(?<=:):))"
ADDR: Final = rf"\[?(?:{IP4}|{IP6})\]?"
DNS: Final = r"(?P<dns>[\w\-.^_]*\w)"
CIDR: Final = r"(?P<cidr>\d+)"
SUBNET: Final = rf"\[?(?:{IP4}|{IP6})(?:/{CIDR})?\]?"

_FIXED: Final = {
    "<HOST>": rf"(?:{ADDR}|{DNS})",
    "<IP4>": IP4,
    "<IP6>": IP6,
    "<ADDR>": ADDR,
    "<DNS>": DNS,
    "<CIDR>": CIDR,
    "<SUBNET>": SUBNET,
    "<F-IP4/>": IP4,
    "<F-IP6/>": IP6,
    "<F-ADDR/>": ADDR,
    "<F-DNS/>": DNS,
    "<F-CIDR/>": CIDR,
    "<F-SUBNET/>": SUBNET,
    "<F-ID/>": r"(?P<fid>\S+)",
    "<F-PORT/>": r"(?P<fport>\w+)",
}
_RENAMED: Final = {"id": "fid", "port": "fport"}
_TAG: Final = re.compile(r"</?[\w\-]+/?>")
_OPENING: Final = re.compile(r"<F-([A-Z0-9_\-]+)>")
_CLOSING: Final = re.compile(r"</F-([A-Z0-9_\-]+)>")
_GLOBAL_FLAGS: Final = re.compile(r"(?<!\\)\((?:\?:)?(\(\?[a-z]+)\)")

ID_GROUPS: Final = frozenset({"fid", "ip4", "ip6", "dns", "mlfid"})
"""A failregex, or the prefregex before it, must name at least one of these groups."""


def group_name(tag_name: str) -> str:
    """The group that `<F-NAME>` opens: lower-case, with `ID` and `PORT` under their internal names."""
    lowered = tag_name.lower()
    return _RENAMED.get(lowered, lowered)


def expand(regex: str, *, usedns: str = "warn") -> str:
    """`regex` with every matching tag replaced; unknown tags stay as they are.

    With `usedns="no"`, `<HOST>` takes addresses only. Inline flags behind an opening parenthesis become local ones.
    """
    return _GLOBAL_FLAGS.sub(r"\1:", _Expansion(usedns).apply(regex))


class _Expansion:
    """One pass over one regex: knows which groups are open and how many `<SKIPLINES>` were seen."""

    def __init__(self, usedns: str) -> None:
        self._host = ADDR if usedns == "no" else _FIXED["<HOST>"]
        self._opened: set[str] = set()
        self._skips = 0

    def apply(self, regex: str) -> str:
        return _TAG.sub(self._replace, regex)

    def _replace(self, found: re.Match[str]) -> str:
        tag = found[0]
        if tag == "<HOST>":
            return self._host
        if tag == "<SKIPLINES>":
            self._skips += 1
            return rf"\n(?P<skiplines{self._skips - 1}>(?:(?:.*\n)*?))"
        if opening := _OPENING.fullmatch(tag):
            self._opened.add(opening[1])
            return f"(?P<{group_name(opening[1])}>"
        closing = _CLOSING.fullmatch(tag)
        if closing and closing[1] in self._opened:
            return ")"
        return _FIXED.get(tag, tag)
