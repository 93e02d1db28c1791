"""Why a path leads to no file, for people who have to find the mistake in `logpath`."""

from __future__ import annotations

import os
from difflib import get_close_matches

from guardhooks import safe_text

_SHOWN = 200


def why_absent(path: str) -> str:
    """`no file PATH yet`, with what is likely to be wrong: a dangling link, a missing folder, a misspelt name."""
    nothing = f"no file {safe_text(path, _SHOWN)} yet"
    if os.path.islink(path):
        return f"{nothing}: it is a link to {safe_text(_target(path), _SHOWN)}, which does not exist"
    if path.rstrip() != path or path.endswith(("\\", ",", '"', "'", ";")):
        return f"{nothing}: its name ends with {path[-1]!r}, check logpath"
    folder, _, name = path.rpartition("/")
    try:
        names = os.listdir(folder or "/")
    except FileNotFoundError:
        return f"{nothing}: there is no folder {safe_text(folder, _SHOWN)}"
    except OSError as error:
        return f"{nothing}: {safe_text(folder, _SHOWN)}: {error.strerror or error}"
    near = get_close_matches(name, names, n=1, cutoff=0.8)
    return f"{nothing}; did you mean {safe_text(f'{folder}/{near[0]}', _SHOWN)}?" if near else nothing


def _target(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return "a file"
