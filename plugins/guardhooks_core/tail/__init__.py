"""Reads log files: the core's `log_source` for `logpath` lines that are paths or globs."""

from __future__ import annotations

from guardhooks import ConfigError, Jail, LogSource, SourceSpec, hookimpl, safe_text
from guardhooks_core.tail.paths import is_path, normalised
from guardhooks_core.tail.source import FileSource


@hookimpl(trylast=True)
def log_source(jail: Jail, spec: SourceSpec) -> LogSource | None:
    """Claims every spec of kind `file` whose text is a path or glob and not `scheme://…`.

    :raises ConfigError: the text is empty or cannot be a path, or the position word is neither `head` nor `tail`.
    """
    text = spec.text.strip()
    if spec.kind != "file" or not is_path(text):
        return None
    if not text or "\0" in text:
        raise ConfigError(f"[{jail.name}] logpath: {safe_text(spec.text)!r} is no path; name a log file or a glob")
    start = spec.start.strip().lower()
    if start not in {"head", "tail"}:
        raise ConfigError(
            f"[{jail.name}] logpath: unknown position {safe_text(spec.start)!r} after {safe_text(text)}; "
            "allowed: head, tail"
        )
    backend = spec.backend.partition("[")[0].strip().lower()
    return FileSource(normalised(text), tail=start == "tail", polling=backend == "polling")
