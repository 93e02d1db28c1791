"""One jail as the native core reads it, or why it is left to another matcher."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from guardhooks.filters import Decoder, JailMatcher, Rule
from guardhooks_native import _core
from guardhooks_native.characters import Characters, TooManyError
from guardhooks_native.translate import Translation, UntranslatableError, literals, translate

NAMES = (
    "nofail", "mlfgained", "mlfforget", "mlfid", "user", "fid", "ip4", "ip6", "dns", "cidr", "content",
    *(f"step{number}" for number in range(1, 10)),
)  # fmt: skip
"""The names of groups that the core knows by their place here (`jail.rs`)."""
_MOST_NAMES = 64


class UnservedError(Exception):
    """The core cannot serve a jail exactly; says why."""


@dataclass(frozen=True, slots=True)
class RuleSpec:
    """A regex and what its groups mean. `names` are pairs of a name's number and the group's first slot."""

    regex: int
    index: int
    names: Sequence[tuple[int, int]]
    alternatives: Sequence[tuple[int, int]]
    helps: bool
    forgets: bool
    names_user: bool


@dataclass(frozen=True, slots=True)
class JailRules:
    """The rules of a jail, or (`why`) the reason why the core cannot serve them."""

    why: str = ""
    prefix: RuleSpec | None = None
    rules: Sequence[RuleSpec] = ()
    ignores: Sequence[RuleSpec] = ()


@dataclass(frozen=True, slots=True)
class JailSpec:
    """A jail's settings; `detector` is the number of its date detector."""

    prefix: RuleSpec | None
    rules: Sequence[RuleSpec]
    ignores: Sequence[RuleSpec]
    ignore_first: bool
    detector: int
    has_sessions: bool
    findtime: float
    most_lines: int


@dataclass(slots=True)
class Regexes:
    """The regexes of all jails of a source, each once, and the names of their groups."""

    characters: Characters
    graphs: list[Translation] = field(default_factory=list)
    names: list[str] = field(default_factory=lambda: list(NAMES))
    _known: dict[tuple[str, int], int] = field(default_factory=dict)

    def number(self, expression: str, flags: int) -> int:
        """:raises UntranslatableError: if the core cannot serve it exactly. :raises ValueError: if it is too large."""
        key = (expression, flags)
        if key not in self._known:
            graph = translate(expression, self.characters, flags)
            _core.Regex(graph.graph, self.characters.words)  # it may be too large
            self.graphs.append(graph)
            self._known[key] = len(self.graphs) - 1
        return self._known[key]

    def name(self, text: str) -> int:
        """:raises UnservedError: if there are too many names."""
        if text not in self.names:
            if len(self.names) >= _MOST_NAMES:
                raise UnservedError(f"more than {_MOST_NAMES} names of groups")
            self.names.append(text)
        return self.names.index(text)


def characters_of(matchers: Iterable[JailMatcher]) -> Characters:
    """The classes of characters that the regexes of these jails tell apart."""
    try:
        return Characters(literals(rule.regex.expression for matcher in matchers for rule in matcher.rules.all))
    except TooManyError:
        return Characters()


def jail_rules(matcher: JailMatcher, regexes: Regexes) -> JailRules:
    """The rules of a jail as the core reads them, or why it cannot serve them exactly."""
    rules = matcher.rules
    if rules.buffer is not None:
        return JailRules("maxlines above 1")
    try:
        found = JailRules(
            prefix=_rule(rules.prefix, regexes) if rules.prefix else None,
            rules=[_rule(rule, regexes) for rule in rules.failregexes],
            ignores=[_rule(rule, regexes) for rule in rules.ignoreregexes],
        )
    except UnservedError as why:
        return JailRules(str(why))
    if found.prefix is not None and regexes.graphs[found.prefix.regex].newline_in("content"):
        for rule in (*found.rules, *found.ignores):
            if regexes.graphs[rule.regex].looks_ahead:
                return JailRules("a content that may hold the end of the line")
    return found


def jail_spec(matcher: JailMatcher, decoder: Decoder, detector: int, rules: JailRules) -> JailSpec:
    """:raises UnservedError: if the core cannot serve the jail exactly."""
    if decoder.name != "utf-8":
        raise UnservedError(f"the encoding {decoder.name}")
    if rules.why:
        raise UnservedError(rules.why)
    return JailSpec(
        prefix=rules.prefix,
        rules=rules.rules,
        ignores=rules.ignores,
        ignore_first=bool(matcher.rules.tried_on_every_line),
        detector=detector,
        has_sessions=matcher.rules.has_sessions,
        findtime=matcher.jail.findtime,
        most_lines=max(matcher.jail.maxmatches, 0),
    )


def _rule(rule: Rule, regexes: Regexes) -> RuleSpec:
    try:
        number = regexes.number(rule.regex.expression, rule.regex.flags)
    except (UntranslatableError, RecursionError, ValueError) as fault:
        raise UnservedError(f"{rule.label}: {fault or 'nested too deeply'}") from fault
    graph = regexes.graphs[number]
    combiner = rule.combiner
    if combiner is not None and combiner.tuples:
        raise UnservedError(f"{rule.label}: groups that form a tuple")
    alternatives = combiner.alternatives if combiner else ()
    return RuleSpec(
        regex=number,
        index=rule.index,
        names=[(regexes.name(name), graph.span(name)[0]) for name in graph.groups],
        alternatives=[(regexes.name(one), regexes.name(two)) for one, two in alternatives],
        helps=rule.is_helper,
        forgets=rule.ends_session,
        names_user=rule.names_user,
    )
