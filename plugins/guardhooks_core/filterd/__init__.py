"""Finds failures in lines, by the filters of `filter.d`."""
