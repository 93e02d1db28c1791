"""Plugins that read lines: `log_source`."""
