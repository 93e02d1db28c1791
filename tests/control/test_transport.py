"""The control socket under friendly, foolish and hostile clients; real sockets throughout."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from guardhooks.control import client
from guardhooks.control.arguments import ArgumentKind
from guardhooks.control.json_protocol import JsonProtocol
from guardhooks.control.protocol import REQUEST_LIMIT, NoDaemonError, RequestError
from guardhooks.control.requests import Argument, Request, Requests
from guardhooks.control.transport import SocketServer
from guardhooks.errors import ActionError, StateError

NOBODY = 65534
ME = frozenset({os.geteuid()})


async def echo(**arguments: object) -> object:
    return arguments


async def fail() -> object:
    raise ActionError("the firewall\nsaid \x1b[31mno")


async def crash() -> object:
    raise ZeroDivisionError


_NUMBERS = (Argument(name, ArgumentKind.NUMBER) for name in ("length", "number"))
ECHOED = (Argument("jail"), Argument("text"), Argument("ids", ArgumentKind.IDS), *_NUMBERS)
REQUESTS = (Request("echo", echo, arguments=ECHOED), Request("fail", fail), Request("crash", crash))


@asynccontextmanager
async def serving(path: Path, *requests: Request, **options: float | None) -> AsyncIterator[None]:
    protocol = JsonProtocol(Requests(requests or REQUESTS))
    server = SocketServer(path, protocol, allowed_uids=ME, **options)  # type: ignore[arg-type]
    await server.start()
    try:
        yield
    finally:
        await server.close()


async def raw(path: Path, request: bytes) -> dict[str, object]:
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(request)
    answer = json.loads(await reader.readline())
    writer.close()
    assert isinstance(answer, dict)
    return answer


async def call(path: Path, command: str, **arguments: object) -> object:
    return await asyncio.to_thread(client.call, path, command, **arguments)  # type: ignore[arg-type]


def mode(path: Path) -> int | None:
    return path.stat().st_mode & 0o777 if path.exists() else None


def open_to_all(path: Path) -> None:
    path.chmod(0o777)
    for folder in list(path.parents)[:4]:  # as deep as pytest-xdist nests them
        folder.chmod(folder.stat().st_mode | 0o711)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "guardhooks.sock"


def test_a_command_is_answered_with_its_result(path: Path) -> None:
    async def scene() -> None:
        async with serving(path):
            assert await call(path, "echo", jail="sshd", length=5, nothing=None) == {"jail": "sshd", "length": 5}

    asyncio.run(scene())


def test_one_connection_carries_many_requests(path: Path) -> None:
    def talk() -> list[object]:
        with client.Connection(path) as daemon:
            assert daemon.pid == os.getpid()
            return [daemon.request("echo", number=number) for number in range(50)]

    async def scene() -> None:
        async with serving(path):
            assert await asyncio.to_thread(talk) == [{"number": number} for number in range(50)]

    asyncio.run(scene())


def test_an_error_comes_back_as_one_printable_line(path: Path) -> None:
    async def scene() -> None:
        async with serving(path):
            with pytest.raises(RequestError) as caught:
                await call(path, "fail")
        assert str(caught.value) == "the firewall\\nsaid \\x1b[31mno"
        assert caught.value.kind == "failed"

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("request_", "complaint"),
    [
        (b"\x80\x04garbage\n", "not a JSON object"),
        (b"[" * 100_000 + b"\n", "not a JSON object"),
        (b'{"command": ' + b"9" * 5000 + b"}\n", "not a JSON object"),
        (b"[1]\n", "not a JSON object"),
        (b"{}\n", 'needs a "command"'),
        (b'{"command": ["ban"]}\n', 'needs a "command"'),
        (b'{"command": "echo", "arguments": [1]}\n', '"arguments" (an object)'),
        (b'{"command": "echo", "argument": {}}\n', "unknown fields: argument"),
        (b'{"command": "ehco"}\n', "unknown command 'ehco'; did you mean 'echo'?"),
    ],
)
def test_a_foolish_request_is_told_what_is_wrong_with_it(path: Path, request_: bytes, complaint: str) -> None:
    async def scene() -> None:
        async with serving(path):
            answer = await raw(path, request_)
            assert answer["ok"] is False
            assert answer["kind"] == "usage"
            assert complaint in str(answer["error"])
            assert await call(path, "echo") == {}

    asyncio.run(scene())


def test_a_request_without_end_is_cut_off(path: Path) -> None:
    async def scene() -> None:
        async with serving(path):
            answer = await raw(path, b"x" * (REQUEST_LIMIT + 100_000))
            assert "longer than 1048576 bytes" in str(answer["error"])
            assert await call(path, "echo") == {}

    asyncio.run(scene())


def test_a_long_request_within_the_limit_is_served(path: Path) -> None:
    ids = [f"192.0.2.{number % 256}" for number in range(50_000)]

    async def scene() -> None:
        async with serving(path):
            assert await call(path, "echo", ids=ids) == {"ids": ids}

    asyncio.run(scene())


def test_a_silent_client_is_dropped_and_costs_nobody_anything(path: Path) -> None:
    async def scene() -> None:
        async with serving(path, idle_timeout=0.05):
            reader, writer = await asyncio.open_unix_connection(str(path))
            writer.write(b'{"command": "ec')
            assert await call(path, "echo") == {}
            assert await reader.read() == b""
            writer.close()

    asyncio.run(scene())


def test_without_a_limit_a_client_may_be_silent_for_as_long_as_it_likes(path: Path) -> None:
    async def scene() -> None:
        elsewhere = path.with_name("limited.sock")
        async with serving(path, idle_timeout=None), serving(elsewhere, idle_timeout=0.05):
            reader, writer = await asyncio.open_unix_connection(str(path))
            limited, limited_writer = await asyncio.open_unix_connection(str(elsewhere))
            assert await limited.read() == b""  # by now the other one would have been dropped, too
            writer.write(b'{"command": "echo"}\n')
            assert json.loads(await reader.readline())["ok"]
            writer.close()
            limited_writer.close()

    asyncio.run(scene())


def test_without_a_limit_the_client_that_is_silent_for_longest_makes_room(path: Path) -> None:
    async def scene() -> None:
        async with serving(path, idle_timeout=None, max_clients=2):
            first, first_writer = await asyncio.open_unix_connection(str(path))
            second, second_writer = await asyncio.open_unix_connection(str(path))
            for reader, writer in ((first, first_writer), (second, second_writer), (first, first_writer)):
                writer.write(b'{"command": "echo"}\n')
                assert json.loads(await reader.readline())["ok"]
            assert await call(path, "echo") == {}
            assert await second.read() == b""
            first_writer.write(b'{"command": "echo"}\n')
            assert json.loads(await first.readline())["ok"]
            first_writer.close()
            second_writer.close()

    asyncio.run(scene())


def test_a_client_that_does_not_read_is_dropped(path: Path) -> None:
    async def send_for_ever(deaf: socket.socket, request: bytes) -> None:
        while True:
            await asyncio.get_running_loop().sock_sendall(deaf, request)

    async def scene() -> None:
        async with serving(path, idle_timeout=0.2):
            deaf = socket.socket(socket.AF_UNIX)
            deaf.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(deaf, str(path))
            request = json.dumps({"command": "echo", "arguments": {"text": "x" * 500_000}}).encode() + b"\n"
            with pytest.raises(OSError, match=r"Broken pipe|reset"):
                await send_for_ever(deaf, request)
            deaf.close()
            assert await call(path, "echo") == {}

    asyncio.run(scene())


def test_too_many_clients_are_turned_away_until_one_leaves(path: Path) -> None:
    async def scene() -> None:
        async with serving(path, max_clients=2):
            held = [client.Connection(path) for _ in range(2)]
            for each in held:
                await asyncio.to_thread(each.request, "echo")
            with pytest.raises(RequestError, match="2 clients are connected already") as caught:
                await call(path, "echo")
            assert caught.value.kind == "refused"
            for each in held:
                each.__exit__(None, None, None)
            assert await until_served(path) == {}

    async def until_served(path: Path) -> object:
        while True:
            try:
                return await call(path, "echo")
            except RequestError:
                continue

    asyncio.run(scene())


@pytest.mark.skipif(os.geteuid() != 0 and "CI" not in os.environ, reason="becomes another user: needs root")
def test_another_user_is_turned_away_even_where_the_file_lets_him(path: Path) -> None:
    async def scene() -> str:
        async with serving(path):
            open_to_all(path)
            program = (
                "import contextlib, os, socket, sys\n"
                "peer = socket.socket(socket.AF_UNIX)\n"
                f"os.setgid({NOBODY}); os.setuid({NOBODY})\n"
                "peer.connect(sys.argv[1])\n"
                "with contextlib.suppress(BrokenPipeError):\n"
                '    peer.sendall(b\'{"command": "echo"}\\n\')\n'
                "print(peer.makefile().readline())"
            )
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", program, str(path), stdout=asyncio.subprocess.PIPE
            )
            output, _ = await process.communicate()
            assert await call(path, "echo") == {}
        return output.decode()

    answer = json.loads(asyncio.run(scene()))
    assert answer == {
        "ok": False,
        "kind": "refused",
        "error": f"uid {NOBODY} may not control this daemon; ask as root or as the daemon's user",
    }


def test_only_the_owner_may_open_the_socket_file(path: Path) -> None:
    async def scene() -> None:
        previous = os.umask(0)
        try:
            async with serving(path):
                assert mode(path) == 0o600
        finally:
            os.umask(previous)

    asyncio.run(scene())


def test_the_socket_of_a_dead_daemon_is_replaced(path: Path) -> None:
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(path))
    dead.close()

    async def scene() -> None:
        async with serving(path):
            assert await call(path, "echo") == {}

    asyncio.run(scene())
    assert not path.exists()


def test_the_socket_of_a_living_daemon_is_left_alone(path: Path) -> None:
    async def scene() -> None:
        async with serving(path):
            with pytest.raises(StateError, match="in use by another daemon"):
                await SocketServer(path, JsonProtocol(Requests(REQUESTS)), allowed_uids=ME).start()
            assert await call(path, "echo") == {}

    asyncio.run(scene())


def test_a_file_that_is_no_socket_is_never_removed(path: Path) -> None:
    path.write_text("precious")

    with pytest.raises(StateError, match="something that is not a socket"):
        asyncio.run(SocketServer(path, JsonProtocol(Requests(REQUESTS)), allowed_uids=ME).start())
    assert path.read_text() == "precious"


def test_a_path_too_long_for_a_socket_address_works_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / ("long" * 40) / "guardhooks.sock"

    async def scene() -> None:
        async with serving(path):
            assert await call(path, "echo", number=1) == {"number": 1}

    asyncio.run(scene())
    assert not path.exists()


def test_closing_lets_a_request_in_progress_finish(path: Path) -> None:
    async def scene() -> None:
        entered, go_on = asyncio.Event(), asyncio.Event()

        async def slow() -> object:
            entered.set()
            await go_on.wait()
            return "done"

        server = SocketServer(path, JsonProtocol(Requests([Request("slow", slow)])), allowed_uids=ME)
        await server.start()
        idle = client.Connection(path)
        asked = asyncio.create_task(call(path, "slow"))
        await entered.wait()
        closing = asyncio.create_task(server.close())
        await asyncio.sleep(0)
        assert mode(path) is None
        go_on.set()
        assert await asked == "done"
        await closing
        with pytest.raises(StateError, match="closed the connection without an answer"):
            await asyncio.to_thread(idle.request, "slow")
        idle.__exit__(None, None, None)

    asyncio.run(scene())


def test_a_handler_that_crashes_costs_only_its_own_client(path: Path) -> None:
    async def scene() -> None:
        faults: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context["exception"]))
        async with serving(path):
            with pytest.raises(StateError, match="without an answer; see its log"):
                await call(path, "crash")
            assert await call(path, "echo") == {}
        assert [type(fault) for fault in faults] == [ZeroDivisionError]

    asyncio.run(scene())


def test_nobody_there_is_told_with_the_remedy(path: Path) -> None:
    with pytest.raises(NoDaemonError, match=r"no guardhooks daemon answers at .*guardhooks run"):
        client.call(path, "ping")


def test_a_daemon_that_is_stopped_is_told_at_once_with_the_remedy(path: Path) -> None:
    """As every command would wait for, a daemon after SIGSTOP; its socket accepts connections all the same."""
    listen = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(); print(flush=True)"
    with subprocess.Popen(
        [sys.executable, "-c", f"{listen}; sys.stdin.read()", str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as daemon:
        assert daemon.stdout is not None
        daemon.stdout.readline()
        daemon.send_signal(signal.SIGSTOP)
        os.waitpid(daemon.pid, os.WUNTRACED)
        try:
            with pytest.raises(StateError, match=rf"\(pid {daemon.pid}\) is stopped .*`kill -CONT {daemon.pid}`"):
                client.call(path, "status")
        finally:
            daemon.kill()


def test_a_daemon_that_falls_silent_is_not_waited_for_for_ever(path: Path) -> None:
    silent = socket.socket(socket.AF_UNIX)
    silent.bind(str(path))
    silent.listen()

    with pytest.raises(StateError, match=r"did not answer within 0\.05 seconds"):
        client.call(path, "ping", timeout=0.05)
    silent.close()
