"""Installing guardhooks with a Rust toolchain gives the native core, and without one a working pure Python package."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
CARGO = shutil.which("cargo")
NOTE, MODULE = "guardhooks_native/_build.txt", "guardhooks_native/_core.abi3.so"

pytestmark = [
    pytest.mark.skipif(not os.environ.get("CI") and not shutil.which("git"), reason="needs git"),
    pytest.mark.timeout(900),
]
needs_cargo = pytest.mark.skipif(not os.environ.get("CI") and CARGO is None, reason="needs cargo")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources as a checkout has them, without what was built in them."""
    copy = tmp_path_factory.mktemp("checkout")
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in files.decode().rstrip("\0").split("\0"):
        if (ROOT / name).exists():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name, follow_symlinks=False)
    return copy


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where cargo builds, shared by the tests so that it builds once."""
    return os.environ.get("CARGO_TARGET_DIR") or str(tmp_path_factory.mktemp("target"))


def without_cargo(folder: Path) -> str:
    """A PATH that leads to everything but cargo."""
    folder.mkdir()
    for place in os.environ["PATH"].split(":"):
        for program in Path(place).iterdir() if Path(place).is_dir() else ():
            link = folder / program.name
            if not program.name.startswith(("cargo", "rust")) and not link.exists():
                link.symlink_to(program)
    return str(folder)


def build(source: Path, into: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(into), str(source)]
    variables = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", **environment}
    return subprocess.run(command, env=variables, capture_output=True, text=True, check=False)


def wheel(source: Path, into: Path, **environment: str) -> Path:
    done = build(source, into, **environment)
    assert done.returncode == 0, done.stderr[-2000:]
    (built,) = into.glob("*.whl")
    return built


def content(archive: Path) -> list[str]:
    return zipfile.ZipFile(archive).namelist()


def note(archive: Path) -> str:
    return zipfile.ZipFile(archive).read(NOTE).decode().strip()


@needs_cargo
def test_with_cargo_the_wheel_carries_the_core(tree: Path, tmp_path: Path, target: str) -> None:
    built = wheel(tree, tmp_path / "wheel", GUARDHOOKS_NATIVE="require", CARGO_TARGET_DIR=target)

    assert "cp311-abi3-linux" in built.name
    assert MODULE in content(built)
    assert note(built) == "native"
    assert not [name for name in content(built) if "/crate/" in name or name.endswith("hatch_build.py")]
    assert matches_with(built, tmp_path / "environment") == "native"


def test_without_cargo_the_wheel_is_pure_and_works(tree: Path, tmp_path: Path) -> None:
    built = wheel(tree, tmp_path / "wheel", PATH=without_cargo(tmp_path / "bin"))

    assert built.name.endswith("py3-none-any.whl")
    assert MODULE not in content(built)
    assert note(built) == "there is no cargo on the PATH"
    assert matches_with(built, tmp_path / "environment") == "filterd"


@needs_cargo
def test_without_a_registry_the_wheel_is_pure(tree: Path, tmp_path: Path) -> None:
    home = tmp_path / "cargo"
    home.mkdir()
    built = wheel(
        tree,
        tmp_path / "wheel",
        CARGO_HOME=str(home),
        CARGO_NET_OFFLINE="true",
        CARGO_TARGET_DIR=str(tmp_path / "target"),
    )

    assert built.name.endswith("py3-none-any.whl")
    assert note(built).startswith("cargo fetch failed: ")


@needs_cargo
def test_it_can_be_switched_off(tree: Path, tmp_path: Path) -> None:
    built = wheel(tree, tmp_path / "wheel", GUARDHOOKS_NATIVE="off")

    assert built.name.endswith("py3-none-any.whl")
    assert note(built) == "switched off by GUARDHOOKS_NATIVE=off"


def test_where_it_is_required_its_lack_is_an_error(tree: Path, tmp_path: Path) -> None:
    path = without_cargo(tmp_path / "bin")
    done = build(tree, tmp_path / "wheel", GUARDHOOKS_NATIVE="require", PATH=path)

    assert done.returncode != 0
    assert "the native core was not built: there is no cargo on the PATH" in done.stdout + done.stderr


@needs_cargo
def test_the_source_distribution_builds_both_ways(tree: Path, tmp_path: Path, target: str) -> None:
    pytest.importorskip("hatchling", reason="makes the source distribution")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(tmp_path)],
        cwd=tree, env={**os.environ, "GUARDHOOKS_NATIVE": "off"}, check=True, capture_output=True,
    )  # fmt: skip
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        names = opened.getnames()
    assert [name for name in names if name.endswith("guardhooks_native/crate/Cargo.lock")]
    assert not [name for name in names if name.endswith(".so") or "/target/" in name]

    native = wheel(archive, tmp_path / "native", GUARDHOOKS_NATIVE="require", CARGO_TARGET_DIR=target)
    pure = wheel(archive, tmp_path / "pure", GUARDHOOKS_NATIVE="off")
    assert MODULE in content(native)
    assert MODULE not in content(pure)


PROBE = """
import logging, sys
from guardhooks import Jail, FilterSpec, Chunk
from guardhooks.plugins import Plugins
plugins = Plugins.load()
jail = Jail("probe", FilterSpec("probe", failregex=("^bad login from <ADDR>$",), datepattern=("{NONE}",)))
class Source:
    key = "probe"
    def chunks(self, start): ...
    def status(self): ...
    async def close(self): ...
(matcher,) = plugins.line_matcher(Source(), [jail])
found = plugins.feed(matcher, Chunk(b"bad login from 192.0.2.7\\n", "probe", 1000.0))
assert [found.failure(row).id for row in range(len(found))] == ["192.0.2.7"]
print(next(row["served_by"] for row in plugins.report([jail]) if row["hook"] == "line_matcher"))
"""


def matches_with(built: Path, environment: Path) -> str:
    """The plugin that finds failures where this wheel is installed; what it needs besides is there already."""
    installed = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--target",
        str(environment),
        str(built),
    ]
    subprocess.run(installed, check=True, capture_output=True)
    variables = {**os.environ, "PYTHONPATH": str(environment), "PYTHONNOUSERSITE": "1"}
    probe = [sys.executable, "-P", "-c", PROBE]
    done = subprocess.run(probe, env=variables, cwd=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
