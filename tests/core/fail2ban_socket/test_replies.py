"""Replies are pickles that any client reads, whatever attackers put into ids."""

from __future__ import annotations

import pickle  # noqa: TID251 -- what clients do
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardhooks_core.fail2ban_socket.replies import END, KEY_ERROR, CommandError, failure, success

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text("ab é€.:/"),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("ab"), inner) | st.lists(inner).map(tuple),
    max_leaves=30,
)


def read(reply: bytes) -> Any:  # noqa: ANN401 -- any plain value
    """What a client makes of a reply."""
    assert reply.endswith(END)
    assert reply.count(END) == 1
    return pickle.loads(reply.removesuffix(END))


@given(plain)
def test_a_client_reads_the_value_that_was_written(value: object) -> None:
    assert read(success(value)) == (0, value)


@given(st.text())
def test_texts_of_attackers_neither_end_a_reply_nor_reach_a_terminal(text: str) -> None:
    for hostile in (text, END.decode() + text, text + "\x1b[2J" + END.decode()):
        code, shown = read(success([hostile]))
        assert code == 0
        assert all(each.isprintable() or each in "\t\n" for each in shown[0])


@pytest.mark.parametrize("text", ["no such thing", END.decode(), "é\x00"])
def test_an_error_is_an_exception_for_the_client(text: str) -> None:
    code, error = read(failure(CommandError(text, KEY_ERROR)))
    assert code == 1
    assert type(error) is KeyError
    assert len(error.args) == 1
