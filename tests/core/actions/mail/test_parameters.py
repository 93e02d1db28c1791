"""What may stand in the brackets and in `mail.…` of a jail, and what is said of what may not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from guardhooks import ConfigError, Jail
from guardhooks_core.actions.mail.addresses import parse_mailbox, parse_mailboxes
from guardhooks_core.actions.mail.parameters import Parameters, parse_parameters
from guardhooks_core.actions.mail.transport import Local, Sendmail, Smtp
from tests.core.actions.mail.kit import JAIL, mail

NAMES = {"fq-hostname": "host.example", "sh-hostname": "host"}


def parse(name: str = "sendmail", jail: Jail = JAIL, **options: str) -> Parameters:
    return parse_parameters(jail, mail(name, **options), NAMES)


def test_without_any_option():
    action = mail()
    found = parse_parameters(JAIL, replace(action, options={"name": "sshd"}), NAMES)
    assert found.dest == ("root",)
    assert (found.digest, found.limit, found.grepmax, found.at_least) == (30.0, 60, 1000, 1)
    assert (found.norestored, found.start_stop, found.unban) == (True, False, False)
    assert found.transport == Local()
    assert found.sender_name == "guardhooks"


def test_options_of_a_jail_apply_to_all_its_mail_actions():
    jail = replace(
        JAIL, options={"mail.digest": "5m", "mail.smtp": "mx.example", "mail.dest": "a@b.example", "port": "1"}
    )
    assert parse(jail=jail).transport == Smtp("mx.example", 25)
    assert parse(jail=jail).dest == ("a@b.example",)
    assert parse(jail=jail, digest="1").digest == 1.0
    given = replace(mail(), options={"dest": "c@d.example"})
    assert parse_parameters(jail, given, NAMES).dest == ("c@d.example",)
    assert parse_parameters(jail, given, NAMES).digest == 300.0


def test_tags_in_values():
    found = parse(sender="<name>@<fq-hostname>", dest="root@<sh-hostname>")
    assert (found.sender, found.dest) == ("sshd@host.example", ("root@host",))


@pytest.mark.parametrize(
    ("options", "transport"),
    [
        ({"smtp": "mx.example"}, Smtp("mx.example", 25)),
        ({"smtp": "[2001:db8::1]:26"}, Smtp("2001:db8::1", 26)),
        ({"smtp": "mx.example:465"}, Smtp("mx.example", 465, "yes")),
        ({"smtp": "mx.example:587", "tls": "no"}, Smtp("mx.example", 587, "no")),
        (
            {"smtp": "mx.example", "user": "me", "password_file": "/etc/secret"},
            Smtp("mx.example", 25, "starttls", "me", Path("/etc/secret")),
        ),
        ({"sendmail": "/opt/mta/sendmail"}, Sendmail(Path("/opt/mta/sendmail"))),
        ({"mailcmd": '/opt/mta/sendmail -f "<sender>" "<dest>"'}, Sendmail(Path("/opt/mta/sendmail"))),
        ({"mailcmd": '/usr/sbin/sendmail -f "<sender>" "<dest>"'}, Local()),
    ],
)
def test_transports(options: dict[str, str], transport: object):
    assert parse(**options).transport == transport


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"dest": "-oQ/tmp"}, "dest: '-oQ/tmp' is not a mail address"),
        ({"dest": ","}, "dest: 0 addresses are given"),
        ({"sender": "a b"}, "sender: 'a b' is not a mail address"),
        ({"sender": "<nothing>@x"}, "sender: '<nothing>@x' is not a mail address"),
        ({"smtp": "mx.example:99999"}, "smtp = 'mx.example:99999' is not a server"),
        ({"smtp": "-x y"}, "smtp = '-x y' is not a server"),
        ({"smtp": "mx", "user": "me"}, "user and password-file require each other"),
        (
            {"smtp": "mx", "tls": "no", "user": "me", "password_file": "/etc/secret"},
            "the password would be sent unencrypted",
        ),
        ({"smtp": "mx", "tls": "maybe"}, "tls = 'maybe' is not one of"),
        ({"sendmail": "sendmail"}, "sendmail = 'sendmail' is not the absolute path"),
        ({"digest": "soon"}, "digest = 'soon' is not a time"),
        ({"limit": "many"}, "limit = 'many' is not a whole number from 0 to 1000"),
        ({"grepmax": "all"}, "grepmax = 'all' is not a whole number"),
        ({"unban": "perhaps"}, "unban = 'perhaps' is neither true nor false"),
        ({"whois_server": "a b"}, "whois-server = 'a b' is not a server"),
    ],
)
def test_invalid_options_are_named(options: dict[str, str], says: str):
    with pytest.raises(ConfigError) as error:
        parse(**options)
    assert str(error.value).startswith(f"action sendmail: {says}")


def test_options_without_effect_are_named():
    jail = replace(JAIL, options={"mail.digset": "1", "mail.limit": "9", "mailman": "1"})
    found = parse(jail=jail, mailcmd="sendmail -t", dets="root", protocol="tcp", port="22", chain="INPUT")
    assert found.remarks == (
        "mailcmd has no effect here; native = no runs the file",
        "option 'dets' is unknown; did you mean dest?",
        "option 'mail.digset' is unknown; did you mean digest?",
    )


def test_content_follows_the_name_by_default():
    assert parse("sendmail-whois-lines").content.lines
    assert not parse("sendmail-whois-lines", log_lines="no").content.lines
    assert parse("mail", whois="yes", matches="yes").content.whois
    assert parse("mail-buffered").at_least == 5
    assert parse("mail-buffered", lines="7").at_least == 7


def test_the_jails_log_replaces_dev_null():
    jail = replace(JAIL, options={"logpath": "/var/log/auth.log"})
    assert parse(jail=jail, logpath="/dev/null").logpath == "/var/log/auth.log"
    assert parse(jail=jail, logpath="/var/log/other").logpath == "/var/log/other"


@pytest.mark.parametrize(
    "text", ["root", "a.b+c@example.org", "root@localhost", "x@[192.0.2.1]", "<a@b.example>", "ü@x"]
)
def test_addresses(text: str):
    if text.isascii():
        assert parse_mailbox(text) == text.strip("<>")
    else:
        with pytest.raises(ConfigError):
            parse_mailbox(text)


def test_a_domain_in_non_ascii_letters():
    assert parse_mailbox("root@bücher.example") == "root@xn--bcher-kva.example"


@pytest.mark.parametrize(
    "text",
    ["", "-f", "-f@x", "a b", "a@b@c", "a\nBcc: b@c", "a\r\n.", "a@b\x00", "a@-b", "|sh", "a;b@c\\", '"a b"@c', "a@b c",
     "a@b>c", "x" * 300, "a@" + "b" * 300, "\x1b[2J@x", "a@b..c", "(comment)a@b", "a,b"],
)  # fmt: skip
def test_invalid_addresses(text: str):
    with pytest.raises(ConfigError):
        parse_mailbox(text)


def test_several_addresses():
    assert parse_mailboxes("a@x.example, b@x.example root a@x.example") == ("a@x.example", "b@x.example", "root")
