"""`guardhooks check` and `guardhooks config show`, as a user runs them."""

from __future__ import annotations

import json

from tests.cli.running import Site


def test_a_clean_configuration_exits_with_0(site: Site) -> None:
    (site.config / "jail.local").write_text("[other]\nenabled = false\n")
    done = site.guardhooks("check")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == "nothing is wrong with 1 jail"


def test_findings_exit_with_6_and_say_where_what_why_and_the_remedy(site: Site) -> None:
    (site.config / "jail.local").write_text("[other]\nenabled = false\n[app]\nmaxretri = 3\n")
    done = site.guardhooks("check")
    assert done.returncode == 6
    assert done.stdout.splitlines() == [
        f"warning: {site.config}/jail.local:4: jail app",
        "  maxretri: no such option",
        "  so: the jail runs without this",
        "  remedy: write 'maxretry'",
        "",
        "1 warning",
    ]


def test_one_cause_for_every_jail_is_told_of_all_of_them(site: Site) -> None:
    site.log.unlink()
    assert "no log file" in (done := site.guardhooks("check")).stdout
    assert done.stdout.count("no log file") == 1
    assert "both jails" in done.stdout


def test_no_enabled_jail_exits_with_3(site: Site) -> None:
    (site.config / "jail.local").write_text("[app]\nenabled = false\n[other]\nenabled = false\n")
    done = site.guardhooks("check")
    assert done.returncode == 3
    assert "no jail is enabled" in done.stdout
    (site.config / "jail.conf").unlink()
    (site.config / "jail.local").unlink()
    assert site.guardhooks("check").returncode == 3


def test_an_unknown_jail_is_an_error_with_the_nearest_name(site: Site) -> None:
    done = site.guardhooks("check", "appp")
    assert done.returncode == 3
    assert "did you mean 'app'?" in done.stderr


def test_the_json_says_the_same(site: Site) -> None:
    (site.config / "jail.local").write_text("[other]\nenabled = false\n[app]\nmaxretri = 3\n")
    report = json.loads(site.guardhooks("check", "--json").stdout)
    [finding] = report["findings"]
    assert (finding["severity"], finding["line"], finding["nearest"], finding["jails"]) == (
        "warning", 4, "maxretry", ["app"],
    )  # fmt: skip
    assert (report["clean"], report["can_run"]) == (False, True)


def test_a_file_changed_since_the_running_daemon_read_it_is_noted_until_the_reload(site: Site) -> None:
    (site.config / "jail.local").write_text("[other]\nenabled = false\n")
    with site.running():
        assert "was changed after" not in site.guardhooks("check").stdout
        (site.config / "jail.local").write_text("[other]\nenabled = false\n[app]\nmaxretry = 3\n")
        done = site.guardhooks("check")
        assert f"note: {site.config}/jail.local\n  it was changed after" in done.stdout
        assert done.returncode == 0
        assert site.guardhooks("reload").returncode == 0
        assert "was changed after" not in site.guardhooks("check").stdout


def test_config_show_prints_each_value_and_where_it_was_written(site: Site) -> None:
    (site.config / "jail.local").write_text("[app]\nmaxretry = 7\n")
    lines = site.guardhooks("config", "show", "app", "--origin").stdout.splitlines()
    assert lines[0] == "[app]"
    assert f"maxretry = 7  # {site.config}/jail.local:2" in lines
    assert f"bantime = 10m  # {site.config}/jail.conf:2" in lines
    assert "ignoreself = true  # default" in lines
    assert any(line.endswith(f"# {site.config}/filter.d/app.conf:2") for line in lines if line.startswith("failregex"))
    assert "maxretry = 7" in site.guardhooks("config", "show", "app").stdout.splitlines()


def test_config_show_prints_the_daemon_and_all_jails(site: Site) -> None:
    (site.config / "guardhooks.conf").write_text("[Guardhooks]\nreconcile = 1m\n")
    data = json.loads(site.guardhooks("config", "show", "--json").stdout)
    assert list(data) == ["Guardhooks", "Log", "Fail2ban", "Plugins", "app", "other"]
    assert data["Guardhooks"]["reconcile"] == {"value": "1m", "file": f"{site.config}/guardhooks.conf", "line": 2}
    assert data["app"]["findtime"]["file"] == f"{site.config}/jail.conf"
    assert site.guardhooks("config", "show", "appp").returncode == 3


def test_config_show_takes_what_fail2ban_conf_says_of_the_daemon(site: Site) -> None:
    (site.config / "fail2ban.conf").write_text("[Definition]\ndbpurgeage = 2d\n")
    data = json.loads(site.guardhooks("config", "show", "--json").stdout)
    assert data["Guardhooks"]["history_age"] == {"value": "2d", "file": f"{site.config}/fail2ban.conf", "line": 2}
