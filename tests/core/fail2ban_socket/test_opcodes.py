"""Requests are read without `pickle`: every plain value, nothing else, in bounded memory and time."""

from __future__ import annotations

import contextlib
import os
import pickle  # noqa: TID251 -- what clients do
import random
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardhooks_core.fail2ban_socket.opcodes import MAX_DEPTH, DecodeError, decode

MOST_MEMORY = 64 << 20
"""Bytes: far below what a bomb takes, far above what any test here needs."""

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**200), 2**200) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=30,
)


def decoded_within_bounds(message: bytes) -> Any:  # noqa: ANN401 -- any plain value
    """The value, or the error that refused it; fails when that took much memory or anything else was raised."""
    tracemalloc.start()
    try:
        try:
            return decode(message)
        except DecodeError as error:
            return error
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < MOST_MEMORY


@given(plain, st.integers(0, 5))
def test_plain_values_of_every_pickle_protocol_are_read(value: object, protocol: int) -> None:
    assert decode(pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize("protocol", range(6))
def test_shared_words_and_tuples_are_read(protocol: int) -> None:
    word = "status"
    assert decode(pickle.dumps(["set", word, word, ("a", [word])], protocol)) == ["set", word, word, ["a", [word]]]


def test_what_a_go_program_and_python_2_write_is_read() -> None:
    assert decode(b"\x80\x02]q\x00(X\x06\x00\x00\x00statusq\x01X\x04\x00\x00\x00sshde.") == ["status", "sshd"]
    assert decode(b"(lp0\nS'ping'\np1\na.") == ["ping"]


@given(st.binary(max_size=300))
@settings(max_examples=300)
def test_random_bytes_take_no_memory_and_are_refused_in_order(message: bytes) -> None:
    decoded_within_bounds(message)


@given(plain, st.integers(0, 5), st.data())
@settings(max_examples=300)
def test_mutated_pickles_take_no_memory_and_are_refused_in_order(
    value: object, protocol: int, data: st.DataObject
) -> None:
    message = bytearray(pickle.dumps(value, protocol))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(message) - 1))
        message[at] = data.draw(st.integers(0, 255))
    decoded_within_bounds(bytes(message))


def test_ten_thousand_mutated_requests_take_no_memory_and_are_refused_in_order() -> None:
    chance = random.Random(12)
    requests = [["set", "sshd", "banip", "192.0.2.1"], ["reload", "--all", [], [["a", 1.5, {"b": [None, True]}]] * 9]]
    pickles = [pickle.dumps(request, protocol) for request in requests for protocol in range(6)]
    tracemalloc.start()
    for _ in range(10_000):
        message = bytearray(chance.choice(pickles))
        for _ in range(chance.randint(1, 5)):
            message[chance.randrange(len(message))] = chance.randrange(256)
        with contextlib.suppress(DecodeError):
            decode(bytes(message))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < MOST_MEMORY


def test_a_huge_memo_index_costs_nothing() -> None:
    """With `pickle.Unpickler` these nine bytes take 3.5 GB."""
    assert decoded_within_bounds(bytes.fromhex("80044b0172000000102e")) == 1


def test_lists_that_share_lists_are_refused_before_they_unfold() -> None:
    value: list[Any] = ["x"] * 10
    for _ in range(12):
        value = [value] * 10
    refused = decoded_within_bounds(pickle.dumps(value))
    assert isinstance(refused, DecodeError)
    assert "more than" in str(refused)


def test_a_list_that_holds_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    assert isinstance(decoded_within_bounds(pickle.dumps(value)), DecodeError)


def test_lists_in_lists_are_read_up_to_a_depth() -> None:
    value: list[Any] = []
    for _ in range(MAX_DEPTH):
        value = [value]
    assert decode(pickle.dumps(value)) == value
    assert isinstance(decoded_within_bounds(pickle.dumps([value])), DecodeError)


class Evil:
    """Would create a file when it is unpickled."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self._path,)


@pytest.mark.parametrize("protocol", range(6))
def test_nothing_in_a_request_is_executed(tmp_path: Any, protocol: int) -> None:  # noqa: ANN401 -- a path
    target = str(tmp_path / "made")
    refused = decoded_within_bounds(pickle.dumps(["ping", Evil(target)], protocol))
    assert isinstance(refused, DecodeError)
    assert "opcode" in str(refused)
    assert not os.path.exists(target)  # noqa: PTH110 -- as the attack has it


def test_a_number_of_a_million_digits_is_refused() -> None:
    assert isinstance(decoded_within_bounds(b"I" + b"9" * 60_000 + b"\n."), DecodeError)
