"""A line is recognised in every form in which it may reach us: by syslog, as container output, over IPv6."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

import pytest

from tests.config.corpora import CONFIG, HERE, Case, cases, failures, in_new_process, matcher, shipped

PROCESSES: Final = itertools.count(500_000)
IPV6: Final = "2001:db8:7::5"

_BSD: Final = re.compile(r"^[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d (\S+) (?=[\w.\-/()]+(?:\[\d+\])?:? )")
_HEADED: Final = re.compile(
    r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d (?!\d{4}\b)"
    r"|[\w.\-]+ +\| |\S{19,35} (?:\S+ )?[\w\-()]+(?:\[\d+\])?: (?!\S+ \()|\d+\S+ std(?:out|err) "
)
_APPLICATION: Final = re.compile(r"%\(__(?:app|json|lf|requests)\)s")


def _syslog(head: str) -> Callable[[Case], Case | None]:
    """The line of a syslog daemon with another head."""

    def form(case: Case) -> Case | None:
        if not _BSD.match(case.lines[-1]):
            return None
        return replace(case, lines=tuple(_BSD.sub(head, line) for line in case.lines))

    return form


def _behind(head: str) -> Callable[[Case], Case | None]:
    """The line of an application, behind what syslog or a container's log puts in front."""

    def form(case: Case) -> Case | None:
        name = case.place.split(":")[0]
        if not _reads_applications(name) or _HEADED.match(case.lines[-1]):
            return None
        return replace(case, lines=tuple(head + line for line in case.lines))

    return form


def _reads_applications(name: str) -> bool:
    return bool(_APPLICATION.search((CONFIG / "filter.d" / f"{name}.conf").read_text(encoding="utf-8")))


def _over_ipv6(case: Case) -> Case | None:
    """The offender with an address of IPv6, in brackets where a port follows."""
    if not re.fullmatch(r"\d+\.\d+\.\d+\.\d+", case.address):
        return None
    alone = rf"(?<![\w.:\[]){re.escape(case.address)}(?![\w.]|:\d)|(?<=\[){re.escape(case.address)}(?![\w.]|:\d)"
    lines = (re.sub(alone, IPV6, line) for line in case.lines)
    with_port = rf"(?<![\w.:\[]){re.escape(case.address)}(?=:\d)"
    return replace(case, address=IPV6, lines=tuple(re.sub(with_port, f"[{IPV6}]", line) for line in lines))


NOT_ON_BUSYBOX: Final = frozenset({"dovecot", "mikrotik", "qnap", "recidive", "routeros-auth", "synology"})
"""Devices with a syslog format of their own, and lines without the name of a daemon."""

FORMS: Final[dict[str, Callable[[Case], Case | None]]] = {
    "rsyslog": _syslog(r"2026-11-22T15:40:15.123456+01:00 \1 "),
    "busybox": _syslog(r"Nov 22 15:40:15 \1 auth.info "),
    "container in syslog": _behind("Nov 22 15:40:15 host 0123456789ab[77]: "),
    "docker compose": _behind("app-1  | "),
    "kubernetes": _behind("2026-11-22T15:40:15.123456789Z stdout F "),
    "IPv6": _over_ipv6,
}


def _in_other_forms(name: str) -> Iterator[tuple[str, Case]]:
    for case in filter(lambda each: each.address, cases(HERE / "corpus" / f"{name}.txt")):
        for form, change in FORMS.items():
            changed = None if form == "busybox" and name in NOT_ON_BUSYBOX else change(case)
            if changed is not None and changed.lines != case.lines:
                yield form, changed


@pytest.mark.parametrize("name", shipped())
def test_a_filter_recognises_its_lines_in_every_form(name: str) -> None:
    missed = []
    for form, case in _in_other_forms(name):
        judge = matcher(name, case.options)
        lines = in_new_process(name, case.lines, next(PROCESSES))
        failures(judge, lines[:-1])
        if [failure.id for failure in failures(judge, lines[-1:])] != [case.address]:
            missed.append((form, lines[-1]))
    assert not missed


def test_every_form_is_tried() -> None:
    tried = {form for name in shipped() for form, _ in _in_other_forms(name)}
    assert tried == set(FORMS)
