"""Plugins that decide: `on_failure`, `refuse_ban` and `decide_ban`."""
