"""Reads log files: the `log_source` for `logpath` lines that are paths or globs."""

from __future__ import annotations

import re
from typing import Final

from guardhooks import (
    ConfigError,
    Jail,
    LogSource,
    Option,
    OptionTable,
    SourceSpec,
    hookimpl,
    option_types,
    safe_text,
)
from guardhooks_core.sources.tail.collector import Options
from guardhooks_core.sources.tail.containers import ContainerSource, is_container_log
from guardhooks_core.sources.tail.paths import is_path, normalised
from guardhooks_core.sources.tail.reader import LINE_LIMIT
from guardhooks_core.sources.tail.source import FileSource

LINELIMIT: Final = Option(
    "tail.linelimit",
    option_types.integer(1024, 1024 * 1024),
    LINE_LIMIT,
    "how much of a longer line is matched; the rest is skipped",
    "bytes",
)


_FOREIGN: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
"""`exec:…`, `tcp:…`: meant for another plugin, which would have been asked first; paths that begin so are relative."""


@hookimpl
def declare_options() -> list[OptionTable]:
    """See the contract."""
    return [OptionTable("jail", (LINELIMIT,), title="Jails that read files")]


@hookimpl(trylast=True)
def log_source(jail: Jail, spec: SourceSpec) -> LogSource | None:
    """Claims every spec of kind `file` whose text is a path or glob and not `scheme://…`.

    :raises ConfigError: if the text is not a path, the position word is neither `head` nor `tail`, or the jail's
        `tail.linelimit` is out of range.
    """
    text = spec.text.strip()
    if spec.kind != "file" or not is_path(text):
        return None
    if not text or "\0" in text:
        raise ConfigError(f"[{jail.name}] logpath: {safe_text(spec.text)!r} is not a path; name a log file or a glob")
    if _FOREIGN.match(text):
        raise ConfigError(
            f"[{jail.name}] logpath: no plugin reads {safe_text(text, 200)}; write the absolute path of a log file, "
            "or install the plugin for it"
        )
    start = spec.start.strip().lower()
    if start not in {"head", "tail"}:
        raise ConfigError(
            f"[{jail.name}] logpath: unknown position {safe_text(spec.start)!r} after {safe_text(text)}; "
            "allowed: head, tail"
        )
    backend = spec.backend.partition("[")[0].strip().lower()
    options = Options(tail=start == "tail", polling=backend == "polling", line_limit=_line_limit(jail))
    files = FileSource(normalised(text), options=options)
    return ContainerSource(files) if is_container_log(text) else files


def _line_limit(jail: Jail) -> int:
    """The jail's option `tail.linelimit`: how many bytes of a line are matched, from 1 KiB to 1 MiB."""
    text = jail.options.get(LINELIMIT.name)
    try:
        return LINELIMIT.default if text is None else LINELIMIT.parse(text)
    except ConfigError as error:
        raise ConfigError(f"[{jail.name}] {LINELIMIT.name}: {safe_text(str(error))} (bytes)") from None
