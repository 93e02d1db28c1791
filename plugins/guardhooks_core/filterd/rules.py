"""One filter: its regexes compiled, and what they say about a text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from guardhooks import ConfigError, FilterSpec, Jail, Problem

from .bounded import BoundedRegex, Budget, Match, OutOfBudgetError
from .groups import Combiner, Groups
from .linebuffer import LineBuffer, skipped_lines
from .tags import ID_GROUPS, expand

Note = Callable[[str], None]
"""Receives one sentence on what happened to a line, for testers."""


class Rule:
    """One regex of a filter. `index` is its place in the list it came from."""

    def __init__(self, kind: str, index: int, text: str, *, usedns: str, multiline: bool = False) -> None:
        """:raises re.error: if `text` does not compile."""
        self.index = index
        self.label = kind if kind == "prefregex" else f"{kind} {index + 1}"
        self.regex = BoundedRegex(expand(text, usedns=usedns), re.MULTILINE if multiline else 0)
        combiner = Combiner(self.regex.groups)
        self.combiner = combiner if combiner.needed else None


@dataclass(slots=True)
class Hit:
    """A failregex that matched. `groups` include those of the prefregex, `lines` are the log lines it covers."""

    rule: Rule
    groups: Groups
    lines: tuple[str, ...]


class View(NamedTuple):
    """What the failregexes see: `text` begins at `offset` of the whole, `base` are the prefregex's groups."""

    base: Groups
    text: str
    offset: int


class Rules:
    """The regexes of one jail's filter and, with `maxlines` > 1, the lines that they look back on."""

    def __init__(self, jail: Jail, spec: FilterSpec, report: Callable[[Rule, str], None]) -> None:
        """`report(rule, text)` is called when a rule ran out of its budget on `text`.

        :raises ConfigError: if the prefregex does not compile: without it the failregexes would match too much.
        """
        self._report = report
        self.problems: list[Problem] = []
        self.prefix = self._compile_prefix(jail, spec)
        named_before = bool(self.prefix and ID_GROUPS.intersection(self.prefix.regex.groups))
        compile_all = _Compiler(jail, self.problems)
        multiline = spec.maxlines > 1
        self.failregexes = compile_all("failregex", spec.failregex, multiline=multiline, wants_id=not named_before)
        self._ignoreregexes = compile_all("ignoreregex", spec.ignoreregex)
        # fail2ban's order: few ignoreregexes are asked first, on the whole line; about a match all are.
        self._ignore_first = len(spec.ignoreregex) < len(spec.failregex) - 2
        self.buffer = LineBuffer(spec.maxlines) if multiline else None

    def prepare(self) -> None:
        """Compile now what long texts need, where long texts are the rule."""
        for rule in (*self.failregexes, *self._ignoreregexes, *([self.prefix] if self.prefix else ())):
            rule.regex.prepare()

    @staticmethod
    def _compile_prefix(jail: Jail, spec: FilterSpec) -> Rule | None:
        if not spec.prefregex:
            return None
        try:
            return Rule("prefregex", 0, spec.prefregex, usedns=jail.usedns)
        except (re.error, RecursionError, OverflowError) as fault:
            raise ConfigError(f"prefregex of filter {spec.name!r} does not compile: {fault}") from fault

    def judge(
        self, text: str, original: str, only: Sequence[int] | None, *, every: bool, note: Note | None
    ) -> Iterator[Hit | int]:
        """The hits in this line, in order, or the index of the ignoreregex that dropped it.

        `text` is the line without its date. Where the prefilter has said which failregexes can match, `only` holds
        their positions in `failregexes`. With `every`, the search goes on after the first hit.
        """
        budget = Budget()
        if self.buffer is None:
            whole = f"{text}\n"
        else:
            self.buffer.add(text, original)
            whole = self.buffer.text
        if self._ignore_first and (ignored := self._ignored(whole, budget, note)) >= 0:
            yield ignored
            return
        view = self._prefixed(whole, budget, note)
        if view is None:
            return
        rules = self.failregexes if only is None else [self.failregexes[n] for n in only]
        for rule in rules:
            hit = self._hit(rule, view, original, budget)
            if hit is None:
                continue
            current, found = hit
            if note:
                note(f"{rule.label} matches.")
            if self._ignores_late(view, whole) and (ignored := self._ignored(current, budget, note)) >= 0:
                yield ignored
                return
            yield found
            if not every or (view.offset and self.buffer):
                return
            if self.buffer:
                view = view._replace(text=self.buffer.text)

    def _prefixed(self, whole: str, budget: Budget, note: Note | None) -> View | None:
        """What the failregexes see; None if the prefregex does not match."""
        if self.prefix is None:
            return View({}, whole, 0)
        match = self._search(self.prefix, whole, budget)
        if match is None:
            if note:
                note("The prefregex does not match: no failregex is asked.")
            return None
        base: Groups = dict(match.groupdict())
        if self.prefix.combiner:
            self.prefix.combiner.combine(base)
        content = base.get("content")
        if not isinstance(content, str) or not content:
            return View(base, whole, 0)
        del base["content"]
        if note:
            note(f"The prefregex matches; the failregexes see {content!r}.")
        return View(base, f"{content}\n", match.start("content"))

    def _ignores_late(self, view: View, whole: str) -> bool:
        """Whether a match is asked about: not if the very text that matched was asked about before."""
        return not (self._ignore_first and view.text == whole and self.buffer is None)

    def _hit(self, rule: Rule, view: View, original: str, budget: Budget) -> tuple[str, Hit] | None:
        match = self._search(rule, view.text, budget)
        if match is None:
            return None
        groups: Groups = dict(match.groupdict())
        if rule.combiner:
            rule.combiner.combine(groups)
        if view.base:
            groups = view.base | {name: value for name, value in groups.items() if value is not None}
        if self.buffer is None:
            return view.text, Hit(rule, groups, (original,))
        taken = self.buffer.take(view.offset + match.start(), view.offset + match.end(), skipped_lines(groups))
        return taken.text, Hit(rule, groups, taken.originals)

    def _ignored(self, text: str, budget: Budget, note: Note | None) -> int:
        for rule in self._ignoreregexes:
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


class _Compiler:
    """Compiles one list of regexes after the other; those that do not compile become problems."""

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
                self._complain(kind, index, "names nobody: it needs <HOST>, <ADDR>, <F-ID> or <F-MLFID>", text)
                continue
            rules.append(rule)
        return rules

    def _complain(self, kind: str, index: int, fault: str, text: str) -> None:
        message = f"{kind} {index + 1} {fault}; it is left out: {text}"
        self._problems.append(Problem(message, section=self._jail.name, key=kind))
