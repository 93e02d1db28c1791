"""`guardhooks test`: what a filter author sees, and the JSON that programs read."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guardhooks.cli.group import cli
from guardhooks.cli.test.log import LINE_LIMIT, whole_lines
from tests.cli.running import Site

HIT = "2026-11-22 16:05:00 login of bob failed from 192.0.2.1"
HIT_TIME = 1795363500.0
LOG = f"""\
{HIT}
# a comment, which is an ordinary line

2026-11-22 16:05:01 login of monitor failed from 192.0.2.2
2026-11-22 16:05:02 no such user from 2001:db8::1
"""


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")


def run(site: Site, *arguments: str, text: str | bytes | None = None) -> Result:
    return CliRunner().invoke(
        cli, ["test", "-c", str(site.config), "--now", "2026-11-22T16:10:00Z", *arguments], input=text
    )


def lines(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_json_holds_one_object_for_each_line(site: Site) -> None:
    site.log.write_text(LOG)

    assert lines(run(site, str(site.log), "app", "--json")) == [
        {
            "line": 1,
            "ignored": False,
            "failures": [
                {
                    "failregex": 1,
                    "id": "192.0.2.1",
                    "time": HIT_TIME,
                    "fields": {"user": "bob", "ip4": "192.0.2.1"},
                    "matches": [HIT],
                    "nofail": False,
                }
            ],
        },
        {"line": 2, "ignored": False, "failures": []},
        {"line": 3, "ignored": False, "failures": []},
        {"line": 4, "ignored": True, "failures": []},
        {
            "line": 5,
            "ignored": False,
            "failures": [
                {
                    "failregex": 2,
                    "id": "2001:db8::1",
                    "time": HIT_TIME + 2,
                    "fields": {"ip6": "2001:db8::1"},
                    "matches": ["2026-11-22 16:05:02 no such user from 2001:db8::1"],
                    "nofail": False,
                }
            ],
        },
    ]


def test_a_comment_that_matches_is_an_ordinary_line(site: Site) -> None:
    found = lines(run(site, "# from 192.0.2.1", r"^# from <HOST>$", "--json"))

    assert [failure["id"] for failure in found[0]["failures"]] == ["192.0.2.1"]


def test_a_host_name_stays_a_name(site: Site) -> None:
    found = lines(run(site, "2026-11-22 16:05:02 no such user from host.example.com", "app", "--json"))

    assert [(f["id"], f["fields"]["dns"]) for f in found[0]["failures"]] == [("host.example.com",) * 2]


def test_helper_lines_and_sessions_without_an_id_are_marked(site: Site) -> None:
    (site.config / "filter.d" / "session.conf").write_text(
        "[Definition]\n"
        "prefregex = ^ <F-MLFID>s\\d+</F-MLFID>: <F-CONTENT>.+</F-CONTENT>$\n"
        "failregex = ^<F-NOFAIL>connect</F-NOFAIL> from <HOST>$\n"
        "            ^bad password$\n"
    )
    log = "".join(
        f"2026-11-22 16:05:0{second} {text}\n"
        for second, text in enumerate(["s1: connect from 192.0.2.1", "s1: bad password", "s2: bad password"])
    )
    connect, fail, pending = (line["failures"][0] for line in lines(run(site, "-", "session", "--json", text=log)))

    assert (connect["nofail"], connect["id"]) == (True, "192.0.2.1")
    assert (fail["nofail"], fail["id"], len(fail["matches"])) == (False, "192.0.2.1", 2)
    assert (pending["nofail"], pending["id"]) == (True, "")


def test_all_regexes_are_tried_in_json_and_with_all(site: Site) -> None:
    both = "^ login .* from <HOST>$\n^ .* failed from <HOST>$"

    assert [f["failregex"] for f in lines(run(site, HIT, both, "--json"))[0]["failures"]] == [1, 2]
    assert hits(run(site, HIT, both)) == {"1": "1", "2": "0"}
    assert hits(run(site, HIT, both, "--all")) == {"1": "1", "2": "1"}


def hits(result: Result) -> dict[str, str]:
    """Regex number → hits, from the report."""
    rows = result.stdout.split("failregex\n")[1].split("\n\n")[0].splitlines()
    return {row.split()[1]: row.split()[0] for row in rows}


def test_the_report_counts_and_shows_what_was_missed(site: Site) -> None:
    site.log.write_text(LOG)

    result = run(site, str(site.log), "app")

    assert result.exit_code == 0
    assert hits(result) == {"1": "1", "2": "1"}
    assert "5 lines: 2 matched, 0 helped, 1 ignored, 2 missed;" in result.stdout
    assert "lines/s" in result.stdout
    assert "  2: # a comment, which is an ordinary line" in result.stdout
    assert "none: no date found" in result.stdout
    assert "   1    1  login of monitor" in result.stdout


def test_lists_of_lines_are_printed_when_asked_for(site: Site) -> None:
    site.log.write_text(LOG)

    shown = run(site, str(site.log), "app", "--print-missed", "--print-ignored", "--print-matched").stdout

    assert shown.startswith(
        f"matched 1 [192.0.2.1]: {HIT}\nmissed 2: # a comment, which is an ordinary line\nmissed 3: "
    )
    assert "ignored 4: 2026-11-22 16:05:01 login of monitor" in shown
    assert "Missed lines" not in shown


def test_only_the_first_missed_lines_are_shown_unasked(site: Site) -> None:
    shown = run(site, "-", "app", text="nothing\n" * 25).stdout

    assert "and 5 more; --print-missed shows all" in shown
    assert "try --datepattern, or --journal" in shown


def test_explain_tells_for_each_line_what_happened(site: Site) -> None:
    shown = run(site, "-", "app", "--explain", text=LOG).stdout.split("\n\n")

    assert shown[0].startswith(f"line 1: {HIT}\n  date '2026-11-22 16:05:00' by ")
    assert "failregex 1: failure of 192.0.2.1 at 2026-11-22 16:05:00" in shown[0]
    assert "user = bob" in shown[0]
    assert "no date in it" in shown[1]
    assert shown[1].endswith("\n  missed")
    assert "ignored, by ignoreregex 1" in shown[3]


def test_what_attackers_wrote_cannot_drive_the_terminal(site: Site) -> None:
    evil = "2026-11-22 16:05:00 login of \x1b[2J\x07 failed from 192.0.2.1"

    for options in ([], ["--explain"], ["--print-matched"], ["--json"]):
        shown = run(site, "-", "app", *options, text=evil + "\n\x1b]0;x\x07\n").stdout
        assert "\x1b" not in shown
        assert "\x07" not in shown


@pytest.mark.parametrize(
    ("options", "time"),
    [
        ((), HIT_TIME),
        (("--timezone", "UTC+0200"), HIT_TIME - 7200),
        (("--datepattern", "{^LN-BEG}%Y-%d-%m"), None),
    ],
)
def test_dates_can_be_read_another_way(site: Site, options: tuple[str, ...], time: float | None) -> None:
    found = lines(run(site, HIT, "app", "--json", *options))[0]["failures"]

    assert [failure["time"] for failure in found] == ([] if time is None else [time])


def test_journal_lines_have_no_date_and_happen_now(site: Site) -> None:
    found = lines(
        run(site, "srv app[7]: no user from 192.0.2.1", r"app\[7\]: no user from <HOST>$", "--journal", "--json")
    )

    assert [failure["time"] for failure in found[0]["failures"]] == [HIT_TIME + 300]


def test_the_encoding_can_be_named(site: Site) -> None:
    text = HIT.replace("bob", "böb")

    for encoding in ("latin-1", "utf-16", "utf-16-le", "utf-8"):
        found = lines(run(site, "-", "app", "--json", "--encoding", encoding, text=f"{text}\n{text}".encode(encoding)))
        assert [line["failures"][0]["fields"]["user"] for line in found] == ["böb", "böb"]


def test_ignoreregex_of_the_command_line_replaces_the_filters(site: Site) -> None:
    monitor = HIT.replace("bob", "monitor")

    assert lines(run(site, monitor, "app", "--json"))[0]["ignored"] is True
    assert lines(run(site, monitor, "app", "bob", "--json"))[0]["ignored"] is False
    assert lines(run(site, HIT, "app", "bob", "--json"))[0]["ignored"] is True


def test_maxlines_joins_lines(site: Site) -> None:
    regex = r"^ connect from <HOST><SKIPLINES>.*wrong password$"
    log = "2026-11-22 16:05:00 connect from 192.0.2.1\n2026-11-22 16:05:01 wrong password\n"

    assert [len(line["failures"]) for line in lines(run(site, "-", regex, "--json", "-L", "2", text=log))] == [0, 1]


def test_a_filter_is_meant_before_a_jail_and_a_jail_can_be_named(site: Site) -> None:
    jails = site.config / "jail.conf"
    jails.write_text(jails.read_text().replace("filter = app", "filter = app\nfailregex = from <HOST> in the jail", 1))
    line = "2026-11-22 16:05:00 from 192.0.2.1 in the jail"

    assert lines(run(site, line, "app", "--json"))[0]["failures"] == []
    assert len(lines(run(site, line, "jail:app", "--json"))[0]["failures"]) == 1
    assert run(site, HIT, "other").stdout.startswith("jail other on ")


def test_a_filter_file_anywhere_can_be_tested(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = tmp_path / "mine.conf"
    mine.write_text("[Definition]\nfailregex = ^ <what> from <HOST>$\n[Init]\nwhat = none\n")
    monkeypatch.chdir(tmp_path)

    for name in (str(mine), "./mine.conf", "./mine", "mine.conf"):
        line = "2026-11-22 16:05:00 login from 192.0.2.1"
        assert len(lines(run(site, line, f"{name}[what=login]", "--json"))[0]["failures"]) == 1
        assert len(lines(run(site, line, name, "--json"))[0]["failures"]) == 0


def test_a_compressed_log_is_read(site: Site, tmp_path: Path) -> None:
    packed = tmp_path / "app.log.1.gz"
    packed.write_bytes(gzip.compress(LOG.encode()))

    assert len(lines(run(site, str(packed), "app", "--json"))) == 5


def test_a_damaged_log_is_told_behind_what_could_be_read(site: Site, tmp_path: Path) -> None:
    packed = tmp_path / "app.log.1.gz"
    packed.write_bytes(gzip.compress(LOG.encode())[:-9])

    result = run(site, str(packed), "app", "--json")

    assert result.exit_code == 1
    assert result.stderr.startswith(f"guardhooks: error: log file '{packed}' cannot be read to its end: ")


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        ((HIT, "ap"), 3, "'ap' is no filter and no jail in"),
        ((HIT, "ap"), 3, "did you mean 'app'"),
        ((HIT, "sshd[mode=agressive"), 3, "guardhooks: error: "),
        ((HIT, "./nope.conf"), 3, "there is no filter file './nope.conf'"),
        ((HIT, "jail:nope"), 3, "there is no jail 'nope'"),
        ((HIT, "^ no id here$"), 3, "guardhooks: error: "),
        ((HIT, "^ from (<HOST>$"), 3, "guardhooks: error: "),
        ((HIT, " "), 3, "FILTER is empty"),
        (("/var/log/nope.log", "app"), 3, "there is no log file '/var/log/nope.log'"),
        (("nope.log", "app"), 3, "there is no log file 'nope.log'"),
        (("nope", "app"), 3, "there is no log file 'nope'"),
        (("/var/log/my nope", "app"), 3, "there is no log file '/var/log/my nope'"),
        (("/etc", "app"), 3, "'/etc' is a folder"),
        ((HIT, "app", "--encoding", "klingon"), 3, "'klingon' is no encoding"),
        ((HIT, "app", "--now", "tomorrow"), 2, "'tomorrow' is not an ISO 8601 time"),
        ((HIT, "app", "--timezone", "Middle/Earth"), 3, "Middle/Earth"),
        ((HIT, "app", "--datepattern", "%Q%Q"), 3, "guardhooks: error: "),
        ((HIT, "app", "--maxlines", "0"), 2, "--maxlines"),
        ((HIT, "app", "--usedns", "maybe"), 2, "--usedns"),
        ((HIT,), 2, "missing argument 'FILTER'"),
        ((), 2, "missing argument 'LOG'"),
        ((HIT, "app", "a", "b"), 2, "got an unexpected argument (b)"),
        ((HIT, "app", "--json", "--explain"), 2, "--json and --explain cannot be combined"),
        ((HIT, "app", "--bans", "--print-missed"), 2, "--bans and --print-missed cannot be combined"),
        ((HIT, "app", "--json", "--all"), 2, "--json and --all cannot be combined"),
        ((HIT, "app", "--journal", "--timezone", "UTC"), 2, "--journal and --timezone cannot be combined"),
        ((HIT, "app", "--maxretry", "3"), 2, "--maxretry needs --bans"),
        (("systemd-journal[nope=1]", "app"), 3, "nope"),
    ],
)
def test_what_cannot_be_tested_is_one_clear_line(
    site: Site, arguments: tuple[str, ...], code: int, complaint: str
) -> None:
    result = run(site, *arguments)

    assert complaint in result.stderr
    assert result.stderr.startswith("guardhooks: error: ")
    assert result.exit_code == code
    assert len(result.stderr.splitlines()) == 1


def test_one_bad_regex_is_told_and_the_others_are_tested(site: Site) -> None:
    result = run(site, HIT, "^ login .* from (<HOST>$\n^ login .* from <HOST>$", "--json")

    assert "guardhooks: warning: " in result.stderr
    assert [f["failregex"] for f in json.loads(result.stdout)["failures"]] == [2]
    assert result.exit_code == 3


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # the machine may be busy
@given(st.lists(st.text("a\r\n\0", max_size=8).map(str.encode)))
def test_lines_stay_whole_however_they_come(blocks: list[bytes]) -> None:
    text = b"".join(blocks)
    came = list(whole_lines(iter(blocks)))

    assert b"".join(came) == (text + b"\n" if text and not text.endswith(b"\n") else text)
    assert all(block.endswith(b"\n") for block in came)


def test_a_line_without_end_takes_bounded_memory_and_keeps_its_head() -> None:
    blocks = [b"head", *[b"x" * 100_000] * 50, b"\nnext\n", b"y" * (LINE_LIMIT + 5) + b"\nlast\n"]

    long, after, other, last = b"".join(whole_lines(iter(blocks))).splitlines()

    assert long.startswith(b"headx")
    assert (len(long), after, len(other), last) == (LINE_LIMIT, b"next", LINE_LIMIT, b"last")


class Unknown:
    """Nothing is one of these."""


def test_lines_that_nothing_matches_are_told_of_alike_however_fast_they_are_passed_over(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log is longer than several blocks, its dates change their form, and sessions and undated lines are in it."""
    shapes = [
        f"2026-11-22 16:05:{{0:02}} nothing of interest {{1}} {'and so on ' * 12}",
        "Nov 22 16:05:{0:02} host app: nothing either {1}",
        "no date {1}",
        "2026-11-22 16:05:{0:02} login of u{1} failed from 192.0.2.{0}",
        "2026-11-22 16:05:{0:02} login of monitor failed from 192.0.2.2",
        " no such user from 192.0.2.{0}\r",
        "2026-13-45 16:05:{0:02} no such user from 192.0.2.9 \udcff",
    ]
    order = [0] * 40 + [1] * 30 + [0, 2, 3, 0, 4, 5, 6, 1, 1, 3]
    log = [shapes[order[n * 7 % len(order)]].format(n // 200 % 60, n) for n in range(4_000)]
    site.log.write_bytes("\n".join(log).encode("utf-8", "surrogateescape"))

    def told() -> list[str]:
        calls = [[], ["--json"], ["--print-matched"], ["--print-ignored"], ["--print-missed"], ["--all"], ["--journal"]]
        outputs = [run(site, str(site.log), "app", *call) for call in calls]
        assert [one.exit_code for one in outputs] == [0] * len(calls)
        return [re.sub(r"; [\d.]+ s, [\d,]+ lines/s", "", one.stdout) for one in outputs]

    fast = told()
    monkeypatch.setattr("guardhooks.cli.test.trial.SurveyingMatcher", Unknown)
    assert fast == told()
    assert "150 matched, 0 helped, 50 ignored, 3,800 missed" in fast[0]


def test_a_regex_that_no_prefilter_serves_is_named(site: Site) -> None:
    assert "! failregex 1 requires no word" in run(site, "x 1 192.0.2.1", r"^\w \d <HOST>$").stdout
    assert "requires no word" not in run(site, "x 1 192.0.2.1", r"^word \d <HOST>$").stdout
