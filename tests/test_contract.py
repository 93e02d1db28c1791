"""The contract is what its documents say, and the package is laid out as its users fixed it."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

import guardhooks
from guardhooks import hookspecs

ROOT = Path(__file__).parents[1]
HOOKS = {
    name: function
    for name, function in vars(hookspecs).items()
    if inspect.isfunction(function) and hasattr(function, "guardhooks_spec")
}


def test_the_contract_has_the_hooks_of_the_design() -> None:
    assert set(HOOKS) == {
        "declare_options", "on_start", "failure_windows", "log_source", "line_matcher", "screen_failures", "on_failure",
        "decide_ban", "refuse_ban", "execute_action", "on_ban", "on_unban", "diagnose", "check_jail", "on_stop",
        "add_commands", "add_requests", "control_protocol",
    }  # fmt: skip


@pytest.mark.parametrize("name", HOOKS)
def test_each_hook_is_documented_with_its_exact_arguments(name: str) -> None:
    arguments = list(inspect.signature(HOOKS[name]).parameters)
    assert f"`{name}({', '.join(arguments)})`" in (ROOT / "docs" / "plugins.md").read_text()
    documented = inspect.getdoc(HOOKS[name]) or ""
    assert [argument for argument in arguments if f":param {argument}:" not in documented] == []
    assert documented.startswith("Called ")


def test_the_links_into_the_package_are_there() -> None:
    if not (ROOT / "guardhooks").is_dir():
        pytest.skip("not run from a checkout")
    assert (ROOT / "guardhooks" / "hookspecs.py").readlink() == Path("../hookspecs.py")
    assert (ROOT / "guardhooks" / "config").readlink() == Path("../config")


def test_every_public_name_can_be_had() -> None:
    for name in guardhooks.__all__:
        assert getattr(guardhooks, name) is not None
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = guardhooks.no_such_name
