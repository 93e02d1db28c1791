"""fail2ban's control protocol: pickled lists of words up, `(0, value)` or `(1, exception)` down."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from guardhooks import Ask, GuardhooksError, RequestError, safe_text
from guardhooks_core.fail2ban_socket.commands import Commands
from guardhooks_core.fail2ban_socket.opcodes import DecodeError, Plain, decode
from guardhooks_core.fail2ban_socket.replies import END, VALUE_ERROR, CommandError, failure, success

_CLOSE: Final = b"<F2B_CLOSE_COMMAND>"
_LARGE: Final = 64 << 10
"""Bytes of a request beyond which it is decoded in a thread."""

logger = logging.getLogger("guardhooks.fail2ban")


class Fail2banProtocol:
    """See the module. `limit` is large for `reload`, with which clients send their whole configuration."""

    separator = END
    limit = 8 << 20

    def __init__(self, ask: Ask) -> None:
        self._commands = Commands(ask)

    async def answer(self, message: bytes) -> bytes | None:
        """The answer to one request; None when the client says good-bye."""
        if message == _CLOSE:
            return None
        try:
            words = await asyncio.to_thread(_words, message) if len(message) > _LARGE else _words(message)
            return success(await self._commands.run(words))
        except CommandError as error:
            return failure(error)
        except GuardhooksError as error:
            return failure(command_error(error))

    def refusal(self, error: RequestError) -> bytes:
        """An error as an answer."""
        return failure(command_error(error))


def _words(message: bytes) -> list[Plain]:
    try:
        value = decode(message)
    except DecodeError as error:
        logger.warning("a request of a fail2ban client is refused: %s", safe_text(str(error)))
        raise CommandError(str(error)) from None
    if not isinstance(value, list) or not value:
        raise CommandError("Invalid command")
    return value


def command_error(error: GuardhooksError) -> CommandError:
    kind = error.kind if isinstance(error, RequestError) else "failed"
    return CommandError(str(error), VALUE_ERROR) if kind == "usage" else CommandError(str(error))
