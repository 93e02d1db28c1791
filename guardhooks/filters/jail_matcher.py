"""One jail on one source: finds the failures in decoded lines."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from guardhooks.errors import ConfigError
from guardhooks.filters.deferred_lines import LONGEST, DeferredLine, DeferredLines, process_numbers
from guardhooks.filters.groups import Groups, Identity, identify
from guardhooks.filters.rules import Candidates, Hit, Note, Rule, Rules
from guardhooks.filters.sessions import Session, Sessions
from guardhooks.filters.timestamps import AgeRules, SharedDetector
from guardhooks.findings import new_failure
from guardhooks.model import Failure, Jail, Problem
from guardhooks.text import safe_text
from guardhooks.workers import LineTrace

logger = logging.getLogger("guardhooks.filterd")


class JailMatcher:
    """Finds the failures of one jail. Lines go in by `feed` or, for testers, by `trace`."""

    def __init__(self, jail: Jail, detector: SharedDetector, report: Callable[[Problem], None]) -> None:
        """`report` receives problems that arise later, such as a regex that exceeds its time limit.

        :raises ConfigError: if the filter cannot be used at all.
        """
        if jail.filter is None:
            raise ConfigError(f"jail {jail.name!r} has no filter")
        self.jail = jail
        self.detector = detector
        self.rules = Rules(jail, jail.filter, self._report_timeout)
        self._report = report
        self._exhausted: set[str] = set()
        self._age_rules = AgeRules(jail.name, jail.findtime)
        self._deferred = DeferredLines()
        self._sessions = Sessions()

    def begin(self, origin: str, newest: Callable[[], float | None]) -> None:
        """Lines of another block follow, of the file `origin`; `newest` gives the date of the block's last line."""
        self._age_rules.begin(origin, newest)

    def feed(
        self, line: str, known: float | None, now: float, *, live: bool, only: Candidates | None
    ) -> Sequence[Failure]:
        """The failures in `line`. `known` is its time if the source knows it, `now` the time when it was received.

        `only` are the failregexes that the prefilter has not ruled out; None: all.
        """
        if only is not None and only.helper:
            helper = DeferredLine(line, known, now, live, only)
            numbers = () if len(line) > LONGEST else process_numbers(line)
            if numbers and not self._sessions.may_contain(numbers) and self._deferred.defer(helper, numbers):
                return ()
        return self._read(line, known, now, live=live, only=only)

    def _read(
        self, line: str, known: float | None, now: float, *, live: bool, only: Candidates | None
    ) -> Sequence[Failure]:
        text, dated = self._cut(line, known, now)
        time = self._age_rules.effective_time(dated, now, live=live, zoned=known is not None)
        if time is None and dated is not None:
            return ()
        hit = self._hit(text, line, only)
        if hit is None:
            return ()
        if dated is None and known is None and not self.detector.detector.none:
            self._age_rules.warn("undated", now, line=line)
        if time is None:
            return ()
        found = self._read_deferred(hit) if self._deferred else []
        failure = self._failure(hit, time, now)
        if failure is not None:
            found.append(failure)
        return found

    def _hit(self, text: str, line: str, only: Candidates | None) -> Hit | None:
        view = self.rules.view(text, line)
        if isinstance(view, int):
            return None
        if self.rules.buffer is None:
            return self.rules.find(view, line, self.rules.failregexes if only is None else only.rules)
        first = next(self.rules.judge(view, line, every=False, note=None), None)
        return first if isinstance(first, Hit) else None

    def _read_deferred(self, hit: Hit) -> list[Failure]:
        """Read the deferred lines of the session of `hit`."""
        key = hit.groups.get("mlfid")
        if not isinstance(key, str):
            return []
        helpers = self._deferred.take(process_numbers(key))
        return [
            failure
            for helper in helpers
            for failure in self._read(
                helper.text, helper.known, helper.received, live=helper.live, only=helper.candidates
            )
        ]

    def trace(
        self, line: str, known: float | None, now: float, *, every: bool, only: Sequence[Rule] | None = None
    ) -> LineTrace:
        """What happens to `line`, with the age rules off; the failures include helper lines (`nofail`).

        `only` are the failregexes that can match, where that is known.
        """
        steps: list[str] = []
        date = None if known is not None else self.detector.find(line, now)
        text, dated = self._cut(line, known, now, steps.append)
        time = dated if dated is not None else self._age_rules.recent(now)
        failures, ignored = [], -1
        view = self.rules.view(text, line, steps.append)
        note = steps.append
        hits = [view] if isinstance(view, int) else self.rules.judge(view, line, every=every, note=note, only=only)
        for hit in hits:
            if isinstance(hit, int):
                ignored = hit
            else:
                failures.append(self._traced(hit, now if time is None else time, now, steps.append))
        if not failures and ignored < 0:
            steps.append("No failregex matches.")
        return LineTrace(
            text=line,
            time=time,
            date=line[date.start : date.end] if date else "",
            datepattern=date.pattern if date else "",
            ignoreregex=ignored,
            failures=tuple(failures),
            steps=tuple(steps),
        )

    def skim_dates(self, lines: Sequence[str], now: float) -> Iterator[tuple[int, str]]:
        """Read only the dates of lines that no regex can match, as `trace` would.

        Yields how many consecutive lines have a date found by the same pattern, and that pattern (empty: no date).
        """
        find, time, count, pattern = self.detector.detector.find, None, 0, ""
        for line in lines:
            date = find(line, now)
            found = ""
            if date is not None:
                time = time if date.time is None else date.time
                found = date.pattern if date.end > date.start else ""
            if found != pattern and count:
                yield count, pattern
                count = 0
            pattern, count = found, count + 1
        if time is not None:
            self._age_rules.remember(time)
        if count:
            yield count, pattern

    def _cut(self, line: str, known: float | None, now: float, note: Note | None = None) -> tuple[str, float | None]:
        """The line without its date, and its time (None: undated)."""
        if known is not None:
            return line, known
        date = self.detector.find(line, now)
        if date is None:
            if note:
                note("No date was found.")
            return line, None
        text = line[: date.start] + line[date.end :]
        if date.time is None:
            recent = self._age_rules.recent(now)
            if self.detector.detector.none:
                return line, recent or now
            if note:
                cut = line[date.start : date.end]
                note(f"The date {cut!r} is invalid: undated." if cut else "The datepattern found no date: undated.")
            # fail2ban matches the whole line where a recent date replaces the invalid one.
            return (text if recent is None else line), None
        self._age_rules.remember(date.time)
        if note:
            note(f"The date {line[date.start : date.end]!r} is cut out; the regexes see {text!r}.")
        return text, date.time

    def _failure(self, hit: Hit, time: float, now: float) -> Failure | None:
        event = self._merged(hit, now)
        groups, _, session = event
        if session and session.nofail:
            return None
        who = identify(groups, self.jail.usedns)
        if not who.id and not who.resolve:
            if session:
                session.pending = True
            return None
        if not who.genuine:
            return None
        return self._build(hit, who, event, time)

    def _traced(self, hit: Hit, time: float, now: float, note: Note) -> Failure:
        event = self._merged(hit, now)
        groups, _, session = event
        who = identify(groups, self.jail.usedns, keep_names=True)
        # A trace shows <F-NOFAIL> as a helper line even without a session; in the daemon it then counts.
        helper = session.nofail if session else bool(groups.get("nofail"))
        if helper:
            note("It is a helper line: nothing to report." if session else "<F-NOFAIL> without <F-MLFID>: it counts.")
        elif not who.id:
            note("No offender is named yet: the failure waits for a line of its session that names one.")
            if session:
                session.pending = True
        elif not who.genuine:
            note(f"{who.id!r} is neither an address nor a host name: nothing is counted.")
        else:
            note(f"It counts against {who.id!r}.")
        return self._build(hit, who, event, time, nofail=helper or not who.id)

    def _merged(self, hit: Hit, now: float) -> _Event:
        key = hit.groups.get("mlfid")
        if not isinstance(key, str):
            return _Event(hit.groups, hit.lines, None)
        session = self._sessions.merge(key, hit.groups, hit.lines, now)
        return _Event(session.groups, session.lines, session)

    def _build(self, hit: Hit, who: Identity, event: _Event, time: float, *, nofail: bool = False) -> Failure:
        groups, lines, session = event
        fields = groups.copy()  # The groups of a session keep changing.
        fields.pop("mlfforget", None)
        if session and session.users:
            fields["users"] = tuple(sorted(session.users))
        most = self.jail.maxmatches
        matches = tuple(lines[-most:]) if most > 0 else ()
        return new_failure(
            self.jail.name, who.id, time, who.address, matches, fields, hit.rule.index, who.resolve, nofail
        )

    def _report_timeout(self, rule: Rule, text: str) -> None:
        self.report_timeout(rule.label, text)

    def report_timeout(self, label: str, text: str) -> None:
        """Report once that a regex takes too long."""
        if label in self._exhausted:
            return
        self._exhausted.add(label)
        message = f"{label} takes too long on a line, which counts as not matched: {safe_text(text, 120)}"
        logger.warning("[%s] %s", self.jail.name, message)
        self._report(Problem(message, section=self.jail.name, key=label.split(maxsplit=1)[0]))

    @property
    def age_rules(self) -> AgeRules:
        return self._age_rules


class _Event(NamedTuple):
    """A hit, merged with its session if it has one."""

    groups: Groups
    lines: Sequence[str]
    session: Session | None
