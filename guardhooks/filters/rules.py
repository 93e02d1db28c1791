"""The regexes of one filter: compiles them and applies them to a line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from guardhooks.errors import ConfigError
from guardhooks.filters.groups import Combiner, Groups
from guardhooks.filters.linebuffer import LineBuffer, skipped_lines
from guardhooks.filters.regex.parsing import always_captures
from guardhooks.filters.regex.timed import Budget, Match, OutOfBudgetError, shared
from guardhooks.filters.tags import ID_GROUPS, expand
from guardhooks.model import FilterSpec, Jail, Problem

Note = Callable[[str], None]
"""Receives one sentence about what happened to a line, for `guardhooks test`."""

NO_PREFIX = -1
"""Means "the prefregex does not match" where the index of an ignoreregex is expected."""


class Rule:
    """One regex of a filter. `index` is its index in its list."""

    def __init__(self, kind: str, index: int, text: str, *, usedns: str, multiline: bool = False) -> None:
        """:raises re.error: if `text` does not compile."""
        self.index = index
        self.label = kind if kind == "prefregex" else f"{kind} {index + 1}"
        self.regex = shared(expand(text, usedns=usedns), re.MULTILINE if multiline else 0)
        combiner = Combiner(self.regex.groups)
        self.combiner = combiner if combiner.needed else None

    @cached_property
    def is_helper(self) -> bool:
        """Whether each match is a helper line (`<F-NOFAIL>`, `<F-MLFGAINED>`)."""
        return always_captures(self.regex.expression, ("nofail", "mlfgained"))

    @cached_property
    def ends_session(self) -> bool:
        """Whether each match ends its session (`<F-MLFFORGET>`)."""
        return always_captures(self.regex.expression, ("mlfforget",), text=False)

    @property
    def names_user(self) -> bool:
        """Whether a match may say who the user is."""
        return any("user" in name for name in self.regex.groups)


@dataclass(frozen=True, slots=True)
class Candidates:
    """The failregexes that can match a line, in order.

    `helper`: the line can only be a helper of its session. Then `ends_session` means that it certainly ends the
    session, and `names_user` that it may name the user.
    """

    rules: Sequence[Rule]
    helper: bool = False
    ends_session: bool = False
    names_user: bool = False


@dataclass(slots=True)
class Hit:
    """A failregex that matched. `groups` are all with a value, including the prefregex's; `lines` are the log lines."""

    rule: Rule
    groups: Groups
    lines: tuple[str, ...]


@dataclass(slots=True)
class View:
    """What the failregexes see: `text` begins at `offset` of `whole`; `base` are the groups of the prefregex."""

    base: Groups
    text: str
    offset: int
    whole: str
    budget: Budget


class Rules:
    """The regexes of one jail's filter and, with `maxlines` > 1, the previous lines that they match against."""

    def __init__(self, jail: Jail, spec: FilterSpec, report: Callable[[Rule, str], None]) -> None:
        """`report(rule, text)` is called when a rule exceeds its time budget on `text`.

        :raises ConfigError: if the prefregex does not compile: without it the failregexes would match too much.
        """
        self._report = report
        self.problems: list[Problem] = []
        self.prefix = self._compile_prefix(jail, spec)
        named_before = bool(self.prefix and ID_GROUPS.intersection(self.prefix.regex.groups))
        compile_all = _Compiler(jail, self.problems)
        multiline = spec.maxlines > 1
        self.failregexes = compile_all("failregex", spec.failregex, multiline=multiline, wants_id=not named_before)
        self.ignoreregexes = compile_all("ignoreregex", spec.ignoreregex)
        # fail2ban's order: a few ignoreregexes are tried first, on the whole line; many are tried on a match only.
        self._ignore_first = len(spec.ignoreregex) < len(spec.failregex) - 2
        self.buffer = LineBuffer(spec.maxlines) if multiline else None

    def prepare(self) -> None:
        """Compile all regexes for long texts now, for a jail whose texts usually are long."""
        for rule in self.all:
            rule.regex.prepare()

    @property
    def tried_on_every_line(self) -> Sequence[Rule]:
        """The ignoreregexes that are tried before the failregexes."""
        return self.ignoreregexes if self._ignore_first else ()

    @property
    def all(self) -> tuple[Rule, ...]:
        """Every rule that can be used."""
        return (*self.failregexes, *self.ignoreregexes, *([self.prefix] if self.prefix else ()))

    @staticmethod
    def _compile_prefix(jail: Jail, spec: FilterSpec) -> Rule | None:
        if not spec.prefregex:
            return None
        try:
            return Rule("prefregex", 0, spec.prefregex, usedns=jail.usedns)
        except (re.error, RecursionError, OverflowError) as fault:
            raise ConfigError(f"prefregex of filter {spec.name!r} does not compile: {fault}") from fault

    def candidates(self, indexes: Sequence[int]) -> Candidates:
        """The failregexes at these indexes; the prefilter has ruled out the others."""
        rules = tuple([self.failregexes[index] for index in indexes])
        if not self.has_sessions or not all(rule.is_helper for rule in rules):
            return Candidates(rules)
        names_user = any(rule.names_user for rule in (*rules, *([self.prefix] if self.prefix else ())))
        return Candidates(rules, True, all(rule.ends_session for rule in rules), names_user)

    @cached_property
    def has_sessions(self) -> bool:
        """Whether the prefregex names a session for every line that it matches."""
        if self.prefix is None or any("mlfid" in rule.regex.groups for rule in self.failregexes):
            return False
        return always_captures(self.prefix.regex.expression, ("mlfid",), text=False)

    def view(self, text: str, original: str, note: Note | None = None) -> View | int:
        """What the failregexes see of a line, or the index of the ignoreregex that drops it, or NO_PREFIX.

        `text` is the line without its date.
        """
        budget = Budget()
        if self.buffer is None:
            whole = f"{text}\n"
        else:
            self.buffer.add(text, original)
            whole = self.buffer.text
        if self.ignoreregexes and self._ignore_first and (ignored := self._ignored(whole, budget, note)) >= 0:
            return ignored
        return self._prefixed(whole, budget, note)

    def find(self, view: View, original: str, rules: Sequence[Rule]) -> Hit | None:
        """The first hit of these failregexes in a single line, unless an ignoreregex matches it too."""
        for rule in rules:
            match = self._search(rule, view.text, view.budget)
            if match is not None:
                if self._ignored_late(view, view.text, None) >= 0:
                    return None
                return Hit(rule, _merged(rule, match, view.base), (original,))
        return None

    def judge(
        self, view: View, original: str, *, every: bool, note: Note | None, only: Sequence[Rule] | None = None
    ) -> Iterator[Hit | int]:
        """The hits in this line and those before it, in order, or the index of the ignoreregex that dropped it.

        With `every`, the search goes on after the first hit. `only` are the failregexes that can match, if that is
        known.
        """
        for rule in self.failregexes if only is None else only:
            hit = self._hit(rule, view, original)
            if hit is None:
                continue
            current, found = hit
            if note:
                note(f"{rule.label} matches.")
            if (ignored := self._ignored_late(view, current, note)) >= 0:
                yield ignored
                return
            yield found
            if not every or (view.offset and self.buffer):
                return
            if self.buffer:
                view.text = self.buffer.text

    def _prefixed(self, whole: str, budget: Budget, note: Note | None) -> View | int:
        if self.prefix is None:
            return View({}, whole, 0, whole, budget)
        match = self._search(self.prefix, whole, budget)
        if match is None:
            if note:
                note("The prefregex does not match: no failregex is tried.")
            return NO_PREFIX
        base = _merged(self.prefix, match, {})
        content = base.get("content")
        if not isinstance(content, str) or not content:
            return View(base, whole, 0, whole, budget)
        del base["content"]
        if note:
            note(f"The prefregex matches; the failregexes see {content!r}.")
        return View(base, f"{content}\n", match.start("content"), whole, budget)

    def _ignored_late(self, view: View, text: str, note: Note | None) -> int:
        """The index of the ignoreregex that drops a match in `text`, else -1. No text is tested twice."""
        if not self.ignoreregexes or (self._ignore_first and view.text == view.whole and self.buffer is None):
            return -1
        return self._ignored(text, view.budget, note)

    def _hit(self, rule: Rule, view: View, original: str) -> tuple[str, Hit] | None:
        match = self._search(rule, view.text, view.budget)
        if match is None:
            return None
        groups = _merged(rule, match, view.base)
        if self.buffer is None:
            return view.text, Hit(rule, groups, (original,))
        taken = self.buffer.take(view.offset + match.start(), view.offset + match.end(), skipped_lines(groups))
        return taken.text, Hit(rule, groups, taken.originals)

    def _ignored(self, text: str, budget: Budget, note: Note | None) -> int:
        for rule in self.ignoreregexes:
            if self._search(rule, text, budget) is not None:
                if note:
                    note(f"{rule.label} matches: the line is ignored.")
                return rule.index
        return -1

    def _search(self, rule: Rule, text: str, budget: Budget) -> Match | None:
        try:
            return rule.regex.search(text, budget)
        except OutOfBudgetError:
            self._report(rule, text)
            return None


def _merged(rule: Rule, match: Match, base: Groups) -> Groups:
    """The groups of a match that have a value, merged over those of the prefregex."""
    found: Groups = match.groupdict()  # type: ignore[assignment]  # every str is a Value
    if rule.combiner:
        rule.combiner.combine(found)
    own: Groups = {name: value for name, value in found.items() if value is not None}
    return base | own if base else own


class _Compiler:
    """Compiles lists of regexes; those that do not compile are reported as problems."""

    def __init__(self, jail: Jail, problems: list[Problem]) -> None:
        self._jail = jail
        self._problems = problems

    def __call__(
        self, kind: str, texts: Sequence[str], *, multiline: bool = False, wants_id: bool = False
    ) -> list[Rule]:
        rules = []
        for index, text in enumerate(texts):
            try:
                rule = Rule(kind, index, text, usedns=self._jail.usedns, multiline=multiline)
            except (re.error, RecursionError, OverflowError) as fault:
                self._complain(kind, index, f"does not compile: {fault}", text)
                continue
            if wants_id and not ID_GROUPS.intersection(rule.regex.groups):
                self._complain(kind, index, "names no offender: it needs <HOST>, <ADDR>, <F-ID> or <F-MLFID>", text)
                continue
            rules.append(rule)
        return rules

    def _complain(self, kind: str, index: int, fault: str, text: str) -> None:
        message = f"{kind} {index + 1} {fault}; it is left out: {text}"
        self._problems.append(Problem(message, section=self._jail.name, key=kind))
