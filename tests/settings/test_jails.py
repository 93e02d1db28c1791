"""From a jail section to a `Jail`: values, defaults, sources, and what one mistake costs (sections 1.8 to 1.12)."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest

from guardhooks import PERMANENT, ConfigError, Escalation, Jail, SourceSpec
from guardhooks.plugins import Plugins
from guardhooks.settings import Settings, load, load_filter, load_jail
from tests.settings.conftest import Write


def jail(settings: Settings, name: str = "j") -> Jail:
    return next(jail for jail in settings.jails if jail.name == name)


INCREMENT = """bantime.increment = 1
bantime.factor = 24*60
bantime.multipliers = 1 2 4
bantime.maxtime = 1d
bantime.rndtime = 5m
bantime.overalljails = yes
bantime.formula = ban.Time * 2"""


def local(text: str) -> dict[str, str]:
    return {"jail.local": f"[j]\n{text}\n"}


def test_defaults_are_upstreams(write: Write) -> None:
    found = jail(load(write({})))
    assert (found.maxretry, found.maxmatches, found.findtime, found.bantime) == (3, 5, 600, 600)
    assert (found.usedns, found.ignoreself, found.ignoreip, found.escalation) == ("warn", True, (), None)
    assert (found.logencoding, found.ipv4prefix, found.ipv6prefix, found.problems) == ("auto", 32, 64, ())


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("maxretry = 7", "maxretry", 7),
        ("findtime = 1h 30m", "findtime", 5400),
        ("bantime = -1", "bantime", PERMANENT),
        ("bantime = 1w", "bantime", 604800),
        ("usedns = RAW", "usedns", "raw"),
        ("ignoreself = No", "ignoreself", False),
        ("ignoreip = 1.2.3.4/8, ::1\n  file:/x host", "ignoreip", ("1.2.3.4/8", "::1", "file:/x", "host")),
        ("ignorecommand = /bin/x <ip>", "ignorecommand", "/bin/x <ip>"),
        ('ignorecache = key="<ip>", max-count=5', "ignorecache", {"key": "<ip>", "max-count": "5"}),
        ("logencoding = latin-1", "logencoding", "latin-1"),
        ("logtimezone = UTC+0200", "logtimezone", "UTC+0200"),
        ("ipv6prefix = 128", "ipv6prefix", 128),
        ("ipv4prefix = 24", "ipv4prefix", 24),
        ("plugins = -mail +x", "plugins", ("-mail", "+x")),
        ("bantime.increment = on", "escalation", Escalation()),
        (
            INCREMENT,
            "escalation",
            Escalation(1440, "ban.Time * 2", (1, 2, 4), 86400, 300, overalljails=True),
        ),
    ],
)
def test_option(write: Write, line: str, name: str, value: object) -> None:
    found = jail(load(write(local(line))))
    assert getattr(found, name) == value
    assert found.problems == ()


@pytest.mark.parametrize(
    ("line", "key", "says", "name", "value"),
    [
        ("maxretry = five", "maxretry", "'five' is not a whole number", "maxretry", 3),
        ("maxretry = 5m", "maxretry", "not a whole number", "maxretry", 3),
        ("findtime = 5mins", "findtime", "unknown unit 'mins'; did you mean 'min'?", "findtime", 600),
        ("findtime = 0", "findtime", "a time greater than 0; 10m is used instead", "findtime", 600),
        ("bantime = 0", "bantime", "bans of no length keep nobody out", "bantime", 0),
        ("bantime = %(nope)s", "bantime", "not set anywhere", "bantime", 600),
        ("usedns = wran", "usedns", "did you mean 'warn'", "usedns", "warn"),
        ("ignoreself = y", "ignoreself", "neither true nor false", "ignoreself", True),
        ("logencoding = utf-9", "logencoding", "not a text encoding", "logencoding", "auto"),
        ("ipv6prefix = 129", "ipv6prefix", "from 0 to 128", "ipv6prefix", 64),
        ("plugins = mail", "plugins", "-NAME", "plugins", ()),
        ("ignorecache = max-count=5", "ignorecache", "lacks its key", "ignorecache", {}),
        ("maxlines = many", "maxlines", "1 is used instead", "maxretry", 3),
        ("backend = sytemd", "backend", "did you mean 'systemd'", "maxretry", 3),
        ("maxretri = 4", "maxretri", "did you mean 'maxretry'", "maxretry", 3),
        ("enable = true", "enable", "did you mean 'enabled'", "maxretry", 3),
        ("frobnicate = 1", "frobnicate", "no such option", "maxretry", 3),
        ("maxretry = 4\nmaxretry = 5", "maxretry", "line 2 already", "maxretry", 5),
    ],
)
def test_a_wrong_value_degrades_its_jail(  # noqa: PLR0917 -- the table's columns
    write: Write, line: str, key: str, says: str, name: str, value: object
) -> None:
    directory = write(local(line))
    found = jail(load(directory))
    [problem] = found.problems
    assert (problem.file, problem.section, problem.key) == (f"{directory}/jail.local", "j", key)
    assert problem.line >= 2
    assert not problem.fatal
    assert says in problem.message
    assert getattr(found, name) == value


@pytest.mark.parametrize(
    ("line", "name", "value", "says"),
    [
        ("bantime = 1w # seven days", "bantime", 604800, "'1w # seven days' is taken as 1w"),
        ("findtime = 2628000 # one month", "findtime", 2628000, "is taken as 2628000; write comments"),
        ("maxretry = 0", "maxretry", 1, "'0' is taken as 1"),
        ("maxretry = -3", "maxretry", 1, "'-3' is taken as 1"),
        ("maxretry = 5 # five", "maxretry", 5, "write comments on lines of their own"),
        ("maxretry = 99999999", "maxretry", 1_000_000, "is taken as 1000000"),
        ("maxmatches = -1", "maxmatches", 1, "'-1' is taken as 1"),
        ("bantime = -5", "bantime", PERMANENT, "'-5' is taken as -1 (permanent)"),
        ("bantime = 0.5", "bantime", 1, "is taken as 1s, the shortest ban"),
        ("maxlines = 0", "filter.maxlines", 1, "'0' is taken as 1"),
        ("bantime.increment = 1\nbantime.maxtime = 0", "escalation.maxtime", PERMANENT, "is taken as no limit"),
        ("bantime.increment = 1\nbantime.maxtime = -1", "escalation.maxtime", PERMANENT, "is taken as no limit"),
        ("bantime.increment = 1\nbantime.maxtime = 5w # x", "escalation.maxtime", 3024000, "is taken as 5w"),
        ("bantime.increment = 1\nbantime.rndtime = -5", "escalation.rndtime", 0, "'-5' is taken as 0"),
        ("bantime.increment = 1\nbantime.factor = 0", "escalation.factor", 0, "bans do not grow by a factor of 0"),
        ("bantime.increment = 1\nbantime.factor = 2 # x", "escalation.factor", 2, "'2 # x' is taken as 2"),
        ("bantime.increment = 1\nbantime.multipliers = 1 5 # x", "escalation.multipliers", (1, 5), "is taken as 1 5"),
        (
            'ignorecache = key="<ip>", max-count=0, max-time=5m # x',
            "name",
            "j",
            "max-count: '0' is taken as 1; max-time:",
        ),
    ],
)
def test_a_value_out_of_range_or_with_a_comment_does_what_was_meant_with_a_remark(
    write: Write, line: str, name: str, value: object, says: str
) -> None:
    found = jail(load(write(local(f"filter = sshd\nlogpath = /x\n{line}"))))
    assert found.problems == ()
    [remark] = found.remarks
    assert says in remark.message.replace(": only a whole number from 1 to 1000000 is possible", "")
    assert (remark.remark, remark.line > 1) == (True, True)
    owner, _, field = name.rpartition(".")
    assert getattr(getattr(found, owner) if owner else found, field) == value


def test_a_remark_names_its_place_in_a_filter_and_in_the_brackets_of_an_action(write: Write) -> None:
    files = local(
        "filter = x\nlogpath = /x\naction = nftables[port=ssh, aggregateipv4=40]\n mail[digest=2d # two days]"
    )
    directory = write({**files, "filter.d/x.conf": "[Definition]\nfailregex = ^<HOST>\nmaxlines = 0\n"})
    found = jail(load(directory, Plugins.load().declared_options()))
    assert found.problems == ()
    assert sorted(str(remark).partition(": only a")[0] for remark in found.remarks) == [
        f"{directory}/filter.d/x.conf:3: [Definition] maxlines: '0' is taken as 1",
        f"{directory}/jail.local:4: [j] action: action mail: digest: '2d # two days' is taken as 1d",
        f"{directory}/jail.local:4: [j] action: action nftables: aggregateipv4: '40' is taken as 32",
    ]


@pytest.mark.parametrize(
    ("word", "remedy"),
    [
        ("10.1.1.0/33", "a prefix length is at most 32"),
        ("2001:db8::/129", "a prefix length is at most 128"),
        ("192.0.2.1/0", "it would mean everybody; write 192.0.2.1, or 0.0.0.0/0 if everybody is meant"),
        ("192.168.1.*", "write 192.168.1.0/24"),
        ("10.*.*.*", "write 10.0.0.0/8"),
        ("10.0.0.1-10.0.0.9", "write 10.0.0.1 10.0.0.2/31 10.0.0.4/30 10.0.0.8/31"),
        ("256.1.1.1", "it exempts nobody"),
    ],
)
def test_a_word_of_ignoreip_that_spares_nobody_is_an_error_at_its_line(write: Write, word: str, remedy: str) -> None:
    directory = write(
        {"jail.local": f"[j]\nenabled = true\nfilter = f\naction = a\nlogpath = /x\nignoreip = ::1 {word}\n"}
    )
    [found] = load(directory).jails
    [problem] = found.problems
    assert (problem.file, problem.line, problem.key) == (f"{directory}/jail.local", 6, "ignoreip")
    assert repr(word) in problem.message
    assert remedy in problem.message


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("filter = g", "no filter 'g'"),
        ("filter = f[a]", "expected option=value"),
        ("filter = f\n  f", "one filter only"),
        ("filter = %(nope)s", "not set anywhere"),
        ("failregex = 5% <HOST>", "must be followed by"),
        ("logpath = %(nope)s", "not set anywhere"),
        ("ignoreip = %(nope)s", "not set anywhere"),
        ("enabled = y", "neither true nor false"),
        ("enabled = %(nope)s", "not set anywhere"),
        ("filter = f[maxlines=many]", "is not a whole number"),
    ],
)
def test_what_a_jail_cannot_do_without_breaks_it_alone(write: Write, line: str, says: str) -> None:
    good = "[good]\nenabled = true\nfilter = f\naction = a\nlogpath = /x\n"
    directory = write({"jail.local": f"[j]\n{line}\n{good}"})
    settings = load(directory)
    assert [found.name for found in settings.jails] == ["good"]
    [problem] = settings.broken["j"]
    assert problem.fatal
    assert problem.line
    assert problem.file == f"{directory}/jail.local"
    assert says in problem.message
    if "enabled" not in line:
        with pytest.raises(ConfigError, match=r"jail\.local:"):
            load_jail(directory, "j")


def test_a_jail_that_is_off_is_only_looked_at_for_typing_errors(write: Write) -> None:
    off = "[j]\nenable = true\nenabled = false\nfilter = %(nope)s\n[k]\nport = 1\nmaxretry = x\n"
    settings = load(write({"jail.conf": off}))
    assert (settings.jails, settings.broken) == ((), {})
    assert [(problem.key, problem.line) for problem in settings.problems] == [("enable", 2)]


def test_a_bad_default_is_told_once(write: Write) -> None:
    settings = load(write({"jail.local": "[DEFAULT]\nenabled = yeah\nbantme = 1h\n[k]\n[l]\n"}))
    assert [problem.key for problem in settings.problems] == ["bantme", "enabled"]
    assert settings.broken == {}


def test_a_key_with_a_dot_is_left_to_plugins(write: Write) -> None:
    found = jail(load(write(local("geoip.countries = %(x)s\nx = CN"))))
    assert found.problems == ()
    assert found.options["geoip.countries"] == "CN"


@pytest.mark.parametrize(
    ("logpath", "sources"),
    [
        ("/var/log/x", [SourceSpec("/var/log/x")]),
        ("/var/log/x tail", [SourceSpec("/var/log/x", start="tail")]),
        ("/a HEAD\n  /b*.log\n  /a", [SourceSpec("/a"), SourceSpec("/b*.log")]),
        ("/var/log/my app.log", [SourceSpec("/var/log/my app.log")]),
        ("/var/log/my app.log tail", [SourceSpec("/var/log/my app.log", start="tail")]),
        ("tail", [SourceSpec("tail")]),
    ],
)
def test_logpath(write: Write, logpath: str, sources: list[SourceSpec]) -> None:
    assert list(jail(load(write(local(f"logpath = {logpath}")))).sources) == sources


def test_an_empty_logpath_is_told(write: Write) -> None:
    [problem] = jail(load(write(local("logpath =")))).problems
    assert "nothing to read" in problem.message


def test_systemd_reads_one_journal_with_all_its_matches(write: Write) -> None:
    lines = "backend = systemd[rotated=on]\njournalmatch = _A=1 + _B=2\n  _C=3"
    assert jail(load(write(local(lines)))).sources == (
        SourceSpec("_A=1 + _B=2\n_C=3", kind="journal", backend="systemd[rotated=on]"),
    )


def test_auto_takes_the_journal_only_where_no_file_is_there(write: Write) -> None:
    prefix = "[Definition]\nfailregex = ^<p_<logtype>><HOST>\np_file = F\np_journal = J\njournalmatch = _A=1\n"
    directory = write({"filter.d/f.conf": prefix})
    there = write(local(f"logpath = {directory}/gone\n  {directory}/here*"))
    for journal, present, kind, letter in (
        (True, False, "journal", "J"),
        (False, False, "file", "F"),
        (True, True, "file", "F"),
    ):
        if present:
            (there / "here.log").touch()
        found = jail(load(there, journal=journal))
        assert {source.kind for source in found.sources} == {kind}
        assert found.filter is not None
        assert found.filter.failregex == (f"^{letter}<HOST>",)
    (there / "here.log").unlink()
    write(local(f"logpath = {there}/gone\nsystemd_if_nologs = false"))
    assert jail(load(there, journal=True)).sources[0].kind == "file"


def test_auto_takes_the_journal_where_the_log_is_left_over_from_a_syslog_that_was_removed(
    write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    filter_text = "[Definition]\nfailregex = ^bad <HOST>\njournalmatch = _A=1\n"
    directory = write({"filter.d/f.conf": filter_text})
    log = directory / "auth.log"
    log.touch()
    os.utime(log, (1e9, 1e9))
    write(local(f"logpath = {log}"))

    def kind(days: float, newest: float | None) -> str:
        now = 1e9 + days * 86400
        found = load(directory, journal=True, newest_entry=lambda matches: newest, clock=lambda: now)
        return jail(found).sources[0].kind

    assert kind(40, 1e9 + 39 * 86400) == "journal"
    assert "was last written 39 days before the newest entry of the journal" in caplog.text
    assert kind(40, 1e9 + 3600) == "file"  # both are quiet
    assert kind(40, None) == "file"
    assert kind(0.5, 1e9 + 43200) == "file"


def test_a_jail_may_say_what_its_filter_says(write: Write) -> None:
    filter_ = "[Definition]\nfailregex = ^f <HOST>\nignoreregex = ^i\ndatepattern = ^%%Y\nusedns = no\n_own = 1\n"
    lines = (
        "failregex = %(known/failregex)s\n  ^j <HOST> %(known/_own)s\n"
        "ignoreregex =\ndatepattern = %(known/datepattern)s x"
    )
    found = jail(load(write({"filter.d/f.conf": filter_, **local(lines)})))
    assert found.filter is not None
    assert found.filter.failregex == ("^f <HOST>", "^j <HOST> 1")
    assert found.filter.ignoreregex == ()
    assert found.filter.datepattern == ("^%Y x",)
    assert found.usedns == "no"


@pytest.mark.parametrize(("filter_", "usedns"), [("f", "yes"), ("f[usedns=raw]", "raw")])
def test_usedns_of_the_brackets_wins_over_the_jail_and_that_over_the_filter(
    write: Write, filter_: str, usedns: str
) -> None:
    files = {"filter.d/f.conf": "[Definition]\nfailregex = <HOST>\nusedns = no\n"}
    assert jail(load(write({**files, **local(f"filter = {filter_}\nusedns = yes")}))).usedns == usedns


def test_a_list_in_brackets_stands_before_that_of_the_jail(write: Write) -> None:
    found = jail(load(write(local('filter = f[failregex="^b <HOST>"]\nfailregex = ^j <HOST>'))))
    assert found.filter is not None
    assert found.filter.failregex == ("^b <HOST>", "^j <HOST>")


def test_an_unknown_mode_is_told(write: Write) -> None:
    filter_ = "[Definition]\nfailregex = ^<HOST> <r-<mode>>\nr-normal = x\nmode = normal\n"
    directory = write({"filter.d/f.conf": filter_, **local("filter = f[mode=norml]")})
    [problem] = jail(load(directory)).problems
    assert "has no mode 'norml'" in str(problem)


def test_load_filter_takes_a_name_with_options_or_a_path(write: Write) -> None:
    text = "[INCLUDES]\nbefore = base.conf\n[Definition]\nfailregex = %(x)s <HOST> <logtype>\n"
    directory = write({"filter.d/base.conf": "[Definition]\nx = 1\n", "mine/own.conf": text})
    assert load_filter(directory, "f").failregex == ("^bad <HOST>$",)
    own = load_filter(directory, f"{directory}/mine/own.conf[x=2]", logtype="journal")
    assert (own.name, own.failregex) == ("own", ("2 <HOST> journal",))
    for wrong in ("gone", f"{directory}/gone.conf", "f[x", "f" * 300, "a\nb"):
        with pytest.raises(ConfigError):
            load_filter(directory, wrong)


def test_load_jail_finds_jails_that_are_off_and_names_the_nearest(write: Write) -> None:
    directory = write({"jail.conf": "[sshd]\nenabled = false\nfilter = f\naction =\n"})
    assert load_jail(directory, "sshd").filter is not None
    with pytest.raises(ConfigError, match="did you mean 'sshd'"):
        load_jail(directory, "shd")


def test_daemon_settings(write: Write) -> None:
    own = (
        "[Guardhooks]\nloglevel = notice\nsocket = /run/g.sock\nstate = /var/lib/g\nhistory_age = 2d\nreconcile = 1m\n"
    )
    settings = load(write({"guardhooks.conf": f"{own}[Plugins]\ndisable = mail, x\n", "fail2ban.conf": "[x\n"}))
    assert (settings.loglevel, settings.socket, settings.state) == ("NOTICE", Path("/run/g.sock"), Path("/var/lib/g"))
    assert (settings.history_age, settings.reconcile, settings.disabled_plugins) == (172800, 60, ("mail", "x"))
    assert settings.problems == ()


def test_daemon_settings_of_fail2ban(write: Write) -> None:
    text = "[DEFAULT]\nloglevel = HEAVYDEBUG\ndbpurgeage = 3d\ndbfile = None\n[Definition]\nlogtarget = SYSLOG\n"
    settings = load(write({"fail2ban.conf": text}))
    assert (settings.loglevel, settings.history_age, settings.problems) == ("DEBUG", 259200, ())


def test_wrong_daemon_settings_are_told(write: Write) -> None:
    text = "[Guardhooks]\nloglevel = LOUD\nsocet = /x\nsocket = x\n[Plugin]\ndisable = a\n"
    settings = load(write({"guardhooks.conf": text}))
    assert {problem.key for problem in settings.problems} == {"loglevel", "socet", "socket", "disable"}
    assert (settings.loglevel, settings.socket) == ("INFO", None)
    assert math.isfinite(settings.history_age)


def test_a_jail_for_bans_by_hand_needs_neither_filter_nor_log(write: Write) -> None:
    directory = write(
        {
            "jail.conf": "[DEFAULT]\nfilter = %(__name__)s\n",
            "jail.local": "[manual]\nenabled = true\nfilter =\nbantime = -1\naction = observe\n",
        }
    )
    (jail,) = load(directory).jails
    assert (jail.problems, jail.sources, jail.filter) == ((), (), None)


@pytest.mark.parametrize(("path", "says"), [("var/log/x.log", "relative path"), ("/var/log", "such as /var/log/*.log")])
def test_a_logpath_that_cannot_be_right_is_told_at_its_line(write: Write, path: str, says: str) -> None:
    directory = write({"jail.local": f"[j]\nenabled = true\nfilter = f\naction = a\nlogpath = {path}\n"})
    [found] = load(directory).jails
    [problem] = found.problems
    assert (problem.line, problem.key) == (5, "logpath")
    assert says in problem.message


def test_a_jail_may_say_itself_what_it_looks_for_without_a_filter(write: Write) -> None:
    directory = write(
        {
            "jail.local": "[j]\nenabled = true\nfilter =\naction = a\nlogpath = /x\n"
            "failregex = ^one <HOST>\n ^two <HOST>\n"
        }
    )
    [found] = load(directory).jails
    assert found.problems == ()
    assert found.filter is not None
    assert found.filter.failregex == ("^one <HOST>", "^two <HOST>")


def test_a_jail_with_neither_filter_nor_regex_says_so(write: Write) -> None:
    directory = write({"jail.local": "[j]\nenabled = true\nfilter =\naction = a\nlogpath = /x\nfailregex =\n"})
    [found] = load(directory).jails
    assert ["no filter is set" in problem.message for problem in found.problems] == [True]
