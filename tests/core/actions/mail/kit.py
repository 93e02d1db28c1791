"""Real servers for mail and whois on this machine, a sendmail that records its input, and bans to report."""

from __future__ import annotations

import asyncio
import email
import shlex
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope

from guardhooks import ActionSpec, Ban, Jail, Op, Outcome
from guardhooks_core.actions.common.hostnames import Hostnames
from guardhooks_core.actions.mail import MailAction
from guardhooks_core.actions.mail.whois import Whois

JAIL = Jail("sshd")
NOW = 1_800_000_000.0
HEADERS = {
    "Subject", "From", "To", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type",
    "Content-Transfer-Encoding",
}  # fmt: skip


def ban(id: str = "203.0.113.7", length: float = 600.0, **more: Any) -> Ban:  # noqa: ANN401 -- Ban's own
    return Ban(id, JAIL.name, NOW, length, **{"failures": 5, **more})


def mail(name: str = "sendmail", *, properties: dict[str, str] | None = None, **options: str) -> ActionSpec:
    """A mail action that sends at once; `log_lines` stands for `log-lines`."""
    given = {"name": "sshd", "actname": name, "digest": "0"}
    given.update((key.replace("_", "-"), value) for key, value in options.items())
    return ActionSpec(name, name, given, properties or {})


def parsed(data: bytes) -> EmailMessage:
    """A message, parsed strictly."""
    message = email.message_from_bytes(data, policy=default)
    assert isinstance(message, EmailMessage)
    assert not message.defects
    assert all(not value.defects for value in message.values())
    return message


def text_of(message: EmailMessage) -> str:
    """The text of a message, with plain line ends."""
    text = message.get_content()
    assert isinstance(text, str)
    return text.replace("\r\n", "\n")


@dataclass
class PostOffice:
    """What an SMTP server has accepted. It first answers with `refusals`, one per message."""

    port: int = 0
    refusals: list[str] = field(default_factory=list)
    envelopes: asyncio.Queue[Envelope] = field(default_factory=asyncio.Queue)
    refused: asyncio.Queue[str] = field(default_factory=asyncio.Queue)

    async def handle_DATA(self, server: SMTP, session: object, envelope: Envelope) -> str:  # noqa: N802 -- aiosmtpd's
        if self.refusals:
            self.refused.put_nowait(self.refusals[0])
            return self.refusals.pop(0)
        self.envelopes.put_nowait(envelope)
        return "250 OK"

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def message(self) -> EmailMessage:
        """The next message."""
        envelope = await self.envelopes.get()
        assert isinstance(envelope.content, bytes)
        return parsed(envelope.content)


@asynccontextmanager
async def post_office(**options: Any) -> AsyncIterator[PostOffice]:  # noqa: ANN401 -- aiosmtpd's own
    """An SMTP server that keeps what it gets."""
    office = PostOffice()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(office, hostname="mx.example", loop=loop, **options), "127.0.0.1", 0)
    office.port = server.sockets[0].getsockname()[1]
    try:
        yield office
    finally:
        server.close()


@asynccontextmanager
async def whois_server(answer: bytes, asked: list[bytes] | None = None, *, silent: bool = False) -> AsyncIterator[int]:
    """The port of a server that sends this answer to every client; if `silent`, only after the client has closed."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        question = await reader.readline()
        if asked is not None:
            asked.append(question)
        try:
            if silent:
                await reader.read()
            writer.write(answer)
            await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


class FakeSendmail:
    """A program that writes its arguments and its input to files, then ends with `status`."""

    def __init__(self, folder: Path, status: int = 0, says: str = "") -> None:
        self.program = folder / "sendmail"
        self._calls = folder / "calls"
        self._calls.mkdir()
        self.program.write_text(
            f'#!/bin/sh\nfile=$(mktemp "{self._calls}/XXXXXX")\n'
            f'{{ printf \'%s\\0\' "$#" "$@"; cat; }} > "$file"\nprintf \'%s\' {shlex.quote(says)}\nexit {status}\n'
        )
        self.program.chmod(0o755)

    @property
    def calls(self) -> list[tuple[list[str], bytes]]:
        """Arguments and input of each call."""
        return [_call(*path.read_bytes().split(b"\0", 1)) for path in self._calls.iterdir()]


def _call(number: bytes, rest: bytes) -> tuple[list[str], bytes]:
    *arguments, message = rest.split(b"\0", int(number))
    return [each.decode() for each in arguments], message


class Bench:
    """One plugin; nothing it does leaves the machine."""

    def __init__(self, whois: Whois | None = None, host: str = "host.example") -> None:
        self.hostnames = Hostnames(lambda _: host)
        self.plugin = MailAction(lambda: NOW, whois or Whois(lambda: NOW, only_here), self.hostnames)

    async def do(self, action: ActionSpec, op: Op, *bans: Ban, jail: Jail = JAIL) -> Outcome | bool | None:
        return await self.plugin.execute_action(jail, action, op, bans)

    async def check(self, action: ActionSpec, *bans: Ban) -> Outcome:
        """What `status` would show."""
        outcome = await self.do(action, Op.CHECK, *bans)
        assert isinstance(outcome, Outcome)
        return outcome


async def unreachable(server: tuple[str, int], is_referred: bool) -> Any:  # noqa: ANN401 -- never returns
    raise ConnectionRefusedError


async def only_here(server: tuple[str, int], is_referred: bool) -> Any:  # noqa: ANN401 -- streams
    if server[0] != "127.0.0.1":
        raise ConnectionRefusedError
    return await asyncio.open_connection(*server)


def connect_here(ports: dict[str, int]) -> Callable[[tuple[str, int], bool], Awaitable[Any]]:
    """Connects to local ports in the place of servers of these names."""

    async def connect(server: tuple[str, int], is_referred: bool) -> Any:  # noqa: ANN401 -- streams
        return await asyncio.open_connection("127.0.0.1", ports[server[0]])

    return connect
