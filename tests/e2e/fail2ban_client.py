"""Runs many commands through Debian's own `fail2ban-client` in one process; executed by the system's Python."""

import contextlib
import io
import json
import sys


def main() -> None:
    """Commands come as JSON lists of words on standard input, `[output, exit code]` goes out for each."""
    from fail2ban.client.fail2banclient import exec_command_line  # type: ignore[import-not-found]  # Debian's

    place, commands = sys.argv[1:], json.load(sys.stdin)
    results = []
    for words in commands:
        output = io.StringIO()
        code: object = 0
        with contextlib.redirect_stdout(output):
            try:
                exec_command_line(["fail2ban-client", *place, *words])
            except SystemExit as end:
                code = end.code
        results.append([output.getvalue(), code])
    json.dump(results, sys.stdout)


main()
