"""From a journal entry to a line of text, as filters with `logtype=journal` expect it: without a date.

`host identifier[pid]: message`; kernel messages with the time since boot: `host kernel: [   12.345678] message`.
"""

from __future__ import annotations

from typing import Final

from guardhooks_core.sources.journal.export_format import VALUE_LIMIT, Entry

CURSOR: Final = b"__CURSOR"
_REALTIME: Final = b"__REALTIME_TIMESTAMP"
_MONOTONIC: Final = b"__MONOTONIC_TIMESTAMP"
_SOURCE_REALTIME: Final = b"_SOURCE_REALTIME_TIMESTAMP"
_SOURCE_MONOTONIC: Final = b"_SOURCE_MONOTONIC_TIMESTAMP"
FIELDS: Final = (
    "MESSAGE", "_HOSTNAME", "SYSLOG_IDENTIFIER", "_COMM", "SYSLOG_PID", "_PID",
    _SOURCE_REALTIME.decode(), _SOURCE_MONOTONIC.decode(),
)  # fmt: skip
"""The fields that a line is made of; cursor, real and monotonic time are always included."""


def line_of(entry: Entry) -> bytes:
    r"""The entry on one line, newline at its end; newlines inside become `\n`. Cut to 64 KiB."""
    get = entry.get
    parts = [get(b"_HOSTNAME", b"")]
    identifier = get(b"SYSLOG_IDENTIFIER") or get(b"_COMM")
    if identifier:
        pid = get(b"SYSLOG_PID") or get(b"_PID")
        parts.append(b"%s[%s]:" % (identifier, pid) if pid else identifier + b":")
        if identifier == b"kernel" and not pid:
            seconds = (_microseconds(get(_SOURCE_MONOTONIC)) or _microseconds(get(_MONOTONIC))) / 1e6
            parts.append(b"[%12.6f]" % seconds)
    parts.append(get(b"MESSAGE", b""))
    line = b" ".join(part for part in parts if part)
    return line.replace(b"\n", rb"\n")[:VALUE_LIMIT] + b"\n"


def received_at(entry: Entry) -> int:
    """When journald received the entry, in microseconds since the epoch; entries of a journal are in this order."""
    return _microseconds(entry.get(_REALTIME))


def time_of(entry: Entry) -> float:
    """When the entry was logged, in seconds since the epoch: the sender's time if known."""
    return (_microseconds(entry.get(_SOURCE_REALTIME)) or received_at(entry)) / 1e6


def _microseconds(digits: bytes | None) -> int:
    return int(digits) if digits and len(digits) <= 20 and digits.isdigit() else 0
