"""Builds the native core with cargo, or says in `_build.txt` why the wheel is pure Python.

The environment variable GUARDHOOKS_NATIVE chooses: `auto` (the default) builds it where that is possible, `require`
fails where it is not (release wheels, CI), `off` does not try.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_MODULE = "_core.abi3.so"
_NOTE = "_build.txt"
_LIBRARY = "libguardhooks_core.so"
_PACKAGE = Path("plugins", "guardhooks_native")
_CHOICE = "GUARDHOOKS_NATIVE"
_MOST_SECONDS = 1200
"""A registry that does not answer must not block an installation; a cold build takes about a minute."""
_FETCH_SECONDS = 120
_LEAST_RUST = (1, 85)


class CannotBuildError(Exception):
    """The core cannot be built here; says why."""


class NativeHook(BuildHookInterface):  # type: ignore[misc]  # untyped where hatchling is not installed
    """hatchling's hook; see `pyproject.toml`."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        choice = os.environ.get(_CHOICE, "auto")
        built, why = self._build(choice)
        if built is None and choice == "require":
            raise RuntimeError(f"the native core was not built: {why}")
        if built is None:
            self.app.display_warning(f"guardhooks is installed without its native core: {why}")
        files = {_NOTE: self._note(why or "native"), **({_MODULE: built} if built else {})}
        if version == "editable":
            self._into_the_tree(files)
        else:
            build_data["force_include"].update({str(file): f"guardhooks_native/{name}" for name, file in files.items()})
        if built:
            platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
            build_data["pure_python"] = False
            build_data["tag"] = f"cp311-abi3-{platform}"

    def _build(self, choice: str) -> tuple[Path | None, str]:
        if choice == "off":
            return None, f"switched off by {_CHOICE}=off"
        try:
            return _cargo(Path(self.root, _PACKAGE, "crate")), ""
        except CannotBuildError as error:
            return None, str(error)

    def _note(self, text: str) -> Path:
        note = Path(self.directory, _NOTE)
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(f"{text}\n", "utf-8")
        return note

    def _into_the_tree(self, files: dict[str, Path]) -> None:
        """An editable installation imports from the source tree; a module from an earlier build must not stay."""
        package = Path(self.root, _PACKAGE)
        (package / _MODULE).unlink(missing_ok=True)
        for name, file in files.items():
            shutil.copyfile(file, package / name)


def _cargo(crate: Path) -> Path:
    """The library, built.

    :raises CannotBuildError: naming what is in the way.
    """
    cargo = shutil.which("cargo")
    if cargo is None:
        raise CannotBuildError("there is no cargo on the PATH")
    if sysconfig.get_platform().split("-")[0] != "linux":
        raise CannotBuildError("it is built for Linux only")
    _check_version(cargo)
    target = Path(os.environ.get("CARGO_TARGET_DIR", crate / "target")).absolute()
    manifest = ["--locked", "--manifest-path", str(crate / "Cargo.toml")]
    vendored = _vendored(crate)
    if not vendored:
        _run([cargo, "fetch", *manifest], _FETCH_SECONDS)
        vendored = ["--offline"]
    _run([cargo, "build", "--release", *vendored, *manifest, "--target-dir", str(target)], _MOST_SECONDS)
    triple = os.environ.get("CARGO_BUILD_TARGET", "")
    return target / triple / "release" / _LIBRARY


def _check_version(cargo: str) -> None:
    told = _run([cargo, "--version"], 30).split()
    numbers = told[1].split("-")[0].split(".") if len(told) > 1 else []
    if tuple(int(number) for number in numbers[:2] if number.isdecimal()) < _LEAST_RUST:
        least = ".".join(map(str, _LEAST_RUST))
        raise CannotBuildError(f"{' '.join(told)} is too old; Rust {least} is needed")


def _vendored(crate: Path) -> list[str]:
    """Options for crates that `cargo vendor` has put into the tree."""
    folder = crate / "vendor"
    if not folder.is_dir():
        return []
    source = ['source.crates-io.replace-with="vendored"', f'source.vendored.directory="{folder}"']
    return ["--offline", *(word for setting in source for word in ("--config", setting))]


def _run(command: list[str], seconds: float) -> str:
    what = f"cargo {command[1].removeprefix('--')}"
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds)
    except subprocess.TimeoutExpired:
        raise CannotBuildError(f"{what} did not end within {seconds:.0f} s") from None
    except OSError as error:
        raise CannotBuildError(f"{what}: {error}") from error
    if done.returncode:
        lines = [line.strip() for line in done.stderr.strip().splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("error")] or lines[-1:]
        raise CannotBuildError(f"{what} failed: {' | '.join(errors)[:400]}")
    return done.stdout
