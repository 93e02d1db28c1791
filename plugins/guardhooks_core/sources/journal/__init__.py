"""Reads the systemd journal through `journalctl`: the core's `log_source` for `journalmatch`."""

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
    """Claims every spec of kind `journal`. Nothing is run yet: a machine without `journalctl` is no error here.

    :raises ConfigError: a match or an option of the backend cannot be right; names jail and option.
    """
    if spec.kind != "journal":
        return None
    return JournalSource(Selection.read(jail.name, spec), tail=spec.start.strip().lower() == "tail")
