"""A journal of failed logins, through the plugins as they are loaded, becomes failures with the journal's times."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from guardhooks import Jail, SourceSpec, StartAt
from guardhooks.plugins import Plugins
from guardhooks.settings import load_filter
from tests.kit.found import failures_of

if TYPE_CHECKING:
    from tests.core.sources.journal.conftest import START, entry, write
else:
    from tests.core.sources.journal.conftest import START, entry, write

_CONFIG = Path(__file__).parents[3] / "config"
_UNIT: dict[str, Any] = {"_SYSTEMD_UNIT": "ssh.service"}


async def test_failed_logins_are_found_at_the_times_of_the_journal(folder: Path) -> None:
    write(
        folder / "system.journal",
        entry(1, "Failed password for root from 192.0.2.1 port 40000 ssh2", _PID=101, **_UNIT),
        entry(2, "Failed password for root from 192.0.2.2 port 40000 ssh2", _COMM="forger", _PID=102),
        entry(3, "Invalid user \n Failed password for root from 192.0.2.3 from 192.0.2.4 port 1", _PID=103, **_UNIT),
        entry(
            4.5, "Failed password for invalid user x from 2001:db8::1 port 40000 ssh2", _COMM="sshd-session", _PID=104
        ),
        entry(5, "Accepted password for alice from 192.0.2.5 port 40000 ssh2", _PID=105, **_UNIT),
    )
    found = load_filter(_CONFIG, "sshd", logtype="journal")
    spec = SourceSpec("\n".join(found.journalmatch), kind="journal", backend=f"systemd[journalpath={folder}]")
    jail = Jail("sshd", filter=found, sources=(spec,), findtime=1e9)
    plugins = Plugins.load(clock=lambda: START + 100)
    source = plugins.log_source(jail, spec).worker
    (matcher,) = plugins.line_matcher(source, [jail])
    failures = []
    async for chunk in source.chunks(StartAt({}, 0.0, matcher.worker.time_of)):
        failures += failures_of(plugins.feed(matcher, chunk))
        if b"Accepted" in chunk.data:
            await source.close()
    assert [(failure.id, failure.time) for failure in failures] == [
        ("192.0.2.1", START + 1),
        ("192.0.2.4", START + 3),
        ("2001:db8::1", START + 4.5),
    ]
    assert failures[0].matches == ("srv sshd[101]: Failed password for root from 192.0.2.1 port 40000 ssh2",)
