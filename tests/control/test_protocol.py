"""What goes over the wire, whatever comes in."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from guardhooks.control.protocol import RequestError, encode, read_request

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.binary() | values.map(lambda value: json.dumps(value).encode()))
def test_any_request_is_understood_or_refused(line: bytes) -> None:
    try:
        command, arguments = read_request(line)
    except RequestError:
        return
    assert json.loads(line)["command"] == command
    assert json.loads(line).get("arguments", {}) == arguments


@given(st.text(), st.dictionaries(st.text(), values))
def test_a_request_arrives_as_it_was_sent_on_one_line(command: str, arguments: dict[str, object]) -> None:
    line = encode({"command": command, "arguments": arguments})

    assert line.count(b"\n") == 1
    assert read_request(line) == (command, arguments)
