"""The unix socket between the daemon and its client commands."""
