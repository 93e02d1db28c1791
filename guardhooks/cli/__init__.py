"""The `guardhooks` command.

Each command lives in a module of its own that is imported when the command is asked for, and none of the client
commands imports what only the daemon needs: they feel instant.
"""

from __future__ import annotations


def main() -> None:
    """Entry point of the `guardhooks` script. Does not return."""
    from guardhooks.cli.group import cli

    cli.main(prog_name="guardhooks")
