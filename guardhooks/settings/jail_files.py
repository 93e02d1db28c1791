"""What all jails of a configuration directory are built from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from guardhooks.settings.declared import DeclaredOptions
from guardhooks.settings.definitions import Library
from guardhooks.settings.merged import MergedConfig


@dataclass(frozen=True, slots=True)
class JailFiles:
    """`config` are the merged jail files, `referred` the names that their values refer to, in lower case.

    `journal` says whether this machine keeps a systemd journal, `newest_entry` gives the time of its newest entry of
    some matches (None: there is none); `now` is the time of loading. Both in seconds since the epoch.
    """

    config: MergedConfig
    library: Library
    declared: DeclaredOptions
    referred: frozenset[str]
    journal: bool
    newest_entry: Callable[[Sequence[str]], float | None]
    now: float
