"""The subject and the text of a message about one ban or many, limited in size and free of control characters."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from guardhooks import Ban, safe_text
from guardhooks_core.actions.mail.enrichment import Enrichment
from guardhooks_core.actions.mail.outbox import Digest
from guardhooks_core.actions.mail.parameters import Parameters
from guardhooks_core.actions.mail.whois import Answer

LONGEST_LINE: Final = 900
"""Characters of a line."""
_LONGEST_TEXT: Final = 256 << 10
"""Characters of a message."""
_LATEST: Final = 253_000_000_000.0
"""Seconds since the epoch: the year 9987, close to the last date that can be formatted."""
_LONGEST_ID: Final = 100
_UNITS: Final = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


@dataclass(frozen=True, slots=True)
class Report:
    """Describes a digest, with the details of some of its bans. `host` is this machine's name."""

    parameters: Parameters
    host: str
    digest: Digest
    enrichments: Sequence[Enrichment] = ()

    @property
    def subject(self) -> str:
        """The subject that fail2ban uses: `[Fail2Ban] sshd: banned 192.0.2.1 from HOST`."""
        return f"[{self.parameters.sender_name}] {self.parameters.name}: {self._event} {self._where}"

    @property
    def _where(self) -> str:
        digest = self.digest
        only_bans = digest.banned and not (digest.failed or digest.started or digest.stopped)
        return f"from {self.host}" if only_bans else f"on {self.host}"

    @property
    def _event(self) -> str:
        digest = self.digest
        parts = ["started"] if digest.started else []
        parts += [f"banned {_addresses(digest.bans, digest.banned)}"] if digest.banned else []
        parts += [f"decided, NOT in force: {_addresses(digest.failing, digest.failed)}"] if digest.failed else []
        parts += [f"unbanned {_addresses(digest.unbans, digest.unbanned)}"] if digest.unbanned else []
        parts += ["stopped"] if digest.stopped else []
        return ", ".join(parts)

    @property
    def text(self) -> str:
        """The text of the message."""
        page = Page()
        page.add(f"Jail {self.parameters.name} on {self.host}: {self._event}.")
        if self.digest.failed:
            self._failing(page)
        if self.digest.banned == 1 and self.enrichments:
            self._one(page, self.enrichments[0])
        elif self.digest.banned:
            self._list(page, "Banned:", self.digest.bans, self.digest.banned)
            for enrichment in self.enrichments:
                if enrichment.lines or enrichment.matches or enrichment.whois or enrichment.hostname:
                    page.add("", "-" * 60, f"About {_shown(enrichment.ban)}:")
                    self._one(page, enrichment)
        if self.digest.unbanned:
            self._list(page, "Unbanned:", self.digest.unbans, self.digest.unbanned)
        page.add("", "-- ", "guardhooks")
        return str(page)

    def _failing(self, page: Page) -> None:
        """What was decided but keeps nobody out: the reader has to act."""
        bans, more = self.digest.failing, self.digest.failed - len(self.digest.failing)
        page.section(
            "Decided, NOT in force (they still get through; another message says so when that has changed):",
            (f"{_shown(ban)}: {safe_text(ban.not_in_force, 500)}" for ban in bans),
        )
        if more:
            page.add(f"  … and {more:,} more")
        page.add(f"  `guardhooks doctor` and `guardhooks status {self.parameters.name}` say what is wrong.")

    def _list(self, page: Page, title: str, bans: Sequence[Ban], number: int) -> None:
        page.section(title, (f"{_shown(ban):<40} {_reason(ban)}; {_until(ban)}" for ban in bans))
        if number > len(bans):
            page.add(f"  … and {number - len(bans):,} more; `guardhooks status {self.parameters.name}` lists all")

    def _one(self, page: Page, enrichment: Enrichment) -> None:
        page.add("")
        page.fields(_fields(enrichment))
        if enrichment.matches:
            page.section("Matched lines:", enrichment.matches)
        if enrichment.lines:
            paths = " ".join(self.parameters.logpath.split())
            page.section(
                f"Last lines of {paths} that name {enrichment.address} (at most {self.parameters.grepmax}):",
                enrichment.lines,
            )
        if self.parameters.content.web and enrichment.address:
            page.section("More about the address:", _links(enrichment.address))
        if enrichment.whois is not None:
            page.section(f"Whois {enrichment.address}:", _whois_lines(enrichment.whois))


def _whois_lines(answer: Answer) -> list[str]:
    lines = answer.text.split("\n") if answer.text else []
    return [*lines, f"({answer.problem})"] if answer.problem else lines


def _fields(enrichment: Enrichment) -> list[tuple[str, str]]:
    ban = enrichment.ban
    return [
        ("Address", _shown(ban)),
        ("Offender", enrichment.address if enrichment.address not in ("", ban.id) else ""),
        ("Name", enrichment.hostname),
        ("Country", enrichment.whois.country if enrichment.whois else ""),
        ("Why", _reason(ban)),
        ("User", safe_text(user, 200) if isinstance(user := ban.fields.get("user"), str) else ""),
        ("Since", _date(ban.start)),
        ("Length", _until(ban)),
        ("Times", f"ban number {ban.count} in this jail" if ban.count > 1 else ""),
        ("Notes", ", ".join(f"{key}: {value}" for key, value in ban.notes.items())),
    ]


def _links(address: str) -> list[str]:
    single = address.partition("/")[0]
    return [f"https://bgp.he.net/ip/{single}", f"https://www.projecthoneypot.org/ip_{single}"]


def _addresses(bans: Sequence[Ban], number: int) -> str:
    return _shown(bans[0]) if number == 1 and bans else f"{number:,} addresses"


def _shown(ban: Ban) -> str:
    return safe_text(ban.id, _LONGEST_ID)


def _reason(ban: Ban) -> str:
    """The reason given by the decision, and the number of failures."""
    count = "1 failure" if ban.failures == 1 else f"{ban.failures:,} failures"
    reason = safe_text(ban.reason, 300)
    if not ban.failures or count in reason:
        return reason or "no reason was given"
    return f"{reason} ({count})" if reason else count


def _until(ban: Ban) -> str:
    if math.isinf(ban.length):
        return "permanent"
    return f"{_span(ban.length)}, until {_date(ban.end)}"


def _span(seconds: float) -> str:
    """`1 hour 30 minutes`: the two largest units."""
    left, parts = round(seconds), list[str]()
    for size, unit in _UNITS:
        count, left = divmod(left, size)
        if count and len(parts) < 2:
            parts.append(f"{count} {unit}{'s' if count > 1 else ''}")
    return " ".join(parts) or "0 seconds"


def _date(time: float) -> str:
    if not 0 <= time <= _LATEST:
        return "an unknown time"
    return f"{datetime.fromtimestamp(time, UTC).astimezone():%Y-%m-%d %H:%M:%S %z}"


class Page:
    """Collects lines up to the size limit; the last line then says so."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._left = _LONGEST_TEXT

    def add(self, *lines: str) -> None:
        """Add lines; control characters are shown as escapes, tabs are expanded."""
        for line in lines:
            shown = safe_text(line[: LONGEST_LINE + 1].expandtabs(), LONGEST_LINE)[:LONGEST_LINE].rstrip()
            if self._left <= 0:
                return
            self._left -= len(shown) + 1
            self._lines.append(shown if self._left > 0 else "… (the message would be too long)")

    def section(self, title: str, lines: Iterable[str]) -> None:
        """Add a blank line, a title and its lines, indented so that no line can pass for part of the report."""
        self.add("", title)
        for line in lines:
            self.add(f"  {line}")

    def fields(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Add names and values, without the empty ones."""
        for name, value in pairs:
            if value:
                self.add(f"  {name + ':':<12} {value}")

    def __str__(self) -> str:
        return "\n".join(self._lines) + "\n"
