"""What matchers found, as the objects that tests compare."""

from __future__ import annotations

from guardhooks import Failure
from guardhooks.plugins.found import Found


def failures_of(found: Found) -> list[Failure]:
    """Every failure that the matcher's plugin can give."""
    return [failure for row in range(len(found)) if (failure := found.failure(row)) is not None]
