"""Runs with Debian's Python: what fail2ban's own command finds in logs, for many filters in one process.

Standard input holds a JSON list of `[configuration, filter, log]`; standard output gets a JSON list of what
`fail2ban-regex` prints for each.
"""

import contextlib
import io
import json
import sys

from fail2ban.client.fail2banregex import exec_command_line

FORMAT = "<fid>\t<F-USER>\t<time>\t<msg>"


def printed(config: str, rule: str, log: str) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        exec_command_line(["-c", config, "--usedns", "no", "-o", FORMAT, log, rule])
    return out.getvalue()


json.dump([printed(*each) for each in json.load(sys.stdin)], sys.__stdout__)
