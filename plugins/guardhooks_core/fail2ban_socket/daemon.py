"""The daemon as the commands see it: its requests, with errors that fail2ban's clients understand."""

from __future__ import annotations

from typing import Any, Final, cast

from guardhooks import Ask, RequestError
from guardhooks_core.fail2ban_socket.replies import INDEX_ERROR, UNKNOWN_JAIL, CommandError

INVALID: Final = "Invalid command"


class Daemon:
    """Asks the daemon. Answers are what docs/socket.md says of each request."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    async def ask(self, request: str, /, **arguments: object) -> Any:  # noqa: ANN401 -- depends on the request
        """The answer to a request."""
        return await self._ask(request, **arguments)

    async def of_jail(self, request: str, jail: str, /, **arguments: object) -> Any:  # noqa: ANN401 -- as `ask`
        """The answer to a request about a jail. :raises CommandError: when there is no such jail."""
        try:
            return await self._ask(request, jail=jail, **arguments)
        except RequestError as error:
            if error.kind == "unknown-jail":
                raise CommandError(jail, UNKNOWN_JAIL) from error
            raise

    async def jails(self) -> list[str]:
        """The names of the jails that run, in the order of the configuration."""
        return list(cast("dict[str, list[str]]", await self._ask("banned")))

    async def value(self, jail: str, key: str) -> Any:  # noqa: ANN401 -- depends on the option
        """The parsed value of an option of a jail."""
        return (await self.of_jail("get", jail, key=key))["value"]

    async def text(self, jail: str, key: str) -> str:
        """The value of an option as in a file."""
        return str((await self.of_jail("get", jail, key=key))["text"])

    async def set(self, jail: str, key: str, value: str) -> None:
        """Change an option of a jail."""
        await self.of_jail("set", jail, key=key, value=value)


def word(words: list[str], index: int) -> str:
    """A word of a command. :raises CommandError: as fail2ban complains of one that is missing."""
    if index >= len(words):
        raise CommandError("list index out of range", INDEX_ERROR)
    return words[index]
