"""Builds a message: headers safe from injection, and a text of printable lines in a known encoding."""

from __future__ import annotations

from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid
from typing import Final

from guardhooks import safe_text
from guardhooks_core.actions.mail.addresses import qualified
from guardhooks_core.actions.mail.parameters import Parameters

_LONGEST_LINE: Final = 990
"""Bytes of a line that is sent unencoded; RFC 5322 allows 998."""
_LONGEST_VALUE: Final = 200


def build_message(parameters: Parameters, subject: str, text: str, *, now: float, host: str) -> bytes:
    """The message as sent, with CRLF.

    :param now: seconds since the epoch.
    """
    message = EmailMessage(policy=SMTP)
    message["Subject"] = _plain(subject)
    message["From"] = _address(parameters.sender, host, parameters.sender_name)
    message["To"] = [_address(each, host) for each in parameters.dest]
    message["Date"] = format_datetime(datetime.fromtimestamp(now, UTC).astimezone())
    message["Message-ID"] = make_msgid(domain=host)
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text, cte=_encoding(text))
    return message.as_bytes()


def _address(mailbox: str, host: str, name: str = "") -> Address:
    """A mailbox with a domain: local names get this machine's."""
    local, _, domain = qualified(mailbox, host).partition("@")
    return Address(_plain(name).replace("\\", ""), local, domain)  # The email package folds backslashes wrongly.


def _plain(text: str) -> str:
    """Literal text for a header: the email package would decode encoded words in it, including line ends."""
    return safe_text(text, _LONGEST_VALUE)[:_LONGEST_VALUE].replace("=?", "= ?")


def _encoding(text: str) -> str:
    plain = text.isascii() and all(len(line) <= _LONGEST_LINE for line in text.split("\n"))
    return "7bit" if plain else "quoted-printable"
