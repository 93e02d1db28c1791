"""The same lines through fail2ban-regex: the same dates, and the same text left over."""

import ast
import os
import shutil
import subprocess
import time
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from guardhooks.filters.dates import DateDetector

FAIL2BAN_REGEX = shutil.which("fail2ban-regex")
pytestmark = pytest.mark.skipif(
    FAIL2BAN_REGEX is None and "CI" not in os.environ, reason="fail2ban-regex is not installed"
)

DEFAULT_LINES = """
Aug 14 11:55:04 host sshd[1]: x
Aug  4 11:55:04 host sshd[1]: x
Aug 14 11:55:04.123 host sshd[1]: x
Sun Aug 14 11:55:04 2005 x
[Sun Aug 14 11:55:04 2005] [error] x
[Sun Aug 14 11:55:04.123456 2005] [error] x
Sun Aug 14 2005 11:55:04 x
2005-08-14 11:55:04 x
2005-08-14 11:55:04,123 x
2005-08-14T11:55:04.123456+02:00 x
2005-08-14T11:55:04Z x
2005/08/14 11:55:04 x
2005.08.14  11:55:04 x
14/08/2005 11:55:04 x
14/08/05 11:55:04 x
10.0.0.1 - - [14/Aug/2005:11:55:04 +0000] "GET /[01/Jan/2001:00:00:00 +0000]"
10.0.0.1 - - [14/Aug/2005:11:55:05 +0200] "GET /"
[14-Aug-2005 11:55:04] x
08/14/2005:11:55:04 x
08-14-2005 11:55:04.123 x
1124013600 x
1124013600.123 x
[1124013600] x
type=USER_AUTH msg=audit(1124013600.123:77): x
<08/14/05@11:55:04> x
050814 11:55:04 x
050814  1:55:04 x
Aug 14, 2005 11:55:04 PM x
Aug-14-05 11:55:04 x
20050814T115504 x
20050814 115504 x
EST Aug 14 11:55:04 2005 x
+0300 Aug 14 11:55:04 2005 x
@4000000042ff14a80d5a6c34 x
x 2005-08-14 11:55:04 y Aug 14 2005 11:55:05 z
x2005-08-14 11:55:04 and 2005-08-15 11:55:04 z
((((2005-08-14 11:55:04 x
"""
CUSTOM = (
    "^d=(%Y-%m-%d) \n{^LN-BEG}%d.%m.%Y %k:%M\n\\[%Y/%j\\]\nt=%H:%M:%S\n%b %d %I%p\n%Y %W %a\nLEPOCH\nu%y{2}\n%Y %j%z$"
)
CUSTOM_LINES = """
d=2005-08-14 x
(14.08.2005  1:55) x
x [2005/032] y
x t=00:00:01 y
x Aug 14 12am y
x Aug 14 5pm y
x 2005 10 Sun y
1124013600123 y
1124013600123456 y
x 2005 226+0200
"""


@pytest.mark.parametrize(("pattern", "text"), [("", DEFAULT_LINES), (CUSTOM, CUSTOM_LINES)], ids=["defaults", "own"])
def test_fail2ban_agrees(pattern: str, text: str, tmp_path: Path):
    log = tmp_path / "log"
    log.write_text(text.strip() + "\n")
    chosen = ["-d", pattern] if pattern else []
    done = subprocess.run(
        [str(FAIL2BAN_REGEX), "-r", "-o", "row", *chosen, str(log), "^<F-ID>.*</F-ID>$"],
        env={**os.environ, "TZ": "Europe/Berlin"},
        capture_output=True,
        text=True,
        check=True,
    )
    rows = [ast.literal_eval(line.rstrip(",")) for line in done.stdout.splitlines() if line.startswith("[")]
    detector = DateDetector(pattern.splitlines(), default_zone=ZoneInfo("Europe/Berlin"))
    ours = []
    for line in text.strip().splitlines():
        found = detector.find(line, time.time())
        assert found is not None, line
        ours.append((line, line[: found.start] + line[found.end :], found.time))
    theirs = [(line, row[0], row[1]) for (line, *_), row in zip(ours, rows, strict=True)]
    assert ours == theirs
