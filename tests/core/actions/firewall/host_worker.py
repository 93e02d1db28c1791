"""Runs inside a network namespace: does firewall actions, listens and connects, as JSON lines on stdin ask for."""

import asyncio
import contextlib
import inspect
import json
import os
import shutil
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_network
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from guardhooks import ActionError, ActionSpec, Ban, GuardhooksError, Jail, Op, Outcome
from guardhooks_core.actions import conntrack, iptables, route
from guardhooks_core.actions.conntrack import ConntrackAction
from guardhooks_core.actions.ipset import IpsetAction
from guardhooks_core.actions.iptables import IptablesAction
from guardhooks_core.actions.nftables import NftablesAction
from guardhooks_core.actions.nftables.ruleset import LOCAL_AND_FORWARDED
from guardhooks_core.actions.route import RouteAction

_plugins: list[Any] = []
_loop = asyncio.new_event_loop()
_connections: list[socket.socket] = []


class TestedGuard:
    """What plugins ask the guard."""

    def __init__(self, adopting: bool, refused: list[str]) -> None:
        self.asked = threading.Event()
        self._adopting, self._refused = adopting, refused

    def check_actions(self, jail: str, actname: str = "") -> None:
        self.asked.set()

    def adopts(self, jail: str, actname: str) -> bool:
        return self._adopting

    def refusal(self, jail: Jail, id: str) -> str:
        return "it is spared" if any(ip_network(id).overlaps(ip_network(each)) for each in self._refused) else ""


_guards: list[TestedGuard] = []


def restart(*, adopting: bool = False, refused: tuple[str, ...] = (), old_kernel: bool = False) -> None:
    """What the plugins knew is gone, what the kernel holds is not.

    With `old_kernel` nftables acts as if the kernel had refused to reject in prerouting.
    """
    _guards.append(TestedGuard(adopting, list(refused)))
    nftables = NftablesAction(time.time, LOCAL_AND_FORWARDED) if old_kernel else NftablesAction(time.time)
    asyncio.run_coroutine_threadsafe(_start_again(nftables), _loop).result()


async def _start_again(nftables: NftablesAction) -> None:
    for plugin in _plugins:
        if isinstance(plugin, NftablesAction | IpsetAction):
            plugin.on_stop()
    _plugins[:] = [nftables, IpsetAction(time.time)]
    _plugins.extend((ConntrackAction(), RouteAction(), IptablesAction()))
    for plugin in _plugins[:2]:
        plugin.on_start(_guards[-1])


def asked(*, patience: float) -> bool:
    """Whether a check is asked for, by now or within so many seconds; from then on it counts anew."""
    came = _guards[-1].asked.wait(patience)
    _guards[-1].asked.clear()
    return came


def act(
    name: str, options: dict[str, str], op: str, bans: list[tuple[str, float]], *, jail: str = "sshd", at: float = 0.0
) -> dict[str, Any]:
    action = ActionSpec(name=name, actname=name, options={"name": jail, **options})
    made = [Ban(id_, jail, at or time.time(), float(length)) for id_, length in bans]
    for plugin in _plugins:
        asked = {"jail": Jail(name=jail), "action": action, "op": Op(op), "bans": made}
        wanted = inspect.signature(plugin.execute_action).parameters
        answer = plugin.execute_action(**{name: asked[name] for name in wanted})
        if answer is True:
            return {}
        if isinstance(answer, Outcome):
            return {
                "added": answer.added,
                "removed": answer.removed,
                "note": answer.note,
                "warning": answer.warning,
                "problem": answer.problem,
                "failed": dict(answer.failed),
                "found": {ban.id: ban.length for ban in answer.found},
            }
    raise ActionError("nobody serves it")


def start_together(names: list[str], chains: dict[str, str]) -> dict[str, str]:
    """Start ipset for many jails in as many threads, as the host does; what went wrong, by jail."""
    wrong = {}

    def start(name: str) -> None:
        try:
            outcome = act("ipset", {"name": name, "chain": chains.get(name, "INPUT")}, "start", [], jail=name)
            if isinstance(outcome, dict) and outcome["problem"]:
                wrong[name] = outcome["problem"]
        except ActionError as error:
            wrong[name] = str(error)

    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(start, names))
    return wrong


def findings(name: str, options: dict[str, str], bans: list[str], address: str) -> list[dict[str, Any]]:
    """What the doctor is told of rules, routes and connections."""
    action = ActionSpec(name=name, actname=name, options={"name": "sshd", **options})
    asked = {
        "guard": SimpleNamespace(clock=time.time),
        "action": action,
        "bans": [Ban(id_, "sshd", time.time(), 3600) for id_ in bans],
        "address": address,
    }
    for module in (iptables, route, conntrack):
        wanted = inspect.signature(module.diagnose).parameters
        found = module.diagnose(**{key: asked[key] for key in wanted})
        if found is not None:
            return [{"text": each.text, "level": each.level, "blocks": each.blocks} for each in found]
    raise ActionError("nobody knows it")


def conntrack_on_ban(bans: list[str]) -> None:
    """As the host does when every action has done the bans; returns when the cut is through."""
    jail = Jail("sshd", actions=(ActionSpec("conntrack", "conntrack", {"name": "sshd"}),))
    plugin = ConntrackAction()
    for id_ in bans:
        plugin.on_ban(jail, Ban(id_, "sshd", time.time(), 600))
    plugin.on_stop()


def forget_ip6tables(folder: str) -> None:
    """From here on only iptables is to be found, as where nobody installed the other."""
    for tool in ("iptables", "iptables-restore"):
        found = shutil.which(tool)
        assert found is not None
        (Path(folder) / tool).symlink_to(found)
    os.environ["PATH"] = folder


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


def echo(port: int) -> None:
    """Send back what comes, on every connection."""
    server = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)

    def serve(client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            while data := client.recv(100):
                client.sendall(data)

    def accept() -> None:
        while True:
            threading.Thread(target=serve, args=server.accept()[:1], daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


def keep_connection(source: str, to: str, port: int) -> int:
    """Open a connection and keep it; its number."""
    _connections.append(socket.create_connection((to, port), timeout=20, source_address=(source, 0)))
    return len(_connections) - 1


def talk(connection: int, patience: float) -> bool:
    """Whether something comes back on that connection."""
    client = _connections[connection]
    client.settimeout(patience)
    try:
        client.sendall(b"x")
        return bool(client.recv(1))
    except OSError:
        return False


def main() -> None:
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer = {"answer": globals()[asked.pop("do")](**asked)}
        except GuardhooksError as error:
            answer = {"error": str(error), "kind": type(error).__name__}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


threading.Thread(target=_loop.run_forever, daemon=True).start()
restart()
main()
