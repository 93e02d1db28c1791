"""Which programs and units tell that a jail is wanted.

Jails that are not named here are found by the unit in their filter's `journalmatch`, or by a log that only they read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

PROGRAMS: Final[Mapping[str, tuple[str, ...]]] = {
    "sshd": ("sshd",),
    "postfix": ("postfix",),
    "postfix-sasl": ("postfix",),
    "dovecot": ("dovecot",),
    "exim": ("exim4", "exim"),
    "sendmail-auth": ("sendmail-mta",),
    "courier-auth": ("authdaemond", "courierauthd"),
    "courier-smtp": ("courieresmtpd",),
    "cyrus-imap": ("cyrmaster",),
    "perdition": ("perdition",),
    "proftpd": ("proftpd",),
    "pure-ftpd": ("pure-ftpd",),
    "vsftpd": ("vsftpd",),
    "nginx-http-auth": ("nginx",),
    "apache-auth": ("apache2", "httpd"),
    "lighttpd-auth": ("lighttpd",),
    "haproxy": ("haproxy",),
    "traefik-auth": ("traefik",),
    "squid": ("squid",),
    "3proxy": ("3proxy",),
    "dante": ("danted", "sockd"),
    "tinyproxy": ("tinyproxy",),
    "mysqld-auth": ("mariadbd", "mysqld"),
    "postgresql": ("postgres",),
    "mongodb-auth": ("mongod",),
    "redis": ("redis-server", "valkey-server"),
    "slapd": ("slapd",),
    "dropbear": ("dropbear",),
    "asterisk": ("asterisk",),
    "freeswitch": ("freeswitch",),
    "ejabberd-auth": ("ejabberdctl",),
    "murmur": ("murmurd", "mumble-server"),
    "znc-adminlog": ("znc",),
    "monit": ("monit",),
    "nagios": ("nrpe",),
    "xrdp": ("xrdp-sesman",),
    "openvpn": ("openvpn",),
    "webmin-auth": ("miniserv.pl",),
    "proxmox": ("pveproxy", "pvedaemon"),
    "gitea": ("gitea",),
    "forgejo": ("forgejo",),
    "grafana": ("grafana-server", "grafana"),
    "vaultwarden": ("vaultwarden",),
    "cockpit": ("cockpit-ws",),
    "samba": ("smbd",),
    "rabbitmq": ("rabbitmq-server",),
    "stalwart": ("stalwart",),
}
"""Jail → names of the programs, processes or units that it watches."""

AT_CHOICE: Final = frozenset(
    {
        "charon",
        "named-refused",
        "nginx-mail",
        "nsd",
        "pam-generic",
        "portscan",
        "recidive",
        "routeros-auth",
        "scanlogd",
        "selinux-ssh",
        "sendmail-reject",
        "wireguard",
        "xinetd-fail",
    }
)
"""Jails that `init` never proposes: they count what others count already, or an address that can be forged, or
rarely what their log is kept for."""
