"""Mail servers."""

from __future__ import annotations

from typing import Final

from tests.e2e.servers.model import CURL, TALK, Server, url

_DOVECOT: Final = """\
protocols = imap
listen = *
ssl = no
disable_plaintext_auth = no
mail_location = maildir:/tmp/srv/mail/%u
passdb {
    driver = static
    args = password=good
}
userdb {
    driver = static
    args = uid=mail gid=mail home=/tmp/srv
}
"""
_EXIM: Final = r"""
primary_hostname = mx.example.org
log_file_path = /var/log/exim4/%slog
tls_advertise_hosts =
daemon_smtp_ports = 25
auth_advertise_hosts = *
begin authenticators
plain:
    driver = plaintext
    public_name = PLAIN
    server_prompts = :
    server_condition = false
    server_set_id = $auth2
"""
_SMTP_LOGIN: Final = (*TALK, "25", "", r"EHLO pc\r\n", r"AUTH PLAIN AGV2ZQBiYWQ=\r\n", r"QUIT\r\n")

MAIL: Final = (
    Server(
        jail="dovecot",
        program="dovecot",
        port=143,
        attempts=((*CURL, "--user", "bob:bad", url("imap")),),
        files={"dovecot.conf": _DOVECOT},
        prepare="mkdir -p /run/dovecot",
        command="dovecot -F -c $PWD/dovecot.conf",
    ),
    Server(
        jail="perdition",
        program="perdition.imap4",
        port=143,
        attempts=((*TALK, "143", "", r"a login bob bad\r\n", r"b logout\r\n"),),
        command="perdition.imap4 --no_daemon --outgoing_server 127.0.0.1 --no_bind_banner --connect_relog 0 "
        "--timeout 5 --log_facility mail --ssl_mode none",
    ),
    Server(
        jail="exim",
        program="exim4",
        port=25,
        attempts=(_SMTP_LOGIN,),
        files={"exim.conf": _EXIM},
        prepare="id Debian-exim >/dev/null 2>&1 || useradd --system --user-group Debian-exim\n"
        "mkdir -p /var/log/exim4 /var/spool/exim4; chown Debian-exim: /var/log/exim4 /var/spool/exim4; "
        "chmod 644 exim.conf",
        command="exim4 -C $PWD/exim.conf -bdf",
    ),
    Server(
        jail="postfix-sasl",
        program="postfix",
        port=25,
        attempts=(_SMTP_LOGIN,),
        prepare=r"""
for user in postfix postdrop; do id $user >/dev/null 2>&1 || useradd --system --user-group $user; done
mkdir -p /etc/postfix /var/spool/postfix /var/lib/postfix /run/dovecot
chown postfix: /var/lib/postfix
cp -n /usr/share/postfix/master.cf.dist /etc/postfix/master.cf
sed -i 's/^\(smtp  *inet  *n  *-  *\)[yn-]/\1n/' /etc/postfix/master.cf
cat >/etc/postfix/main.cf <<'END'
compatibility_level = 3.6
myhostname = mx.example.org
mydestination = example.org
inet_interfaces = all
inet_protocols = ipv4
alias_maps =
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = /run/dovecot/postfix
smtpd_delay_reject = yes
smtpd_sasl_security_options = noanonymous
END
cat >dovecot.conf <<'END'
protocols = imap
listen = 127.0.0.1
ssl = no
passdb {
    driver = static
    args = password=good
}
service auth {
    unix_listener /run/dovecot/postfix {
        mode = 0666
    }
}
END
dovecot -c $PWD/dovecot.conf
""",
        command="postfix start-fg",
    ),
)
