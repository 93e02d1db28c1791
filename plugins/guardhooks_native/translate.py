"""Python's own parse tree of a regex, written down as the graph that the native core reads (`plain.rs`).

Every item that matches one character is tried out on Python's own engine, one character of each class, so that flags,
categories and negations mean what they mean there. What is not certain to mean the same is refused.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, TypeAlias

from guardhooks_native.characters import Characters, mask_bytes

Tree: TypeAlias = Any
"""A parse tree or an item of one; the parser's types are private."""

_MOST_NODES: Final = 40_000
_MOST_KEPT: Final = 16
"""A back-reference is served where the group holds one character, one of at most so many."""
_REMEMBERED: Final = 4096
_NEWLINE: Final = 10
_ONE_CHARACTER: Final = frozenset({"LITERAL", "NOT_LITERAL", "ANY", "IN"})
_LOOKS: Final = {"AT_BEGINNING": 0, "AT_BEGINNING_STRING": 0, "AT_END": 1, "AT_END_STRING": 2}
_MATCH, _CLASS, _SPLIT, _CAPTURE, _MARK, _LOOK, _BEHIND = range(7)
_AHEAD, _CONDITION, _ACCEPT, _KEEP, _SAME, _PEEK = range(7, 13)

_parser: Any = re._parser  # type: ignore[attr-defined]  # noqa: SLF001 -- there is no public one
_compiler: Any = re._compiler  # type: ignore[attr-defined]  # noqa: SLF001


class UntranslatableError(Exception):
    """The regex is left to `re`; says why."""


@dataclass(frozen=True, slots=True)
class Translation:
    """A regex as the core reads it.

    `groups` are the numbers of the groups with a name, `multiline` the names of those that may capture a newline.
    `looks_ahead`: it has look-aheads of more than one character.
    """

    code: Sequence[int]
    sets: Sequence[bytes]
    start: int
    slots: int
    groups: Mapping[str, int]
    multiline: frozenset[str] = frozenset()
    looks_ahead: bool = False

    @property
    def graph(self) -> tuple[Sequence[int], Sequence[bytes], int, int]:
        """What the core's constructor takes."""
        return self.code, self.sets, self.start, self.slots

    def newline_in(self, name: str) -> bool:
        """Whether the group may capture the end of the line."""
        return name in self.multiline

    def span(self, name: str) -> tuple[int, int]:
        """The two slots of a group."""
        number = 2 * self.groups[name]
        return number, number + 1


def literals(expressions: Iterable[str]) -> set[str]:
    """The characters outside ASCII in these regexes."""
    return {character for expression in expressions for character in expression if character > "\x7f"}


def translate(expression: str, characters: Characters, flags: int = 0, *, named: Iterable[int] = ()) -> Translation:
    """The graph of a regex that compiles. `named` are numbers of groups to report though they have no name.

    :raises UntranslatableError: if it cannot be served exactly.
    """
    with warnings.catch_warnings(action="ignore"):
        tree = _parser.parse(expression, flags)
    return _Translator(tree, characters, named).translation()


@dataclass(slots=True)
class _Needs:
    """Groups that conditions ask about, and those that back-references repeat."""

    conditions: set[int] = field(default_factory=set)
    repeated: set[int] = field(default_factory=set)


class _Translator:
    def __init__(self, tree: Tree, characters: Characters, named: Iterable[int]) -> None:
        self._tree = tree
        self._characters = characters
        names: dict[str, int] = dict(tree.state.groupdict)
        numbers = sorted({*names.values(), *named})
        self._slots = {number: 2 * place for place, number in enumerate(numbers, 1)}
        self._names = {name: self._slots[number] // 2 for name, number in names.items()}
        self._nodes: list[list[int]] = []
        self._sets: dict[int, int] = {}
        self._masks: dict[tuple[int, Tree, int], int] = {}
        self._multiline: set[str] = set()
        self._needs = _Needs()
        for item in _items(tree):
            self._note(item)

    def _note(self, item: Tree) -> None:
        kind = str(item[0])
        if kind == "GROUPREF":
            self._needs.repeated.add(item[1])
        elif kind == "GROUPREF_EXISTS":
            self._needs.conditions.add(item[1][0])

    def translation(self) -> Translation:
        flags = self._tree.state.flags
        if flags & re.LOCALE:
            raise UntranslatableError("LOCALE")
        end = self._add(_CAPTURE, 1, self._add(_MATCH))
        start = self._add(_CAPTURE, 0, self._sequence(self._tree, flags, end))
        code = [value for node in self._nodes for value in node]
        sets = [mask_bytes(mask) for mask in self._sets]
        looks_ahead = any(node[0] == _AHEAD for node in self._nodes)
        multiline = frozenset(self._multiline)
        return Translation(code, sets, start, 2 * len(self._slots) + 2, self._names, multiline, looks_ahead)

    def _add(self, *node: int) -> int:
        if len(self._nodes) >= _MOST_NODES:
            raise UntranslatableError("too large")
        self._nodes.append(list(node))
        return len(self._nodes) - 1

    def _set(self, mask: int) -> int:
        return self._sets.setdefault(mask, len(self._sets))

    def _sequence(self, items: Tree, flags: int, following: int) -> int:
        """The node at which these items begin; behind them stands `following`."""
        for operation, argument in reversed(list(items)):
            following = self._item(str(operation), operation, argument, flags, following)
        return following

    def _item(self, kind: str, operation: Tree, argument: Tree, flags: int, following: int) -> int:
        if kind in _ONE_CHARACTER:
            return self._add(_CLASS, self._set(self._mask(operation, argument, flags)), following)
        handler: Callable[[Tree, int, int], int] | None = getattr(self, f"_{kind.lower()}", None)
        if handler is None:
            raise UntranslatableError(kind.lower().replace("_", " "))
        return handler(argument, flags, following)

    def _mask(self, operation: Tree, argument: Tree, flags: int) -> int:
        """The codes of the characters that an item matches; each item of the tree is looked at once."""
        key = (argument if isinstance(argument, int) else id(argument), operation, flags)
        known = self._masks.get(key)
        if known is None:
            known = self._masks[key] = _mask_of(self._characters, operation, argument, flags & ~re.DEBUG)
        return known

    def _subpattern(self, argument: Tree, flags: int, following: int) -> int:
        number, added, removed, body = argument
        flags = (flags | added) & ~removed
        slot, first = self._slots.get(number), len(self._nodes)
        if slot is not None:
            following = self._add(_CAPTURE, slot + 1, following)
        if number in self._needs.repeated:
            begin = self._kept(number, body, flags, following)
        else:
            if number in self._needs.conditions:
                following = self._add(_MARK, _group(number), following)
            begin = self._sequence(body, flags, following)
        if slot is None:
            return begin
        masks = list(self._sets)
        if any(node[0] in {_CLASS, _KEEP} and masks[node[1]] >> _NEWLINE & 1 for node in self._nodes[first:]):
            self._multiline.update(name for name, place in self._names.items() if 2 * place == slot)
        return self._add(_CAPTURE, slot, begin)

    def _kept(self, number: int, body: Tree, flags: int, following: int) -> int:
        """A group that is repeated later: one character, which the core carries along."""
        if len(body) != 1 or str(body[0][0]) not in _ONE_CHARACTER or flags & re.IGNORECASE:
            raise UntranslatableError("back-reference")
        mask = self._mask(body[0][0], body[0][1], flags)
        if mask.bit_count() > _MOST_KEPT or mask >> 128:
            raise UntranslatableError("back-reference")
        return self._add(_KEEP, self._set(mask), _group(number), following)

    def _groupref(self, number: int, flags: int, following: int) -> int:
        if flags & re.IGNORECASE:
            raise UntranslatableError("back-reference")
        return self._add(_SAME, _group(number), following)

    def _groupref_exists(self, argument: Tree, flags: int, following: int) -> int:
        number, present, absent = argument
        yes = self._sequence(present, flags, following)
        no = self._sequence(absent, flags, following) if absent else following
        return self._add(_CONDITION, _group(number), yes, no)

    def _branch(self, argument: Tree, flags: int, following: int) -> int:
        ways = [self._sequence(branch, flags, following) for branch in argument[1]]
        return self._add(_SPLIT, len(ways), *ways)

    def _max_repeat(self, argument: Tree, flags: int, following: int) -> int:
        return self._repeat(argument, flags, following, greedy=True)

    def _min_repeat(self, argument: Tree, flags: int, following: int) -> int:
        return self._repeat(argument, flags, following, greedy=False)

    def _repeat(self, argument: Tree, flags: int, following: int, *, greedy: bool) -> int:
        least, most, body = int(argument[0]), argument[1], argument[2]
        endless = most == _parser.MAXREPEAT
        if body.getwidth()[0] == 0 and (endless or int(most) > 1):
            raise UntranslatableError("a repeat of what may be empty")
        first = following
        if endless:
            loop = self._add(_SPLIT, 2, 0, 0)
            inner = self._sequence(body, flags, loop)
            self._nodes[loop] = [_SPLIT, 2, inner, following] if greedy else [_SPLIT, 2, following, inner]
            first = loop
        else:
            for _ in range(int(most) - least):
                inner = self._sequence(body, flags, first)
                first = self._add(_SPLIT, 2, inner, following) if greedy else self._add(_SPLIT, 2, following, inner)
        for _ in range(least):
            first = self._sequence(body, flags, first)
        return first

    def _at(self, argument: Tree, flags: int, following: int) -> int:
        kind = str(argument)
        if kind in {"AT_BOUNDARY", "AT_NON_BOUNDARY"}:
            look = (5 if flags & re.ASCII else 3) + (kind == "AT_NON_BOUNDARY")
        elif flags & re.MULTILINE and kind in {"AT_BEGINNING", "AT_END"}:
            raise UntranslatableError("MULTILINE")
        else:
            look = _LOOKS[kind]
        return self._add(_LOOK, look, following)

    def _assert(self, argument: Tree, flags: int, following: int) -> int:
        return self._around(argument, flags, following, negated=False)

    def _assert_not(self, argument: Tree, flags: int, following: int) -> int:
        return self._around(argument, flags, following, negated=True)

    def _around(self, argument: Tree, flags: int, following: int, *, negated: bool) -> int:
        direction, body = argument
        single = len(body) == 1 and str(body[0][0]) in _ONE_CHARACTER
        if single:
            kind = _BEHIND if direction < 0 else _PEEK
            return self._add(kind, int(negated), self._set(self._mask(body[0][0], body[0][1], flags)), following)
        if direction < 0:
            raise UntranslatableError("a look-behind of more than one character")
        if negated and (parts := _zero_width(body)):
            # Not (before and behind) is: not before, or not behind. Both ways go on alike.
            before, behind = parts
            ways = [
                self._around((-1, before[1][1]), flags, following, negated=str(before[0]) == "ASSERT"),
                self._around((1, [behind]), flags, following, negated=True),
            ]
            return self._add(_SPLIT, 2, *ways)
        if any(str(item[0]) == "SUBPATTERN" and item[1][0] is not None for item in _items(body)):
            raise UntranslatableError("a group inside a look-ahead")
        return self._add(_AHEAD, int(negated), self._sequence(body, flags, self._add(_ACCEPT)), following)


def _group(number: int) -> int:
    if number > 63:
        raise UntranslatableError("too many groups")
    return number


def _zero_width(body: Tree) -> tuple[Tree, Tree] | None:
    """The parts of a look-ahead that consists of a look-behind and one character."""
    if len(body) != 2:
        return None
    before, behind = body
    looks_back = str(before[0]) in {"ASSERT", "ASSERT_NOT"} and before[1][0] < 0
    single = looks_back and len(before[1][1]) == 1 and str(before[1][1][0][0]) in _ONE_CHARACTER
    return (before, behind) if single and str(behind[0]) in _ONE_CHARACTER else None


def _items(items: Tree) -> Iterator[Tree]:
    """All items of a tree, those inside others included."""
    for item in items:
        yield item
        kind, argument = str(item[0]), item[1]
        if kind == "SUBPATTERN":
            yield from _items(argument[3])
        elif kind == "BRANCH":
            for branch in argument[1]:
                yield from _items(branch)
        elif kind in {"ASSERT", "ASSERT_NOT"}:
            yield from _items(argument[1])
        elif kind == "ATOMIC_GROUP":
            yield from _items(argument)
        elif kind == "GROUPREF_EXISTS":
            yield from _items(argument[1])
            yield from _items(argument[2] or ())
        elif kind.endswith("REPEAT"):
            yield from _items(argument[2])


@lru_cache(maxsize=4096)
def _compiled(flags: int, item: _Item) -> re.Pattern[str]:
    state = _parser.State()
    state.flags, state.str = flags, ""
    with warnings.catch_warnings(action="ignore"):
        return _compiler.compile(_parser.SubPattern(state, [item.item]))  # type: ignore[no-any-return]


@dataclass(frozen=True)
class _Item:
    """An item of a parse tree, told apart by its text."""

    text: str
    item: Tree = field(compare=False)


_masks: dict[tuple[str, int, Characters], int] = {}


def _mask_of(characters: Characters, operation: Tree, argument: Tree, flags: int) -> int:
    """The codes of the characters that an item matches, asked of the regex engine itself."""
    if str(operation) == "LITERAL" and argument < 128 and not flags & re.IGNORECASE:
        return 1 << int(argument)
    text = repr((operation, argument))
    key = (text, flags, characters)
    known = _masks.get(key)
    if known is None:
        codes = [code for code in _codes(operation, argument) if code > 127]
        if codes and flags & re.IGNORECASE:
            raise UntranslatableError("IGNORECASE beyond ASCII")
        if any(chr(code) not in characters for code in codes):
            raise UntranslatableError("a character beyond ASCII by its number")
        if any(high >= 128 for _, high in _ranges(operation, argument)):
            raise UntranslatableError("a range beyond ASCII")
        match = _compiled(flags, _Item(text, (operation, argument))).match
        known = sum(1 << code for code, character in characters.samples.items() if match(character))
        if len(_masks) >= _REMEMBERED:
            _masks.clear()
        _masks[key] = known
    return known


def _codes(operation: Tree, argument: Tree) -> list[int]:
    if str(operation) in {"LITERAL", "NOT_LITERAL"}:
        return [argument]
    if str(operation) == "IN":
        return [value for kind, value in argument if str(kind) == "LITERAL"]
    return []


def _ranges(operation: Tree, argument: Tree) -> list[tuple[int, int]]:
    return [value for kind, value in argument if str(kind) == "RANGE"] if str(operation) == "IN" else []
