"""Dates in log lines: where they are, and which time they mean."""

from guardhooks.filters.dates.detector import DateDetector
from guardhooks.filters.dates.template import DateMatch, Template

__all__ = ["DateDetector", "DateMatch", "Template"]
