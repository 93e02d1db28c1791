"""What plugins find: each is asked about each jail."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from guardhooks.check.site import Site
from guardhooks.model import ConfigFinding


def findings_of_plugins(site: Site) -> Iterator[ConfigFinding]:
    """The answers to `check_jail`; a finding that names no jail is about the jail that was asked about."""
    for jail in site.jails.values():
        for finding in site.plugins.check_jail(jail, site.jails):
            yield replace(finding, jails=finding.jails or (jail.name,))
