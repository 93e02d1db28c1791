"""The table of requests: access, bounds, what plugins add, and the document that lists it."""

from __future__ import annotations

import asyncio
import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from guardhooks import Access, Argument, ArgumentKind, GuardhooksError, PluginError, Request, Requests, hookimpl
from guardhooks.control.commands import own_requests
from guardhooks.control.json_protocol import JsonProtocol
from guardhooks.control.peers import current_peer
from guardhooks.control.protocol import RequestError
from guardhooks.control.transport import SocketServer
from guardhooks.plugins import Plugins

DOCUMENT = Path(__file__).parents[2] / "docs" / "socket.md"


async def answered(protocol: JsonProtocol, command: str, **arguments: object) -> dict[str, Any]:
    answer = await protocol.answer(json.dumps({"command": command, "arguments": arguments}).encode())
    found = json.loads(answer)
    assert isinstance(found, dict)
    return found


async def hello(name: str = "world") -> object:
    return {"hello": name}


HELLO = Request("hello", hello, arguments=(Argument("name"),), access=Access.READ)


def test_a_socket_for_observers_carries_no_request_that_changes_something() -> None:
    async def scene() -> None:
        requests = Requests([HELLO, Request("change", hello)])
        observers = JsonProtocol(requests, access={Access.READ})
        assert (await answered(observers, "hello", name="x"))["result"] == {"hello": "x"}
        refused = await answered(observers, "change")
        assert (refused["ok"], refused["kind"]) == (False, "refused")
        assert (await answered(JsonProtocol(requests), "change"))["ok"]

    asyncio.run(scene())


def test_a_request_longer_than_its_own_limit_is_refused() -> None:
    async def scene() -> None:
        protocol = JsonProtocol(Requests([Request("hello", hello, arguments=(Argument("name"),), limit=100)]))
        assert (await answered(protocol, "hello", name="x"))["ok"]
        answer = await answered(protocol, "hello", name="x" * 100)
        assert answer["error"] == "the request is longer than 100 bytes"

    asyncio.run(scene())


def test_a_request_that_takes_too_long_is_answered_and_goes_on() -> None:
    async def scene() -> None:
        finished, go_on = asyncio.Event(), asyncio.Event()

        async def slow() -> object:
            await go_on.wait()
            finished.set()
            return None

        protocol = JsonProtocol(Requests([Request("slow", slow, timeout=0.01)]))
        assert "slow still runs after 0 seconds" in (await answered(protocol, "slow"))["error"]
        go_on.set()
        async with asyncio.timeout(10):
            await finished.wait()

    asyncio.run(scene())


def test_an_answer_that_is_no_json_is_an_error_and_not_silence() -> None:
    async def strange() -> object:
        return {1, 2}

    async def scene() -> None:
        answer = await answered(JsonProtocol(Requests([Request("strange", strange)])), "strange")
        assert "cannot be written as JSON" in answer["error"]

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("kind", "value", "parsed"),
    [
        (ArgumentKind.TEXT, "a", "a"),
        (ArgumentKind.FLAG, True, True),
        (ArgumentKind.NUMBER, 7, 7.0),
        (ArgumentKind.DURATION, -1, math.inf),
        (ArgumentKind.IDS, ["a"], ["a"]),
        (ArgumentKind.ADDRESS, " 2001:DB8::1", "2001:db8::1"),
    ],
)
def test_arguments_arrive_as_their_kind_says_and_nothing_else_does(
    kind: ArgumentKind, value: object, parsed: object
) -> None:
    request = Request("ask", hello, arguments=(Argument("it", kind, "a thing", required=True),))
    assert request.parse({"it": value}) == {"it": parsed}
    for wrong in ({"it": {"nested": 1}}, {"it": None}, {}, {"other": 1}):
        with pytest.raises(RequestError, match=r'"it"|other'):
            request.parse(wrong)


# --- requests of plugins ---------------------------------------------------------------------------------------------


def adding(*requests: Request) -> object:
    class Adding:
        @hookimpl
        def add_requests(self, requests: Requests) -> None:
            for request in added:
                requests.add(request)

    added = requests
    return Adding()


def loaded(*plugins: object) -> Plugins:
    found = Plugins(lambda: 0.0)
    for number, plugin in enumerate(plugins):
        found.register(plugin, f"plugin{number}")
    return found


def served(plugins: Callable[[], Plugins]) -> JsonProtocol:
    return JsonProtocol(Requests([Request("ping", hello)]), lambda: plugins().requests(reserved=["ping"]))


def test_a_plugin_answers_requests_of_its_own() -> None:
    async def scene() -> None:
        protocol = served(lambda: plugins)
        assert (await answered(protocol, "hello", name="you"))["result"] == {"hello": "you"}
        assert "did you mean 'hello'?" in (await answered(protocol, "helo"))["error"]

    plugins = loaded(adding(HELLO))
    asyncio.run(scene())


def test_requests_come_from_the_plugins_of_the_last_reload() -> None:
    async def changed() -> object:
        return "changed"

    async def scene() -> None:
        current = [loaded()]
        protocol = served(lambda: current[0])
        assert not (await answered(protocol, "hello"))["ok"]
        current[0] = loaded(adding(HELLO))
        assert (await answered(protocol, "hello"))["result"] == {"hello": "world"}
        current[0] = loaded(adding(Request("hello", changed)))
        assert (await answered(protocol, "hello"))["result"] == "changed"
        current[0] = loaded()
        assert not (await answered(protocol, "hello"))["ok"]

    asyncio.run(scene())


def test_a_name_that_is_taken_is_a_fault_of_the_plugin_that_comes_later() -> None:
    async def other() -> object:
        return "other"

    async def scene() -> None:
        protocol = served(lambda: plugins)
        assert (await answered(protocol, "hello"))["result"] == "other"
        assert (await answered(protocol, "ping"))["result"] == {"hello": "world"}

    plugins = loaded(adding(HELLO), adding(Request("hello", other)), adding(Request("ping", other)))
    asyncio.run(scene())
    assert {plugin for plugin, _ in plugins.faults.total} == {"plugin0", "plugin2"}


def test_a_request_that_raises_is_logged_counted_and_answered() -> None:
    async def broken() -> object:
        raise RuntimeError("boom")

    async def refusing() -> object:
        raise GuardhooksError("not today")

    async def scene() -> None:
        protocol = served(lambda: plugins)
        assert (await answered(protocol, "broken"))["error"] == "plugin plugin0 failed in broken; see the daemon's log"
        assert (await answered(protocol, "refusing"))["error"] == "not today"

    plugins = loaded(adding(Request("broken", broken), Request("refusing", refusing)))
    asyncio.run(scene())
    assert plugins.faults.total == {("plugin0", ""): 1}


def test_the_same_name_twice_in_one_table_is_an_error() -> None:
    with pytest.raises(PluginError, match="already a request called 'hello'"):
        Requests([HELLO, HELLO])


# --- another protocol on the same transport --------------------------------------------------------------------------


class Shouting:
    """Answers in capitals; messages end with `!`."""

    separator = b"!"
    limit = 20

    async def answer(self, message: bytes) -> bytes:
        peer = current_peer.get()
        assert peer is not None
        return message.upper() + b" " + str(peer.uid).encode() + b"!"

    def refusal(self, error: RequestError) -> bytes:
        return str(error).encode() + b"!"


def test_the_transport_serves_a_protocol_of_another_shape(tmp_path: Path) -> None:
    async def scene() -> None:
        server = SocketServer(tmp_path / "s", Shouting(), allowed_uids=frozenset({os.geteuid()}))
        await server.start()
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / "s"))
        writer.write(b"hello!again!")
        assert await reader.readuntil(b"!") == b"HELLO %d!" % os.geteuid()
        assert await reader.readuntil(b"!") == b"AGAIN %d!" % os.geteuid()
        writer.write(b"x" * 50)
        assert await reader.read() == b"the request is longer than 20 bytes!"
        writer.close()
        await server.close()

    asyncio.run(scene())


# --- the document ----------------------------------------------------------------------------------------------------


def table() -> str:
    """The table of docs/socket.md, as it must be."""

    async def nothing(*_: object, **__: object) -> object:
        return None

    rows = ["| request | arguments | what it does | answer | access |", "|---|---|---|---|---|"]
    for request in own_requests(None, reload=nothing, stop=nothing, doctor=nothing):  # type: ignore[arg-type]
        arguments = "; ".join(
            f"`{each.name}` ({each.kind}{', required' if each.required else ''}): {each.help}"
            for each in request.arguments
        )
        rows.append(f"| `{request.name}` | {arguments or '—'} | {request.help} | {request.answer} | {request.access} |")
    return "\n".join(rows)


def test_the_document_lists_the_table() -> None:
    assert table() in DOCUMENT.read_text(), f"put this into docs/socket.md:\n{table()}"
