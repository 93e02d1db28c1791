"""The expression language of `bantime.formula`: Python's arithmetic with three names, and nothing else.

    ban.Time                 the jail's bantime, seconds
    ban.Count                how often the offender was banned before
    banFactor                bantime.factor
    + - * / // % ** << >>    numbers, parentheses, `a if condition else b`, comparisons, `and`, `or`, `not`
    min max abs round int float pow, math.exp, math.sqrt, math.log, math.pi … (see `_FUNCTIONS`)
    random.random(), random.uniform(a, b)

The text is parsed, but never evaluated by Python: other nodes are refused when it is compiled. Numbers stay within
±1e15, so that no formula can take long.
"""

from __future__ import annotations

import ast
import math
import operator
import random as random_module
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final, TypeAlias

_Number: TypeAlias = float
_Names: TypeAlias = Mapping[str, float]

DEFAULT: Final = "ban.Time * (1<<(ban.Count if ban.Count<20 else 20)) * banFactor"
_LIMIT: Final = 1e15
_NODES: Final = 200

_BINARY: Final[Mapping[type[ast.operator], Callable[[float, float], float]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: math.pow,
    ast.LShift: lambda value, by: math.ldexp(math.trunc(value), min(max(0, int(by)), 1000)),
    ast.RShift: lambda value, by: math.trunc(math.ldexp(math.trunc(value), -min(max(0, int(by)), 1000))),
}
_UNARY: Final[Mapping[type[ast.unaryop], Callable[[float], float]]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
    ast.Not: operator.not_,
}
_COMPARE: Final[Mapping[type[ast.cmpop], Callable[[float, float], bool]]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_MATH: Final = (
    "acos asin atan atan2 ceil cos cosh degrees erf exp expm1 fabs floor fmod hypot ldexp log log10 log1p log2 pow"
    " radians sin sinh sqrt tan tanh trunc"
)
_FUNCTIONS: Final[Mapping[str, Callable[..., float]]] = {
    **{f"math.{name}": getattr(math, name) for name in _MATH.split()},
    "min": min,
    "max": max,
    "abs": abs,
    "round": round,
    "int": int,
    "float": float,
    "pow": math.pow,
    "random.random": random_module.random,
    "random.uniform": random_module.uniform,
}
_CONSTANTS: Final[_Names] = {"math.pi": math.pi, "math.e": math.e}
_SYNTAX: Final = frozenset(
    {ast.BinOp, ast.UnaryOp, ast.Compare, ast.IfExp, ast.BoolOp, ast.And, ast.Or, *_BINARY, *_UNARY, *_COMPARE}
)
_VARIABLES: Final = frozenset({"ban.Time", "ban.Count", "banFactor"})


@lru_cache(maxsize=256)
def compiled(formula: str) -> ast.expr:
    """The checked syntax tree of a formula.

    :raises ValueError: if it is not a formula; the message says why.
    """
    try:
        tree = ast.parse(formula.strip(), mode="eval").body
    except (SyntaxError, RecursionError, MemoryError) as error:
        raise ValueError(f"not an expression: {error}") from error
    if sum(1 for _ in ast.walk(tree)) > _NODES:
        raise ValueError("too long")
    _check(tree)
    return tree


def value_of(formula: ast.expr, *, time: float, count: int, factor: float) -> float:
    """The formula's value.

    :raises ValueError: if it has none for these values (division by zero, out of range).
    """
    try:
        value = _value(formula, {"ban.Time": time, "ban.Count": count, "banFactor": factor, **_CONSTANTS})
    except (ArithmeticError, TypeError, ValueError) as error:
        raise ValueError(f"no value for ban.Time={time:g}, ban.Count={count}: {error}") from error
    return value


def _check(node: ast.AST) -> None:
    name = _name(node) if isinstance(node, ast.expr) else ""
    if isinstance(node, ast.Name | ast.Attribute):
        if name not in _VARIABLES and name not in _CONSTANTS:
            raise ValueError(f"unknown name {name or ast.unparse(node)!r}")
        return
    if isinstance(node, ast.Call):
        if _name(node.func) not in _FUNCTIONS or node.keywords:
            raise ValueError(f"{ast.unparse(node.func)!r} is not an allowed function")
        for argument in node.args:
            _check(argument)
        return
    if isinstance(node, ast.Constant):
        if not isinstance(node.value, int | float):
            raise ValueError(f"{node.value!r} is not a number")  # noqa: TRY004 -- wrong text, not a wrong argument
        return
    if type(node) not in _SYNTAX:
        raise ValueError(f"{type(node).__name__} is not allowed")
    for child in ast.iter_child_nodes(node):
        _check(child)


def _name(node: ast.expr) -> str:
    """`ban.Count` → "ban.Count"; `self.ban.Count` and deeper nodes have no name."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return f"{node.value.id}.{node.attr}"
    return ""


def _value(node: ast.expr, names: _Names) -> _Number:
    value = _raw_value(node, names)
    if not abs(value) <= _LIMIT:
        if math.isnan(value):
            raise ValueError("not a number")
        return math.copysign(_LIMIT, value)
    return value


def _raw_value(node: ast.expr, names: _Names) -> _Number:
    match node:
        case ast.Constant(value=int() | float() as number):
            return min(number, _LIMIT)
        case ast.Name() | ast.Attribute():
            return names[_name(node)]
        case ast.BinOp():
            return _binary(node.op, _value(node.left, names), _value(node.right, names))
        case ast.UnaryOp():
            return _UNARY[type(node.op)](_value(node.operand, names))
        case ast.IfExp():
            return _value(node.body if _value(node.test, names) else node.orelse, names)
        case ast.BoolOp():
            return _either(node, names)
        case ast.Compare():
            return _comparison(node, names)
        case ast.Call():
            return _FUNCTIONS[_name(node.func)](*(_value(argument, names) for argument in node.args))
    raise ValueError(type(node).__name__)


def _binary(op: ast.operator, left: float, right: float) -> float:
    try:
        return _BINARY[type(op)](left, right)
    except OverflowError:
        return _LIMIT


def _either(node: ast.BoolOp, names: _Names) -> float:
    wanted = isinstance(node.op, ast.Or)
    value = 0.0
    for operand in node.values:
        value = _value(operand, names)
        if bool(value) == wanted:
            break
    return value


def _comparison(node: ast.Compare, names: _Names) -> bool:
    left = _value(node.left, names)
    for op, operand in zip(node.ops, node.comparators, strict=True):
        right = _value(operand, names)
        if not _COMPARE[type(op)](left, right):
            return False
        left = right
    return True
