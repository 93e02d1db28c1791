"""Names of sets and chains that the kernel accepts, made from jail names, the same on every run."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from guardhooks import ActionError

_UNFIT: Final = re.compile(r"[^A-Za-z0-9_.-]")
_DIGEST: Final = 6
"""Characters of the hash that tells shortened or changed names apart."""


def kernel_name(prefix: str, name: str, suffix: str = "", *, limit: int = 31) -> str:
    """`prefix + name + suffix` in at most `limit` characters.

    A name that is too long, or has characters that a tool would take for syntax, is cut or has them replaced by `_`,
    and gets a hash of the whole name, so that two names never become one.

    :raises ActionError: when `name` is empty.
    """
    if not name:
        raise ActionError("name= is empty: give the action a name, for example name=sshd")
    fit = _UNFIT.sub("_", name)
    room = limit - len(prefix) - len(suffix)
    if fit != name or len(fit) > room:
        digest = hashlib.sha256(name.encode()).hexdigest()[:_DIGEST]
        fit = f"{fit[: room - _DIGEST - 1]}-{digest}"
    return f"{prefix}{fit}{suffix}"


def fingerprint(*parts: object) -> str:
    """Twelve hexadecimal digits that stand for `parts`; rules carry it, so that a changed one is told from ours."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]
