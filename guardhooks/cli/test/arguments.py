"""Which of the positional arguments of `guardhooks test` are logs, which is the filter, and the ignoreregex."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import click

from guardhooks.cli.test.log import exists


@dataclass(frozen=True, slots=True)
class Arguments:
    """`logs` holds one text, or the paths of several files."""

    logs: list[str]
    filter_text: str
    ignoreregex: str | None = None


def read_arguments(words: Sequence[str]) -> Arguments:
    """`LOG… FILTER [IGNOREREGEX]`. Files at the beginning are logs, as long as a word is left for the filter.

    A filter file ends in `.conf` and is therefore not taken for a log.

    :raises click.UsageError: when an argument is missing, or one is left over.
    """
    count = 1
    while count < len(words) - 1 and exists(words[0]) and exists(words[count]) and not words[count].endswith(".conf"):
        count += 1
    logs, rest = list(words[:count]), list(words[count:])
    if not logs:
        raise click.UsageError("missing argument 'LOG'")
    if not rest:
        raise click.UsageError("missing argument 'FILTER'")
    if len(rest) > 2:
        raise click.UsageError(f"got an unexpected argument ({rest[2]}); put a regex or a log line in quotes")
    return Arguments(logs, rest[0], rest[1] if len(rest) == 2 else None)
