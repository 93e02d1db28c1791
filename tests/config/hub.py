"""Which filter judges which file of the hub's samples, by the file's stem; the service's name in alphabetical order."""

from __future__ import annotations

from typing import Final

FILTERS: Final[dict[str, str]] = {
    "exim": "exim[mode=aggressive]",
    "exim-syslog": "exim[mode=aggressive]",
    "sshd": "sshd[mode=aggressive, pam=any]",
    "sshd-success": "sshd[mode=aggressive, pam=any]",
}
"""Filters in the strictest of their modes: a sample does not say how bad a bad line is."""

LEFT_OUT: Final[dict[tuple[str, str], str]] = {}
"""Lines that we judge otherwise, by stem and a part of the line, with the reason."""
