"""Reads pickled plain values without the `pickle` module: texts, numbers, lists, dictionaries, nothing else.

An interpreter of the opcodes of protocols 0 to 5 (as documented in the standard library's `pickletools`). What could
name a class, call something or refer outside of the message is refused. A restricted `pickle.Unpickler` would not do:
nine bytes make its memo take gigabytes, and shared lists grow without bound when they are shown.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final, TypeAlias

Plain: TypeAlias = "bool | int | float | str | list[Plain] | dict[str, Plain] | None"

MAX_OPCODES: Final = 1_000_000
MAX_VALUES: Final = 500_000
"""Values of a message, those in shared lists counted as often as they are seen."""
MAX_DEPTH: Final = 20
"""Lists within lists."""
_LONGEST_NUMBER: Final = 64
"""Bytes or digits."""


class DecodeError(ValueError):
    """A message that is no pickle of plain values, or too large a one."""


def decode(message: bytes) -> Plain:
    """The value of a pickle.

    :raises DecodeError: when there is anything in it but plain values, or too much.
    """
    try:
        return _unshared(_Machine(message).run(), [MAX_VALUES], 0)
    except DecodeError:
        raise
    except (IndexError, KeyError, ValueError, TypeError, struct.error, OverflowError) as error:
        raise DecodeError(f"the request is not a pickle of plain values: {type(error).__name__}") from None


def _unshared(value: Any, left: list[int], depth: int) -> Plain:  # noqa: ANN401 -- what the machine has built
    """A copy in which nothing is shared, so that it is as large as it looks."""
    left[0] -= 1
    if left[0] < 0 or depth > MAX_DEPTH:
        raise DecodeError(f"the request holds more than {MAX_VALUES} values, or lists deeper than {MAX_DEPTH}")
    if isinstance(value, list | tuple):
        return [_unshared(each, left, depth + 1) for each in value]
    if isinstance(value, dict):
        return {_key(key): _unshared(each, left, depth + 1) for key, each in value.items()}
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise DecodeError("the request is not a pickle of plain values")


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise DecodeError("a dictionary in the request has a key that is no text")
    return key


class _Machine:
    """The stack, its marks and the memo of one message."""

    def __init__(self, message: bytes) -> None:
        self._data, self._at = memoryview(message), 0
        self._stack: list[Any] = []
        self._below: list[list[Any]] = []
        self._memo: dict[int, Any] = {}

    def run(self) -> Any:  # noqa: ANN401 -- any plain value
        """Execute up to STOP, which must be the end."""
        for _ in range(MAX_OPCODES):
            opcode = self._take(1)[0]
            if opcode == _STOP:
                if self._at != len(self._data) or self._below or len(self._stack) != 1:
                    raise DecodeError("the request has more than one value")
                return self._stack.pop()
            work = _OPCODES.get(opcode)
            if work is None:
                raise DecodeError(f"the request has opcode 0x{opcode:02x}, which plain values do not need")
            work(self)
        raise DecodeError(f"the request has more than {MAX_OPCODES} opcodes")

    # --- reading ------------------------------------------------------------------------------------------------------

    def _take(self, length: int) -> bytes:
        end = self._at + length
        if length < 0 or end > len(self._data):
            raise DecodeError("the request ends too early")
        taken = bytes(self._data[self._at : end])
        self._at = end
        return taken

    def _number(self, form: str) -> int:
        form = f"<{form}"
        return int(struct.unpack(form, self._take(struct.calcsize(form)))[0])

    def _line(self) -> str:
        rest = bytes(self._data[self._at : self._at + (1 << 16)])
        end = rest.find(b"\n")
        if end < 0:
            raise DecodeError("the request ends too early")
        self._at += end + 1
        return rest[:end].decode("latin-1")

    def _marked(self) -> list[Any]:
        """What lies above the last mark, which is removed."""
        above = self._stack
        self._stack = self._below.pop()
        return above

    # --- opcodes ------------------------------------------------------------------------------------------------------

    def push(self, value: object) -> None:
        self._stack.append(value)

    def mark(self) -> None:
        self._below.append(self._stack)
        self._stack = []

    def skip(self, length: int) -> None:
        self._take(length)

    def pop(self) -> None:
        if self._stack:
            self._stack.pop()
        else:
            self._marked()

    def pop_mark(self) -> None:
        self._marked()

    def integer(self, form: str) -> None:
        self.push(self._number(form))

    def integer_line(self) -> None:
        text = self._line().rstrip("L")
        if len(text) > _LONGEST_NUMBER:
            raise DecodeError("the request has too long a number")
        self.push(text == "01" if text in {"00", "01"} else int(text))

    def long(self, form: str) -> None:
        length = self._number(form)
        if not 0 <= length <= _LONGEST_NUMBER:
            raise DecodeError("the request has too long a number")
        self.push(int.from_bytes(self._take(length), "little", signed=True))

    def real(self) -> None:
        self.push(struct.unpack(">d", self._take(8))[0])

    def real_line(self) -> None:
        self.push(float(self._line()[:_LONGEST_NUMBER]))

    def text(self, form: str) -> None:
        self.push(self._take(self._number(form)).decode("utf-8", "surrogatepass").encode("utf-8", "replace").decode())

    def text_line(self) -> None:
        self.push(self._line().encode("latin-1").decode("raw-unicode-escape"))

    def quoted_line(self) -> None:
        text = self._line().strip()
        if len(text) < 2 or text[0] != text[-1] or text[0] not in "'\"":
            raise DecodeError("the request has a text without quotes")
        self.push(text[1:-1].encode("latin-1").decode("unicode-escape"))

    def octets(self, form: str) -> None:
        self.push(self._take(self._number(form)))

    def append(self) -> None:
        value = self._stack.pop()
        self._list().append(value)

    def extend(self) -> None:
        values = self._marked()
        self._list().extend(values)

    def _list(self) -> list[Any]:
        found = self._stack[-1]
        if not isinstance(found, list):
            raise DecodeError("the request appends to what is no list")
        return found

    def marked_list(self) -> None:
        self.push(self._marked())

    def last(self, number: int) -> None:
        if len(self._stack) < number:
            raise DecodeError("the request ends too early")
        values = tuple(self._stack[-number:])
        del self._stack[-number:]
        self.push(values)

    def marked_dictionary(self) -> None:
        self.push({})
        self._fill(self._marked_below())

    def _marked_below(self) -> list[Any]:
        """As `_marked`, for what was pushed meanwhile stays on top."""
        top = self._stack.pop()
        values = self._marked()
        self._stack.append(top)
        return values

    def set_item(self) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._fill([key, value])

    def set_items(self) -> None:
        self._fill(self._marked())

    def _fill(self, values: list[Any]) -> None:
        found = self._stack[-1]
        if not isinstance(found, dict) or len(values) % 2:
            raise DecodeError("the request sets items of what is no dictionary")
        found.update((_key(key), value) for key, value in zip(values[::2], values[1::2], strict=True))

    def get(self, index: int) -> None:
        self.push(self._memo[index])

    def put(self, index: int) -> None:
        if index < 0:
            raise DecodeError("the request has a negative index")
        self._memo[index] = self._stack[-1]

    def memoize(self) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def duplicate(self) -> None:
        self.push(self._stack[-1])

    def index(self, form: str) -> int:
        return self._number(form)

    def index_line(self) -> int:
        return int(self._line()[:_LONGEST_NUMBER])


_STOP: Final = ord(".")
_OPCODES: Final[dict[int, Callable[[_Machine], None]]] = {
    0x80: lambda machine: machine.skip(1),  # PROTO
    0x95: lambda machine: machine.skip(8),  # FRAME
    ord("("): _Machine.mark,
    ord("0"): _Machine.pop,
    ord("1"): _Machine.pop_mark,
    ord("2"): _Machine.duplicate,
    ord("N"): lambda machine: machine.push(None),
    0x88: lambda machine: machine.push(True),
    0x89: lambda machine: machine.push(False),
    ord("I"): _Machine.integer_line,
    ord("L"): _Machine.integer_line,
    ord("J"): lambda machine: machine.integer("i"),
    ord("K"): lambda machine: machine.integer("B"),
    ord("M"): lambda machine: machine.integer("H"),
    0x8A: lambda machine: machine.long("B"),
    0x8B: lambda machine: machine.long("i"),
    ord("G"): _Machine.real,
    ord("F"): _Machine.real_line,
    ord("S"): _Machine.quoted_line,
    ord("V"): _Machine.text_line,
    ord("T"): lambda machine: machine.octets("i"),
    ord("U"): lambda machine: machine.octets("B"),
    ord("B"): lambda machine: machine.octets("I"),
    ord("C"): lambda machine: machine.octets("B"),
    0x8E: lambda machine: machine.octets("Q"),  # BINBYTES8
    ord("X"): lambda machine: machine.text("I"),
    0x8C: lambda machine: machine.text("B"),  # SHORT_BINUNICODE
    0x8D: lambda machine: machine.text("Q"),  # BINUNICODE8
    ord("]"): lambda machine: machine.push([]),
    ord("l"): _Machine.marked_list,
    ord(")"): lambda machine: machine.push(()),
    ord("t"): _Machine.marked_list,
    0x85: lambda machine: machine.last(1),
    0x86: lambda machine: machine.last(2),
    0x87: lambda machine: machine.last(3),
    ord("}"): lambda machine: machine.push({}),
    ord("d"): _Machine.marked_dictionary,
    ord("a"): _Machine.append,
    ord("e"): _Machine.extend,
    ord("s"): _Machine.set_item,
    ord("u"): _Machine.set_items,
    ord("g"): lambda machine: machine.get(machine.index_line()),
    ord("h"): lambda machine: machine.get(machine.index("B")),
    ord("j"): lambda machine: machine.get(machine.index("I")),
    ord("p"): lambda machine: machine.put(machine.index_line()),
    ord("q"): lambda machine: machine.put(machine.index("B")),
    ord("r"): lambda machine: machine.put(machine.index("I")),
    0x94: _Machine.memoize,
}
"""The opcodes of plain values. Whatever is missing here is refused."""
