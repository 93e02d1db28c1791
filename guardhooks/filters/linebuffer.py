"""The last lines of a jail whose regexes span several (`maxlines` > 1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class LineBuffer:
    """At most `size` lines: for each the text to match (date removed) and the original line."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._lines: list[tuple[str, str]] = []

    @property
    def text(self) -> str:
        """The texts to match, each with a newline at its end."""
        return "".join(f"{text}\n" for text, _ in self._lines)

    def add(self, text: str, original: str) -> None:
        self._lines.append((text, original))
        del self._lines[: -self._size]

    def take(self, start: int, end: int, skipped: Sequence[str]) -> Taken:
        """Remove the lines that a match from `start` to `end` of `text` covers, except the `skipped` ones."""
        whole = self.text
        first = whole.count("\n", 0, start + 1 if whole[start : start + 1] == "\n" else start)
        last = max(first + 1, whole.count("\n", 0, max(end - 1, 0)) + 1)
        covered, kept = self._lines[first:last], self._lines[:first]
        for line in skipped:
            index = next((n for n, (text, _) in enumerate(covered) if text == line), None)
            if index is not None:
                kept.append(covered.pop(index))
        self._lines = kept + self._lines[last:]
        return Taken(covered)


class Taken:
    """The lines of one match: `text` for the ignoreregexes, `originals` for the report."""

    __slots__ = ("originals", "text")

    def __init__(self, lines: Sequence[tuple[str, str]]) -> None:
        self.text = "".join(f"{text}\n" for text, _ in lines)
        self.originals = tuple(original for _, original in lines)


def skipped_lines(groups: Mapping[str, object]) -> list[str]:
    """The lines that `<SKIPLINES>` matched, from the groups of a match."""
    skipped = [value for name, value in groups.items() if name.startswith("skiplines")]
    return [line for text in skipped if isinstance(text, str) for line in text.split("\n")[:-1]]
