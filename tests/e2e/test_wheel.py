"""What people install: the wheel, in an empty environment, used from anywhere but the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import venv
import zipfile
from pathlib import Path

import pytest

from tests.e2e.range import environment
from tests.kit.waiting import wait_for

ROOT = Path(__file__).parent.parent.parent
FAILED = "sshd[7]: Failed password for root from 198.51.100.9 port 4022 ssh2"


class Installation:
    """A virtual environment that holds nothing but guardhooks and what it needs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.wheel = Path(os.environ["TOX_PACKAGE"]) if "TOX_PACKAGE" in os.environ else _built(folder)
        venv.create(folder / "venv", with_pip=True)
        _pip(folder / "venv" / "bin" / "python", "install", self.wheel)
        self.elsewhere = folder / "elsewhere"
        self.elsewhere.mkdir()

    def command(self, *words: str) -> list[str]:
        return [str(self.folder / "venv" / "bin" / "guardhooks"), *words]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*words),
            capture_output=True,
            text=True,
            check=False,
            cwd=self.elsewhere,
            env=self.environment(),
        )

    def environment(self) -> dict[str, str]:
        """A user's own folders, and nothing that leads to the checkout."""
        kept = {key: value for key, value in environment().items() if not key.startswith(("PYTHON", "VIRTUAL", "XDG"))}
        return {**kept, "HOME": str(self.elsewhere)}


def _built(folder: Path) -> Path:
    """The checkout's wheel, where tox has not built it already."""
    source, wheels = folder / "source", folder / "wheels"
    shutil.copytree(ROOT, source, symlinks=True, ignore=shutil.ignore_patterns(".*", "*.pyc", "dist", "build"))
    _pip(Path(sys.executable), "wheel", "--no-deps", "--wheel-dir", wheels, source)
    [wheel] = wheels.glob("guardhooks-*.whl")
    return wheel


def _pip(python: Path, *words: str | Path) -> None:
    done = subprocess.run(
        [python, "-m", "pip", *words, "--quiet", "--disable-pip-version-check"],
        capture_output=True, text=True, check=False, env=environment(),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return Installation(tmp_path_factory.mktemp("wheel"))


pytestmark = pytest.mark.timeout(300)  # packages are fetched and built


def test_it_holds_the_contract_and_the_configuration_once_and_no_tests(installation: Installation) -> None:
    files = zipfile.ZipFile(installation.wheel).namelist()

    assert files.count("guardhooks/hookspecs.py") == 1
    assert "guardhooks/py.typed" in files
    shipped = {f"guardhooks/config/{path.relative_to(ROOT / 'config')}" for path in (ROOT / "config").rglob("*.conf")}
    assert shipped <= set(files)
    packages = {"guardhooks", "guardhooks_core", "guardhooks_native"}
    assert {name.split("/")[0].split("-")[0] for name in files} == packages


def test_it_tells_its_version(installation: Installation) -> None:
    shown = installation.run("version")

    assert shown.stdout == f"guardhooks {installation.wheel.name.split('-')[1]}\n"
    assert shown.stderr == ""


def test_it_knows_a_failed_login(installation: Installation) -> None:
    line = f"{time.strftime('%b %d %H:%M:%S')} host {FAILED}"
    tested = installation.run("test", line, "sshd", "-c", str(_shipped(installation)))

    assert "1 line: 1 matched" in tested.stdout
    assert tested.returncode == 0, tested.stderr


def test_its_daemon_guards_from_any_directory(installation: Installation) -> None:
    log = installation.elsewhere / "auth.log"
    config = installation.elsewhere / "config"
    shutil.copytree(_shipped(installation), config)
    (config / "jail.local").write_text(f"[sshd]\nlogpath = {log}\n")
    log.write_text("".join(f"{time.strftime('%b %d %H:%M:%S')} host {FAILED}\n" for _ in range(5)))
    place = ["-c", "config", "--state", "state"]
    told = installation.elsewhere / "stderr"
    with told.open("w") as stderr:
        daemon = subprocess.Popen(
            installation.command("run", "--observe", *place),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            cwd=installation.elsewhere,
            env=installation.environment(),
        )
    try:
        wait_for(lambda: "[sshd] Would ban 198.51.100.9" in told.read_text(), "a ban in the log")
        assert "198.51.100.9" in installation.run("status", "sshd", *place).stdout
        assert installation.run("stop", *place).stdout == "stopped; bans stay in force\n"
        assert daemon.wait(10) == 0
        assert "Traceback" not in told.read_text()
    finally:
        daemon.kill()
        daemon.wait()


def _shipped(installation: Installation) -> Path:
    """The configuration in the wheel."""
    [folder] = (installation.folder / "venv" / "lib").glob("python*/site-packages/guardhooks/config")
    assert not folder.is_symlink()
    assert os.access(folder / "jail.conf", os.R_OK)
    return folder
