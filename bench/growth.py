"""How our cost grows: with lines, jails, offenders and bans, four points each. Flat is right."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from daemons import Guardhooks
from logs import write_log
from reading import Cost, read
from tables import Row, Table


def growth(scale: float, parts: Sequence[int], numbers: Sequence[int]) -> list[Table]:
    """The greatest case, divided by each of `parts`, and these numbers of jails.

    `scale` 1 means two million lines, 400,000 offenders and 40,000 bans.
    """
    from compare import stock_jails

    per_line = Table("Growth", "CPU microseconds per line (or per ban)", more=False)
    memory = Table("Growth of memory", "peak resident MB", more=False)

    def add(case: str, lines: int, cost: Cost) -> None:
        per_line.rows.append(Row(case, {"guardhooks": 1e6 * cost.cpu / lines}))
        memory.rows.append(Row(case, {"guardhooks": cost.memory}))

    for part in parts:
        lines = int(2_000_000 * scale / part)
        add(f"{lines:,} lines, 1 % attack", lines, _cost(lines, 0.01, lines))
    for jails in numbers:
        lines = int(500_000 * scale)
        add(f"{jails} jails", lines, _cost(lines, 0.01, lines, jails=stock_jails(jails)))
    for part in parts:
        lines = int(400_000 * scale / part)
        add(f"{lines:,} lines of as many offenders", lines, _cost(lines, 1.0, 16 * lines))
    for part in parts:
        lines = int(40_000 * scale / part)
        add(f"about {lines:,} bans", lines, _cost(lines, 1.0, 16 * lines, maxretry=1))
    return [per_line, memory]


def _cost(lines: int, share: float, offenders: int, *, jails: tuple[str, ...] = ("sshd",), maxretry: int = 6) -> Cost:
    with TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        write_log(log, lines, share, offenders=max(offenders, 1000))
        return read(Guardhooks, [log], jails=jails, maxretry=maxretry)
