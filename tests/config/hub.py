"""Which filter judges which file of the hub's samples, by the file's stem; the service's name in alphabetical order."""

from __future__ import annotations

from typing import Final

FILTERS: Final[dict[str, str]] = {
    "apache-guacamole": "guacamole",
    "bind9": "named-refused",
    "bitwarden": "bitwarden",
    "dropbear": "dropbear[mode=aggressive]",
    "exim": "exim[mode=aggressive]",
    "exim-syslog": "exim[mode=aggressive]",
    "gitlab": "gitlab",
    "grafana": "grafana",
    "haproxy": "haproxy-http-auth[mode=aggressive]",
    "mariadb": "mysqld-auth",
    "mongodb": "mongodb-auth",
    "mysql": "mysqld-auth",
    "proftpd": "proftpd",
    "pureftpd": "pure-ftpd",
    "sshd": "sshd[mode=aggressive, pam=any]",
    "sshd-success": "sshd[mode=aggressive, pam=any]",
    "vsftpd": "vsftpd",
    "webmin": "webmin-auth",
    "zoneminder": "zoneminder",
}
"""Filters in the strictest of their modes: a sample does not say how bad a bad line is."""

LEFT_OUT: Final[dict[tuple[str, str], str]] = {}
"""Lines that we judge otherwise, by stem and a part of the line, with the reason."""
