"""Dates in log lines: where they are, and which time they mean."""

from guardhooks_core.matchers.filterd.dates.detector import DateDetector
from guardhooks_core.matchers.filterd.dates.template import DateMatch

__all__ = ["DateDetector", "DateMatch"]
