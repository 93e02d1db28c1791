"""Text of attackers meets a shell in one module; who runs its scripts is named here and tried with hostile text."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
HOME: Final = "guardhooks/shell/script.py"
CALLERS: Final = {
    "plugins/guardhooks_core/actions/shell/invocation.py": "tests/core/actions/shell/test_injection.py",
    "plugins/guardhooks_core/decisions/ignore/command.py": "tests/core/decisions/test_ignore.py",
}
"""The modules that fill tags into a script, and the tests that do it with what attackers may write."""
_SHELLS: Final = {"sh", "bash", "dash", "/bin/sh", "/bin/bash", "/usr/bin/sh", "/usr/bin/bash"}
_RUNNING: Final = {"system", "popen", "getoutput", "getstatusoutput", "create_subprocess_shell", "subprocess_shell"}


def modules() -> dict[str, ast.Module]:
    files = [path for top in ("guardhooks", "plugins") for path in sorted((ROOT / top).rglob("*.py"))]
    return {str(path.relative_to(ROOT)): ast.parse(path.read_text()) for path in files}


def starts_a_shell(node: ast.AST) -> bool:
    if isinstance(node, ast.Constant):
        return node.value in _SHELLS
    if isinstance(node, ast.keyword):
        return node.arg == "shell" and not (isinstance(node.value, ast.Constant) and node.value.value is False)
    return isinstance(node, ast.Attribute) and node.attr in _RUNNING


def test_no_other_module_starts_a_shell() -> None:
    found = {name for name, module in modules().items() if any(map(starts_a_shell, ast.walk(module)))}
    assert found == {HOME}


def test_every_caller_is_tried_with_hostile_text() -> None:
    callers = {
        name
        for name, module in modules().items()
        for node in ast.walk(module)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "shell_script"
    }
    assert callers == CALLERS.keys()
    for test in CALLERS.values():
        assert "shell_script" in (ROOT / test).read_text()
