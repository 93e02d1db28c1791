"""Port lists as action files have them."""

from __future__ import annotations

import pytest

from guardhooks.system.tcp_ports import ports_of


@pytest.mark.parametrize(
    ("text", "ports"),
    [
        ("22", {22}),
        ("http, https", {80, 443}),
        ("22,1000:1002", {22, 1000, 1001, 1002}),
        ("1000-1001", {1000, 1001}),
        ("0:65535", None),
        ("1:65535", None),
        ("no-such-service", None),
    ],
)
def test_ports_of_a_list(text: str, ports: set[int] | None) -> None:
    assert ports_of(text) == ports
