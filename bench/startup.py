"""CPU seconds from the start of a daemon until it has nothing left to do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from daemons import Daemon, Fail2ban, Guardhooks
from kernel import Ipset
from logs import write_log
from reading import settle
from tables import Row, Table


class Watching(Guardhooks):
    """guardhooks without a firewall (`--observe`): what matching alone takes to start."""

    name = "guardhooks --observe"
    extra = ("--observe",)


def startup(numbers: Sequence[int]) -> Table:
    """With so many jails on one log of a few lines; the second time, what was compiled is kept beside the state."""
    from compare import stock_jails

    table = Table("Start until all is read and the firewall stands", "CPU seconds", more=False)
    for number in numbers:
        jails = stock_jails(number)
        starts = {kind.name: _starts(kind, jails) for kind in (Guardhooks, Watching, Fail2ban)}
        for place, when in enumerate(("first start", "again")):
            figures = {name: found[place] for name, found in starts.items()}
            table.rows.append(Row(f"{number} jails, {when}", figures))
    return table


def _starts(kind: type[Daemon], jails: Sequence[str]) -> tuple[float, float]:
    with TemporaryDirectory() as folder:
        log = Path(folder) / "auth.log"
        write_log(log, 1, 0.0)  # with the first line, the prefilter is made
        daemon = kind(Path(folder), log, jails=jails)
        found = []
        try:
            for _ in range(2):
                daemon.start()
                daemon.wait_ready()
                found.append(settle(daemon))
                daemon.stop()
        finally:
            daemon.kill()
            Ipset().clear()
        return found[0], found[1]
