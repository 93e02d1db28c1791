"""Runs inside a network namespace: does firewall actions, listens and connects, as JSON lines on stdin ask for."""

import json
import os
import socket
import sys
import threading
import time
from typing import Any

from guardhooks import ActionError, ActionSpec, Ban, GuardhooksError, Jail, Op, Outcome
from guardhooks_core.ipset import IpsetAction
from guardhooks_core.nftables import NftablesAction
from guardhooks_core.nftables.ruleset import LOCAL_AND_FORWARDED
from guardhooks_core.nftables.structure import Structure

_plugins: list[NftablesAction | IpsetAction] = []


def restart() -> None:
    """What the plugins knew is gone, what the kernel holds is not."""
    _plugins[:] = [NftablesAction(time.time), IpsetAction(time.time)]


def act(
    name: str, options: dict[str, str], op: str, bans: list[tuple[str, float]], *, jail: str = "sshd", at: float = 0.0
) -> dict[str, Any]:
    action = ActionSpec(name=name, actname=name, options={"name": jail, **options})
    made = [Ban(id_, jail, at or time.time(), float(length)) for id_, length in bans]
    for plugin in _plugins:
        answer = plugin.execute_action(Jail(name=jail), action, Op(op), made)
        if answer is True:
            return {}
        if isinstance(answer, Outcome):
            return {"added": answer.added, "removed": answer.removed, "note": answer.note}
    raise ActionError("nobody serves it")


def pretend_old_kernel() -> None:
    """As if the kernel had refused to reject in prerouting."""
    for plugin in _plugins:
        if isinstance(plugin, NftablesAction):
            plugin._structure = Structure(LOCAL_AND_FORWARDED)


def become_nobody() -> None:
    os.setgroups([])
    os.setuid(65534)


def listen(port: int) -> None:
    server = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)

    def accept() -> None:
        while True:
            server.accept()[0].close()

    threading.Thread(target=accept, daemon=True).start()


def connect(source: str, to: str, port: int, patience: float) -> str:
    try:
        socket.create_connection((to, port), timeout=patience, source_address=(source, 0)).close()
    except TimeoutError:
        return "silence"
    except ConnectionRefusedError:
        return "refused"
    return "open"


def main() -> None:
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer = {"answer": globals()[asked.pop("do")](**asked)}
        except GuardhooksError as error:
            answer = {"error": str(error), "kind": type(error).__name__}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


restart()
main()
