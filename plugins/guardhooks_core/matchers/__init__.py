"""Plugins that find failures in lines: `line_matcher`."""
