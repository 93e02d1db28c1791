"""The protocol between a client and the daemon's requests: hostile clients get errors, others go on."""

from __future__ import annotations

import asyncio
import pickle  # noqa: TID251 -- what clients do
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardhooks import RequestError
from guardhooks_core.fail2ban_socket.protocol import Fail2banProtocol
from guardhooks_core.fail2ban_socket.replies import END

WORDS = [
    "get",
    "set",
    "a",
    "banip",
    "status",
    "--all",
    "banned",
    "addignoreip",
    "action",
    "noop",
    "attempt",
    "reload",
    "",
]


async def nothing_runs(request: str, /, **arguments: object) -> object:
    """A daemon without jails."""
    if "jail" in arguments:
        raise RequestError("no jail is called 'a'", "unknown-jail")
    return {"banned": {}, "status": {"history_age": 1.0}, "loglevel": {"loglevel": "INFO"}}.get(request, {})


def answered(message: bytes) -> Any:  # noqa: ANN401 -- whatever a client reads
    reply = asyncio.run(Fail2banProtocol(nothing_runs).answer(message))
    assert reply is not None
    assert reply.count(END) == 1
    reply = reply.replace(b"cfail2ban.exceptions\nUnknownJailException\n", b"cbuiltins\nLookupError\n")
    return pickle.loads(reply.removesuffix(END))


def test_a_client_that_says_good_bye_is_left() -> None:
    assert asyncio.run(Fail2banProtocol(nothing_runs).answer(b"<F2B_CLOSE_COMMAND>")) is None


@pytest.mark.parametrize("message", [b"", b"\x80", b"N.", b"].", pickle.dumps("ping"), pickle.dumps([[["x"]]])])
def test_what_is_no_command_is_answered_with_an_exception(message: bytes) -> None:
    code, error = answered(message)
    assert code == 1
    assert type(error) is Exception
    assert isinstance(error.args[0], str)


@given(
    st.lists(st.sampled_from(WORDS) | st.text(max_size=5) | st.integers() | st.none() | st.lists(st.text()), max_size=6)
)
def test_any_words_get_an_answer_that_a_client_can_read(words: list[object]) -> None:
    code, value = answered(pickle.dumps(words))
    assert (code == 1) == isinstance(value, Exception)


def test_a_whole_configuration_that_comes_with_a_reload_is_taken() -> None:
    stream = [["set", f"jail{number}", "addfailregex", "x" * 100] for number in range(20_000)]
    code, error = answered(pickle.dumps(["reload", "nope", [], stream]))
    assert (code, error.args) == (1, ("nope",))
