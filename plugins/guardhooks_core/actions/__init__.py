"""Plugins that carry out bans: `execute_action` and `diagnose`."""
