"""`fail2ban`: answers `fail2ban-client`, and whatever else speaks its protocol, by the daemon's own requests."""

from __future__ import annotations

from guardhooks import Argument, ArgumentKind, Ask, GuardhooksError, Request, Requests, WireProtocol, hookimpl
from guardhooks_core.fail2ban_socket.commands import Commands
from guardhooks_core.fail2ban_socket.opcodes import Plain
from guardhooks_core.fail2ban_socket.protocol import Fail2banProtocol, command_error
from guardhooks_core.fail2ban_socket.replies import CommandError

_RELOAD_TIME = 600.0
"""Seconds that a command may take."""


@hookimpl(trylast=True)
def control_protocol(name: str, ask: Ask) -> WireProtocol | None:
    """Serve the socket that section `[Fail2ban]` names."""
    return Fail2banProtocol(ask) if name == "fail2ban" else None


@hookimpl
def add_requests(requests: Requests) -> None:
    """`fail2ban`: a command of fail2ban's, as words."""
    commands = Commands(requests.ask)

    async def fail2ban(words: list[str]) -> object:
        try:
            return {"value": await commands.run(_with_nested_options(words))}
        except CommandError as error:
            return {"error": error.text, "kind": error.kind.name}
        except GuardhooksError as error:
            found = command_error(error)
            return {"error": found.text, "kind": found.kind.name}

    arguments = (Argument("words", ArgumentKind.IDS, "the command and its words", required=True),)
    help_ = "A command of `fail2ban-client`"
    requests.add(
        Request("fail2ban", fail2ban, help_, "`value`, or `error` and `kind`", arguments, timeout=_RELOAD_TIME)
    )


def _with_nested_options(words: list[str]) -> list[Plain]:
    """`reload` and `restart` as clients send them: the target, then its options."""
    if words[0] not in {"reload", "restart"}:
        return list(words)
    options: list[Plain] = [each for each in words[1:] if each.startswith("--") and each != "--all"]
    target = next((each for each in words[1:] if not each.startswith("--")), "--all")
    if words[0] == "restart":
        if target == "--all":
            return ["stop"]
        options.append("--restart")
    return ["reload", target, options]
