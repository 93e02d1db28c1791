"""A message: headers that cannot be injected, and a text of printable lines in a known encoding."""

from __future__ import annotations

from datetime import UTC, datetime
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid
from typing import Final

from guardhooks import safe_text

from .mailboxes import qualified
from .parameters import Parameters

_LONGEST_LINE: Final = 990
"""Bytes that may travel as they are; RFC 5322 allows 998."""
_LONGEST_SUBJECT: Final = 200


def build_message(parameters: Parameters, subject: str, text: str, *, now: float, host: str) -> bytes:
    """The message as it travels, with CRLF.

    :param now: seconds since the epoch.
    """
    message = EmailMessage(policy=SMTP)
    message["Subject"] = safe_text(subject, _LONGEST_SUBJECT)
    message["From"] = _address(parameters.sender, parameters.sender_name)
    message["To"] = [_address(each) for each in parameters.dest]
    message["Date"] = format_datetime(datetime.fromtimestamp(now, UTC).astimezone())
    message["Message-ID"] = make_msgid(domain=qualified("x", host).partition("@")[2])
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text, cte=_encoding(text))
    return message.as_bytes()


def _address(mailbox: str, name: str = "") -> Address:
    """A mailbox without a domain is one of the local mail server's, which adds its own."""
    try:
        return Address(name, addr_spec=mailbox)
    except HeaderParseError:
        return Address(name, username=mailbox)


def _encoding(text: str) -> str:
    plain = text.isascii() and all(len(line) <= _LONGEST_LINE for line in text.split("\n"))
    return "7bit" if plain else "quoted-printable"
