"""docs/architecture.md and CONTRIBUTING.md tell the truth about the folders."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "architecture.md").read_text()
TOP = ("bench", "config", "docs", "guardhooks", "plugins", "tests")
NAME = re.compile(rf"(?<![\w./])(?:{'|'.join(TOP)})/[\w./]*[\w/]|hookspecs\.py|pyproject\.toml")
NAMED = sorted(set(NAME.findall(TEXT)))
NAMED_TO_CONTRIBUTORS = sorted(set(NAME.findall((ROOT / "CONTRIBUTING.md").read_text())))
TOO_WIDE = {"guardhooks/", "plugins/", "plugins/guardhooks_core/"}
"""Named as wholes; that a module lies there says nothing."""


@pytest.mark.parametrize("name", sorted({*NAMED, *NAMED_TO_CONTRIBUTORS}))
def test_what_they_name_exists(name: str) -> None:
    assert (ROOT / name).is_dir() if name.endswith("/") else (ROOT / name).exists()


def test_it_shows_the_flow_with_the_folder_of_each_step() -> None:
    picture = TEXT.split("```")[1]
    for hook in ("log_source", "line_matcher", "on_failure", "decide_ban", "refuse_ban", "execute_action", "on_ban"):
        assert hook in picture
    assert len(re.findall(r"(?:plugins|guardhooks)/\S+", picture)) >= 7


def test_every_module_lies_in_a_folder_that_it_names() -> None:
    rooms = [name for name in NAMED if name not in TOO_WIDE]
    modules = [
        str(path.relative_to(ROOT))
        for top in ("guardhooks", "plugins")
        for path in (ROOT / top).rglob("*.py")
        if path != ROOT / "plugins" / "guardhooks_core" / "__init__.py"
    ]
    assert len(modules) > 200
    assert [module for module in modules if not any(module.startswith(room) for room in rooms)] == []
