"""Reads the sample logs of an installed fail2ban, with their annotations, and judges what a matcher makes of them."""

from __future__ import annotations

import ast
import json
import operator
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from guardhooks import Chunk, Failure, FilterSpec, Jail, LineTrace, canonical
from guardhooks_core.matchers.filterd.matcher import FilterMatcher

NOW = 1124013600.0
CENTURY = 3.2e9
"""Seconds: sample lines are of any year, and count."""
ZONE = "CET-01CEST-02,M3.5.0,M10.5.0"
ANNOTATION = re.compile(r"^#+ ?(failJSON|fileOptions|filterOptions|addFILE):(.+)$")

Json: TypeAlias = Any
Options: TypeAlias = Mapping[str, str]


@dataclass(frozen=True)
class Case:
    """One log line, what is expected of it, and the filter options under which it is read."""

    file: str
    number: int
    text: str
    expected: Mapping[str, Any]
    options: Options

    def __str__(self) -> str:
        return f"{self.file}:{self.number} {dict(self.options) or ''}"


@dataclass
class Block:
    """The `filterOptions` in force; `extra` are the `fileOptions` that later blocks inherit."""

    active: list[Options] = field(default_factory=lambda: [{}])
    extra: Options = field(default_factory=dict)


def cases(folder: Path, name: str) -> Iterator[Case]:
    """All lines of a filter's sample logs, in order, once for each option set in force."""
    block, files = Block(), [name]
    for file in files:
        expected: Mapping[str, Any] | None = None
        for number, line in enumerate((folder / file).read_text("utf-8").split("\n"), 1):
            found = ANNOTATION.match(line) if expected is None else None
            if found and found[1] == "failJSON":
                expected = json.loads(found[2])
            elif found and found[1] == "addFILE":
                files.append(json.loads(found[2]))
            elif found:
                _options(block, found[1], json.loads(found[2]), name)
            elif expected is not None or (line.strip() and not line.startswith("#")):
                wanted, expected = expected or {}, None
                for options in block.active:
                    if holds(wanted.get("constraint", "True"), name, options):
                        yield Case(file, number, line.rstrip("\r"), wanted, options)


def _options(block: Block, kind: str, value: Json, name: str) -> None:
    if kind == "fileOptions":
        block.extra = value
        return
    verdict, block.active = True, []
    for element in value if isinstance(value, list) else [value]:
        options = {**block.extra, **element}
        if "test.condition" in options:
            verdict = holds(options["test.condition"], name, options)
        if verdict:
            block.active.append(options)
    if not verdict:
        block.active = []


_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}


def holds(expression: str, name: str, options: Options) -> bool:
    """The truth of a condition over `name` and `opts`; knows comparisons, and/or/not, `.get()` and subscripts only."""
    return bool(_evaluate(ast.parse(expression, mode="eval").body, {"name": name, "opts": options}))


def _evaluate(node: ast.expr, names: Mapping[str, Json]) -> Json:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name) if name in names:
            return names[name]
        case ast.BoolOp(op=op, values=values):
            return (all if isinstance(op, ast.And) else any)(_evaluate(value, names) for value in values)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return not _evaluate(operand, names)
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARE:
            return _COMPARE[type(op)](_evaluate(left, names), _evaluate(right, names))
        case ast.Call(func=ast.Attribute(value=value, attr="get"), args=args, keywords=[]):
            return dict(_evaluate(value, names)).get(*(_evaluate(arg, names) for arg in args))
        case ast.Subscript(value=value, slice=key):
            return _evaluate(value, names)[_evaluate(key, names)]
        case ast.Tuple(elts=items) | ast.List(elts=items):
            return [_evaluate(item, names) for item in items]
    msg = f"condition not understood: {ast.unparse(node)}"
    raise ValueError(msg)


class Judge:
    """Runs the cases of one filter, one matcher for each option set, and collects what does not hold."""

    def __init__(self, load: Callable[[Options], FilterSpec]) -> None:
        self.count = 0
        self.faults: list[str] = []
        self._load = load
        self._matchers: dict[str, tuple[FilterMatcher, FilterSpec, set[int]]] = {}

    def run(self, case: Case) -> None:
        matcher, _, used = self._matcher(case.options)
        journal = case.options.get("logtype") == "journal"
        text = case.options.get("test.prefix-line", "") + case.text if journal else case.text
        chunk = Chunk(f"{text}\n".encode(), "sample", NOW, times=(NOW,) if journal else None)
        (traced,) = matcher.trace(chunk, every=True)
        used.update(failure.failregex for failure in traced.failures)
        self.count += 1
        self.faults.extend(f"{case}: {fault}" for fault in faults(case.expected, traced))

    def unused(self) -> list[str]:
        """The failregexes that no line hit, in no option set that holds the same text."""
        hit = {spec.failregex[n] for _, spec, used in self._matchers.values() for n in used}
        every = {regex for _, spec, _ in self._matchers.values() for regex in spec.failregex}
        return sorted(every - hit)

    def _matcher(self, options: Options) -> tuple[FilterMatcher, FilterSpec, set[int]]:
        own = {key: value for key, value in options.items() if not key.startswith("test.")}
        key = json.dumps(own, sort_keys=True) + options.get("test.filter-name", "")
        if key not in self._matchers:
            spec = self._load(own)
            matcher = FilterMatcher([Jail("jail", spec, maxmatches=100, findtime=CENTURY)])
            assert not matcher.problems, matcher.problems
            self._matchers[key] = matcher, spec, set()
        return self._matchers[key]


def faults(expected: Mapping[str, Any], traced: LineTrace) -> Iterator[str]:
    """What is wrong with the outcome of one line."""
    found = [failure for failure in traced.failures if not failure.nofail]
    if not expected.get("match", False):
        if found:
            yield f"matches, but should not: failregex {found[0].failregex + 1}, {dict(found[0].fields)}"
        return
    if len(found) != 1:
        yield f"{len(found)} failures instead of one ({[one.failregex for one in traced.failures]}): {traced.text!r}"
        return
    for key, value in expected.items():
        if key not in {"match", "desc", "constraint"}:
            wanted, actual = _comparable(key, value, found[0])
            if wanted != actual:
                yield f"{key} is {actual!r}, expected {wanted!r}"


def _comparable(key: str, value: Json, failure: Failure) -> tuple[object, object]:
    """What is expected and what is there, in forms that compare."""
    if key == "host":
        host = str(failure.fields.get("host") or failure.id)
        return canonical(str(value)) or value, canonical(host) or host
    if key == "time":
        return (None, None) if value is None else (_epoch(str(value)), failure.time)
    if key == "attempts":
        return value, len(failure.matches)
    actual = failure.fields.get(key)
    if isinstance(value, list) and isinstance(actual, tuple):
        return sorted(value), sorted(actual, key=str)
    return value, actual


def _epoch(text: str) -> float:
    whole, _, fraction = text.partition(".")
    seconds = time.mktime(time.strptime(whole, "%Y-%m-%dT%H:%M:%S"))
    return seconds + (float(f"0.{fraction}") if fraction else 0.0)
