"""What a message says: its subject, and its text about one ban, or about many."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from guardhooks import Ban, safe_text
from guardhooks_core.actions.mail.enrichment import Facts
from guardhooks_core.actions.mail.outbox import Collection
from guardhooks_core.actions.mail.parameters import Parameters
from guardhooks_core.actions.mail.whois import Answer

_LATEST: Final = 253_000_000_000.0
"""Seconds since the epoch: the year 9987, behind which there are no dates."""
_ID: Final = 100
_UNITS: Final = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


@dataclass(frozen=True, slots=True)
class Report:
    """About a collection, with the facts about some of its bans. `host` is this machine's name."""

    parameters: Parameters
    host: str
    collection: Collection
    facts: Sequence[Facts] = ()

    @property
    def subject(self) -> str:
        """As fail2ban has it: `[Fail2Ban] sshd: banned 192.0.2.1 from HOST`."""
        return f"[{self.parameters.sender_name}] {self.parameters.name}: {self._event} {self._where}"

    @property
    def _where(self) -> str:
        news = self.collection
        return f"from {self.host}" if news.banned and not (news.started or news.stopped) else f"on {self.host}"

    @property
    def _event(self) -> str:
        news = self.collection
        parts = ["started"] if news.started else []
        parts += [f"banned {_whom(news.bans, news.banned)}"] if news.banned else []
        parts += [f"unbanned {_whom(news.unbans, news.unbanned)}"] if news.unbanned else []
        parts += ["stopped"] if news.stopped else []
        return ", ".join(parts)

    @property
    def text(self) -> str:
        """The text of the message."""
        page = Page()
        page.add(f"Jail {self.parameters.name} on {self.host}: {self._event}.")
        if self.collection.banned == 1 and self.facts:
            self._one(page, self.facts[0])
        elif self.collection.banned:
            self._list(page, "Banned:", self.collection.bans, self.collection.banned)
            for facts in self.facts:
                if facts.lines or facts.matches or facts.whois or facts.hostname:
                    page.add("", "-" * 60, f"About {_shown(facts.ban)}:")
                    self._one(page, facts)
        if self.collection.unbanned:
            self._list(page, "Unbanned:", self.collection.unbans, self.collection.unbanned)
        page.add("", "-- ", "guardhooks")
        return str(page)

    def _list(self, page: Page, title: str, bans: Sequence[Ban], number: int) -> None:
        page.section(title, (f"{_shown(ban):<40} {_why(ban)}; {_until(ban)}" for ban in bans))
        if number > len(bans):
            page.add(f"  … and {number - len(bans):,} more; `guardhooks status {self.parameters.name}` lists all")

    def _one(self, page: Page, facts: Facts) -> None:
        page.add("")
        page.fields(_fields(facts))
        if facts.matches:
            page.section("Matched lines:", facts.matches)
        if facts.lines:
            paths = " ".join(self.parameters.logpath.split())
            page.section(
                f"Last lines of {paths} that name {facts.address} (at most {self.parameters.grepmax}):", facts.lines
            )
        if self.parameters.content.web and facts.address:
            page.section("More about it:", _links(facts.address))
        if facts.whois is not None:
            page.section(f"Whois {facts.address}:", _whois_lines(facts.whois))


def _whois_lines(answer: Answer) -> list[str]:
    lines = answer.text.split("\n") if answer.text else []
    return [*lines, f"({answer.problem})"] if answer.problem else lines


def _fields(facts: Facts) -> list[tuple[str, str]]:
    ban = facts.ban
    return [
        ("Address", _shown(ban)),
        ("Offender", facts.address if facts.address not in ("", ban.id) else ""),
        ("Name", facts.hostname),
        ("Country", facts.whois.country if facts.whois else ""),
        ("Why", _why(ban)),
        ("User", safe_text(user, 200) if isinstance(user := ban.fields.get("user"), str) else ""),
        ("Since", _date(ban.start)),
        ("Length", _until(ban)),
        ("Times", f"ban number {ban.count} in this jail" if ban.count > 1 else ""),
        ("Notes", ", ".join(f"{key}: {value}" for key, value in ban.notes.items())),
    ]


def _links(address: str) -> list[str]:
    single = address.partition("/")[0]
    return [f"https://bgp.he.net/ip/{single}", f"https://www.projecthoneypot.org/ip_{single}"]


def _whom(bans: Sequence[Ban], number: int) -> str:
    return _shown(bans[0]) if number == 1 and bans else f"{number:,} addresses"


def _shown(ban: Ban) -> str:
    return safe_text(ban.id, _ID)


def _why(ban: Ban) -> str:
    """The reason that the decision gave, and how many failures there were."""
    count = "1 failure" if ban.failures == 1 else f"{ban.failures:,} failures"
    reason = safe_text(ban.reason, 300)
    if not ban.failures or count in reason:
        return reason or "no reason was given"
    return f"{reason} ({count})" if reason else count


def _until(ban: Ban) -> str:
    if math.isinf(ban.length):
        return "for ever"
    return f"{_span(ban.length)}, until {_date(ban.end)}"


def _span(seconds: float) -> str:
    """`1 hour 30 minutes`: the two greatest units."""
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


LONGEST_LINE: Final = 900
_LONGEST: Final = 256 << 10
"""Characters of a message."""


class Page:
    """Takes lines until it is full, and says so then."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._left = _LONGEST

    def add(self, *lines: str) -> None:
        """Add lines; control characters, tabs save, are shown as escapes."""
        for line in lines:
            shown = safe_text(line[: LONGEST_LINE + 1].expandtabs(), LONGEST_LINE)[:LONGEST_LINE].rstrip()
            if self._left <= 0:
                return
            self._left -= len(shown) + 1
            self._lines.append(shown if self._left > 0 else "… (the message would be too long)")

    def section(self, title: str, lines: Iterable[str]) -> None:
        """A blank line, a title and what belongs under it, indented so that no line stands for itself."""
        self.add("", title)
        for line in lines:
            self.add(f"  {line}")

    def fields(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Names and values, those without a value left out."""
        for name, value in pairs:
            if value:
                self.add(f"  {name + ':':<12} {value}")

    def __str__(self) -> str:
        return "\n".join(self._lines) + "\n"
