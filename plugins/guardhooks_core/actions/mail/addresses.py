"""Checks mail addresses from the configuration, so that none can act as an option or break out of a header."""

from __future__ import annotations

import re
from typing import Final

from guardhooks import ConfigError, safe_text

_LOCAL: Final = r"[A-Za-z0-9_][A-Za-z0-9.!#%&'*+=?^_~-]{0,63}"
_DOMAIN: Final = r"(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.?){1,64}|\[[0-9A-Fa-f:.IPv]{2,50}\]"
_MAILBOX: Final = re.compile(rf"{_LOCAL}(?:@(?:{_DOMAIN}))?", re.ASCII)
_LONGEST: Final = 254
_MOST: Final = 50


def parse_mailboxes(text: str) -> tuple[str, ...]:
    """The addresses of a list with commas or blanks: `root`, `admin@example.org`.

    :raises ConfigError: naming the invalid address.
    """
    found = tuple(dict.fromkeys(parse_mailbox(word) for word in text.replace(",", " ").split()))
    if not 1 <= len(found) <= _MOST:
        raise ConfigError(f"{len(found)} addresses are given; use 1 to {_MOST}")
    return found


def parse_mailbox(text: str) -> str:
    """One address; a non-ASCII domain is converted to its ASCII form.

    :raises ConfigError: if it is invalid.
    """
    local, at, domain = text.strip().strip("<>").partition("@")
    try:
        mailbox = local + at + (domain if domain.isascii() else domain.encode("idna").decode("ascii"))
    except UnicodeError:
        mailbox = ""
    if len(mailbox) > _LONGEST or not _MAILBOX.fullmatch(mailbox):
        raise ConfigError(f"{safe_text(text, 60)!r} is not a mail address such as root or admin@example.org")
    return mailbox


def qualified(mailbox: str, host: str) -> str:
    """The address with a domain, as remote servers need it."""
    return mailbox if "@" in mailbox else f"{mailbox}@{host}"
