"""Reads the systemd journal with `journalctl`: the `log_source` for `journalmatch`."""

from __future__ import annotations

from guardhooks import Jail, LogSource, OptionTable, SourceSpec, hookimpl
from guardhooks_core.sources.journal.backend import OPTIONS
from guardhooks_core.sources.journal.selection import Selection
from guardhooks_core.sources.journal.source import JournalSource


@hookimpl
def declare_options() -> list[OptionTable]:
    """See the contract."""
    return [OPTIONS]


@hookimpl(trylast=True)
def log_source(jail: Jail, spec: SourceSpec) -> LogSource | None:
    """Claims every spec of kind `journal`. Nothing runs yet: a missing `journalctl` is not an error here.

    :raises ConfigError: if a match or an option of the backend is invalid; names the jail and the option.
    """
    if spec.kind != "journal":
        return None
    return JournalSource(Selection.read(jail.name, spec), tail=spec.start.strip().lower() == "tail")
