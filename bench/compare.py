#!/usr/bin/env python3
"""Runs guardhooks beside what else reads logs, on the same input; prints Markdown, and can write a picture of it.

    sudo python bench/compare.py                        # all cases
    sudo python bench/compare.py --quick                # smaller numbers, under three minutes
    sudo python bench/compare.py --write docs/performance.md  # puts them there, and a picture beside it

Beside guardhooks and `guardhooks test`: Debian's fail2ban and fail2ban-regex, sshguard's sshg-parser, `rg -c` with the
literals that the regexes cannot do without, and `wc -l`; those that are not installed are left out. Needs root,
fail2ban (with python3-pyinotify), ipset and iptables. Everything happens in a network namespace of its own, so that
neither the machine's firewall nor a running fail2ban is touched. The logs are made from a seed. CPU time is measured,
user and system, of all threads, without that of the start: a daemon reads lines that are appended to its log, and of a
program's time that for an empty log is taken off.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parent))

import growth
from daemons import Fail2ban, Guardhooks
from latency import latency
from logs import write_log, write_mail_log, write_real_log
from reading import Cost, read
from side_by_side import enter_namespace, machine
from startup import startup
from tables import Row, Table, bars
from tools import tools

REAL_LOG = Path(__file__).parent.parent.parent / "shared" / "samples" / "real" / "openssh_2k.log"
ETC = Path("/etc/fail2ban")


@dataclass(frozen=True, slots=True)
class Size:
    """How big the cases are; slow contestants get shorter logs, figures are per line."""

    lines: int = 1_000_000
    slow_lines: int = 40_000
    bans: int = 300
    slow_bans: int = 30
    starts: tuple[int, ...] = (1, 10, 100)
    growth: float = 1.0
    shares: tuple[float, ...] = (0.01, 0.1, 1.0)
    jails: tuple[int, ...] = (1, 10, 60)
    lengths: tuple[int, ...] = (100, 1_000, 60_000)
    files: tuple[int, ...] = (1, 2, 4, 8)
    parts: tuple[int, ...] = (8, 4, 2, 1)
    grown_jails: tuple[int, ...] = (1, 10, 30, 60)


QUICK = Size(100_000, 3_000, 20, 3, (100,), 0.02, (0.01, 1.0), (1, 60), (60_000,), (8,), (8, 1), ())

_BEGIN, _END = "<!-- figures -->", "<!-- end of figures -->"
COSTLY = ("guacamole", "3proxy")
"""Jails for which every line must be matched: a regex over two lines, and one without a single word."""
_SPECIAL = ("recidive", "pass2allow-ftp", "xinetd-fail")
"""Jails that read fail2ban's own log, or that do something else than to ban."""

Writer = Callable[[Path, int], object]


def main() -> None:
    arguments = _arguments()
    enter_namespace()
    size = QUICK if arguments.quick else Size()
    suites: dict[str, Callable[[], list[Table]]] = {
        "throughput": lambda: [throughput(size)],
        "scaling": lambda: [scaling(size)],
        "startup": lambda: [startup(size.starts)],
        "latency": lambda: [latency(size.bans, size.slow_bans)],
        "growth": lambda: growth.growth(size.growth, size.parts, size.grown_jails),
    }
    tables = [table for name in arguments.cases or suites for table in suites[name]()]
    text = "\n".join([machine(), "", *(table.markdown() for table in tables)])
    print(text)
    if arguments.write:
        put(arguments.write, text)
        arguments.write.with_suffix(".svg").write_text(bars(tables))


def put(document: Path, text: str) -> None:
    """Replace what stands between the marks of a Markdown document."""
    before, begin, rest = document.read_text().partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not end:
        raise SystemExit(f"{document} lacks the marks {_BEGIN} and {_END}")
    document.write_text(f"{before}{begin}\n{text}\n{end}{after}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="smaller numbers, under three minutes")
    parser.add_argument("--write", type=Path, metavar="FILE.md", help="put them between FILE.md's marks; FILE.svg, too")
    parser.add_argument(
        "cases", nargs="*", metavar="CASE", help="throughput, scaling, startup, latency, growth; all by default"
    )
    return parser.parse_args()


def throughput(size: Size) -> Table:
    """Lines per CPU second of everybody, by what is in the log."""
    table = Table("Reading a log", "lines per CPU second")
    for share in size.shares:
        cases = {f"{share:.0%} attack lines": True, f"{share:.0%} attack lines, nobody logs in": False}
        for case, logins in cases.items() if share < 1 else list(cases.items())[:1]:
            table.rows.append(_everybody(case, size, ("sshd",), _ssh_log(share, logins=logins)))
    if REAL_LOG.exists():
        times = max(1, size.lines // 5_000 // 2)

        def write_real(path: Path, lines: int) -> object:
            return write_real_log(path, REAL_LOG, times, maxlines=lines)

        table.rows.append(_everybody("openssh_2k, repeated", size, ("sshd",), write_real))
    table.rows.append(
        _everybody(
            "mail log, 1 % attack lines, postfix and dovecot",
            size,
            ("dovecot", "postfix"),
            lambda path, lines: write_mail_log(path, lines, 0.01, offenders=max(lines, 1000)),
        )
    )
    return table


def _ssh_log(share: float, *, logins: bool = True, length: int = 0) -> Writer:
    # Every offender stays below maxretry, so that lines are measured and not bans.
    return lambda path, lines: write_log(path, lines, share, logins=logins, length=length, offenders=max(lines, 1000))


def _everybody(case: str, size: Size, jails: tuple[str, ...], write: Writer) -> Row:
    with TemporaryDirectory() as folder:
        long, short = Path(folder) / "long", Path(folder) / "short"
        write(long, size.lines)
        write(short, size.slow_lines)
        figures: dict[str, float | None] = {
            "guardhooks": _rate(long, read(Guardhooks, [long], jails=jails)),
            "fail2ban": _rate(short, read(Fail2ban, [short], jails=jails)),
        }
        for tool in tools(jails[0], ETC):
            log = short if tool.name.startswith("fail2ban") else long
            cost = tool.cost(log)
            figures[tool.name] = _rate(log, Cost(*cost)) if cost else None
    return Row(case, figures)


def _rate(log: Path, cost: Cost) -> float:
    return _lines(log) / max(cost.cpu, 1e-4)


def _lines(log: Path) -> int:
    with log.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))


def scaling(size: Size) -> Table:
    """Lines per CPU second of both daemons by number of jails, length of lines and number of files."""
    table = Table("More jails, longer lines, more files (1 % attack lines)", "lines per CPU second")
    for jails in size.jails:
        names = stock_jails(jails)
        table.rows.append(_daemons(f"{jails} jails on one file", size, 1, names, _ssh_log(0.01), slow=jails))
    costly = (*stock_jails(max(size.jails) - len(COSTLY)), *COSTLY)
    case = f"{len(costly)} jails, {' and '.join(COSTLY)} among them"
    table.rows.append(_daemons(case, size, 1, costly, _ssh_log(0.01), slow=len(costly)))
    for length in size.lengths:
        writer = _ssh_log(0.01, logins=False, length=length)
        table.rows.append(_daemons(f"lines of {length:,} bytes", size, 1, ("sshd",), writer, short=length / 100))
    for files in size.files:
        table.rows.append(_daemons(f"{files} files at once", size, files, ("sshd",), _ssh_log(0.01)))
    return table


def stock_jails(number: int) -> tuple[str, ...]:
    """So many of Debian's jails, sshd first; more of sshd where they do not suffice. None of the costly ones."""
    lines = (ETC / "jail.conf").read_text().splitlines()
    names = [line[1:-1] for line in lines if line.startswith("[") and line.endswith("]")]
    left_out = {"sshd", "INCLUDES", "DEFAULT", *_SPECIAL, *COSTLY}
    found = ["sshd", *(name for name in names if name not in left_out)]
    return tuple((found + [f"more-{each}" for each in range(number)])[:number])


def _daemons(
    case: str, size: Size, files: int, jails: tuple[str, ...], write: Writer, *, slow: float = 1, short: float = 1
) -> Row:
    """`slow` and `short` divide the number of lines: of the slower daemon, of both."""
    figures: dict[str, float | None] = {}
    for kind, lines in ((Guardhooks, size.lines), (Fail2ban, int(size.slow_lines / min(slow, 10)))):
        with TemporaryDirectory() as folder:
            logs = [Path(folder) / str(number) for number in range(files)]
            for log in logs:
                write(log, max(500, int(lines / short / files)))
            cost = read(kind, logs, jails=jails)
            figures[kind.name] = sum(map(_lines, logs)) / max(cost.cpu, 1e-4)
    return Row(case, figures)


if __name__ == "__main__":
    main()
