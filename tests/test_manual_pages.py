"""The manual pages: made from the commands, and by hand."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from guardhooks.cli.group import cli

FOLDER = Path(__file__).parent.parent / "packaging" / "man"
BY_HAND = sorted(FOLDER.glob("*.[57]"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("man")
    subprocess.run([sys.executable, FOLDER / "generate.py", folder], check=True)
    return folder


def test_every_command_has_a_page_with_its_options(made: Path) -> None:
    commands = cli.list_commands(click.Context(cli))
    assert {f"guardhooks-{name}.1" for name in commands} <= {page.name for page in made.iterdir()}
    assert ".B \\-\\-for DURATION" in (made / "guardhooks-ban.1").read_text()
    assert "guardhooks\\-config\\-show" in (made / "guardhooks-config.1").read_text()
    assert "no daemon answers" in (made / "guardhooks.1").read_text()


def test_what_they_refer_to_exists(made: Path) -> None:
    pages = [*made.iterdir(), *BY_HAND]
    there = {page.name for page in pages}
    for page in pages:
        text = re.sub(r"\\f[BR]|^\.B[RI]? ", "", page.read_text(), flags=re.MULTILINE).replace("\\-", "-")
        assert {f"{name}.{section}" for name, section in re.findall(r"(guardhooks[\w.-]*) ?\((\d)\)", text)} <= there


def test_troff_finds_nothing_to_complain_about(made: Path) -> None:
    if shutil.which("mandoc") is None:
        assert not os.environ.get("CI"), "CI must have mandoc"
        pytest.skip("needs mandoc")
    run = subprocess.run(
        ["mandoc", "-T", "lint", "-W", "warning", *made.iterdir(), *BY_HAND],
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.stdout + run.stderr == ""
