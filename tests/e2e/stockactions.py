"""Two hosts that run the same action files: one under Debian's fail2ban, one under guardhooks; and what is left behind.

Each stock file gets a jail of its own, its own addresses, and its own names of chains, sets and files, so that the
traces of one can be told from those of the others.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.e2e.range import Host, end, environment
from tests.kit.waiting import wait_for

FAIL2BAN: Final = Path("/etc/fail2ban")
_FAKES: Final = (
    "apf", "curl", "firewall-cmd", "geoiplookup", "ipfw", "mail", "nsupdate", "sendmail", "shorewall", "shorewall6",
    "ufw", "whois",
)  # fmt: skip
_FAKE: Final = """#!/bin/sh
call=$(mktemp "$TRACES/call.XXXXXXXX")
{ printf '%s' "${0##*/}"; printf ' <%s>' "$@"; echo; cat; } > "$call.part" && mv "$call.part" "$call"
"""
_VOLATILE: Final = (
    (re.compile(r"\[\d+:\d+\]|counter packets \d+ bytes \d+"), "#"),  # counters
    (re.compile(r" (?:initval|bucketsize) \S+"), ""),
    (re.compile(r"^(add .* timeout) \d+$", re.MULTILINE), r"\1 #"),
    (re.compile(r"^Date: .*$", re.MULTILINE), "Date: #"),
    (re.compile(r"^\w{3} .* UTC \d{4}(?=: )|\w{3} \w{3} +\d+ [\d:]+ \w+ \d{4}", re.MULTILINE), "#"),
    (re.compile(r"\b1[78]\d{8}\b"), "#time"),
)


@dataclass(frozen=True, slots=True)
class Stock:
    """One stock file: its jail's number, the brackets it gets, and whether it is asked to ban IPv6 addresses too."""

    file: str
    number: int
    options: str = ""
    ipv6: bool = True

    @property
    def jail(self) -> str:
        return f"stock{self.number:02}"

    @property
    def addresses(self) -> list[str]:
        """Three IPv4 addresses and one of IPv6."""
        four = [f"10.77.{self.number}.{last}" for last in (7, 3, 200)]
        return [*four, f"2001:db8:77:{self.number:x}::5"] if self.ipv6 else four

    def section(self, traces: Path) -> str:
        options = self.options.replace("TRACES", str(traces)).replace("JAIL", self.jail)
        return (
            f"[{self.jail}]\nenabled = true\nfilter = never\nlogpath = {traces.parent}/empty.log\n"
            f"action = {self.file}[native=no{', ' if options else ''}{options}]\n"
        )


def configure(folder: Path, traces: Path, stock: list[Stock]) -> None:
    """A copy of the stock configuration with one jail for each file."""
    shutil.copytree(FAIL2BAN, folder, symlinks=True)
    traces.mkdir()
    (traces.parent / "empty.log").touch()
    (folder / "filter.d" / "never.conf").write_text("[Definition]\nfailregex = ^never <ADDR>$\n")
    (folder / "jail.d").mkdir(exist_ok=True)
    for each in (folder / "jail.d").iterdir():
        each.unlink()
    default = "[DEFAULT]\nbackend = polling\nbantime = 1h\nignoreself = false\nusedns = no\n[sshd]\nenabled = false\n"
    (folder / "jail.local").write_text(default + "".join(each.section(traces) for each in stock))
    # The fakes answer nothing, so an `actioncheck` that asks them must not come between.
    (folder / "guardhooks.conf").write_text("[Guardhooks]\nreconcile = 1h\n")
    (folder / "fail2ban.local").write_text("[Definition]\ndbfile = None\nloglevel = INFO\n")


class Side(Host):
    """A namespace whose programs find the recording fakes first, and write to a folder of traces."""

    def __init__(self, name: str, folder: Path) -> None:
        super().__init__(name)
        self.folder = folder
        self.traces = folder / "traces"
        self.run("ip", "link", "set", "lo", "up")
        fakes = folder / "bin"
        fakes.mkdir(parents=True)
        for fake in _FAKES:
            (fakes / fake).write_text(_FAKE)
            (fakes / fake).chmod(0o755)

    def command(self, *argv: str | Path) -> list[str]:
        path = f"PATH={self.folder / 'bin'}:{environment()['PATH']}"
        return ["ip", "netns", "exec", self.name, "env", path, f"TRACES={self.folder / 'traces'}", *map(str, argv)]

    def settled(self, stock: list[Stock]) -> dict[str, str]:
        """The same look twice, with a pause that every command here is shorter than."""
        last: dict[str, str] = {}

        def is_still() -> bool:
            nonlocal last
            time.sleep(0.7)  # what has not begun by then has no way to tell us
            before, last = last, self.look(stock)
            return last == before

        wait_for(is_still, "all commands are through", 60)
        return last

    def look(self, stock: list[Stock]) -> dict[str, str]:
        """What there is to see of each stock file, as text that two hosts can be compared by."""
        whole = {family: self.run(f"{family}-save").stdout for family in ("iptables", "ip6tables")}
        sets = self.run("ipset", "save").stdout
        routes = self.run("ip", "route").stdout + self.run("ip", "-6", "route").stdout
        tables = self.run("nft", "list", "tables").stdout
        seen: dict[str, str] = {}
        for each in stock:
            name = f"f2b-{each.jail}"
            parts = [_lines_with(text, name) for text in whole.values()]
            parts.append("\n".join(sorted(_lines_with(sets, name).splitlines())))
            if name in tables:
                parts.append(_sorted_elements(self.run("nft", "list", "table", "inet", name).stdout))
            parts.append("\n".join(line for line in routes.splitlines() if any(a in line for a in each.addresses)))
            parts += self._traces(each)
            seen[each.file] = self._steady("\n".join(part for part in parts if part))
        return seen

    def _traces(self, stock: Stock) -> list[str]:
        marks = (stock.jail, f"10.77.{stock.number}.", f"2001:db8:77:{stock.number:x}:")
        files = [path for path in self.traces.iterdir() if path.name.startswith(f"{stock.jail}.")]
        texts = [f"{path.name}: {path.read_text()}" for path in sorted(files)]
        calls = sorted(self.traces.glob("call.????????"), key=lambda path: path.stat().st_mtime_ns)
        return texts + [text for path in calls if any(mark in (text := path.read_text()) for mark in marks)]

    def _steady(self, text: str) -> str:
        for pattern, replacement in _VOLATILE:
            text = pattern.sub(replacement, text)
        return text.replace(str(self.folder), "FOLDER")


def _lines_with(text: str, name: str) -> str:
    return "\n".join(line for line in text.splitlines() if re.search(rf"\b{name}(?!\d)|\b{name}6\b", line))


def _sorted_elements(text: str) -> str:
    def ordered(match: re.Match[str]) -> str:
        return "elements = { " + ", ".join(sorted(match[1].replace(",", " ").split())) + " }"

    return re.sub(r"elements = \{([^}]*)\}", ordered, text)


class Fail2ban:
    """Debian's daemon on a host."""

    def __init__(self, host: Side, config: Path) -> None:
        self._host = host
        self.log = host.folder / "fail2ban.log"
        place = ["-c", config, "-s", host.folder / "f2b.sock", "-p", host.folder / "f2b.pid"]
        self._client = ["fail2ban-client", *place]
        self._process = subprocess.Popen(
            host.command("fail2ban-server", "-f", *place, "--logtarget", self.log, "start"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env=environment(),
        )

    def wait_until_ready(self, jails: int) -> None:
        """Until all jails run."""
        wait_for(lambda: self._said("' started") >= jails, "fail2ban starts its jails", 60)

    def _said(self, text: str) -> int:
        return self.log.read_text().count(text) if self.log.exists() else 0

    def do(self, verb: str, stock: list[Stock], pick: slice) -> None:
        """Ban or unban the picked addresses of all jails, in order, and wait until the commands are through."""
        word = {"banip": "] Ban ", "unbanip": "] Unban "}[verb]
        before = self._said(word)
        wanted = [(each.jail, address) for each in stock for address in each.addresses[pick]]
        lines = "".join(f"set {jail} {verb} {address}\n" for jail, address in wanted)
        subprocess.run(
            self._host.command(*self._client, "-i"),
            input=lines, text=True, capture_output=True, check=False, timeout=60, env=environment(),
        )  # fmt: skip
        wait_for(lambda: self._said(word) >= before + len(wanted), f"fail2ban does {len(wanted)} {verb}", 60)

    def stop(self) -> None:
        """As the service manager does: every ban is lifted."""
        end(self._process, 60)
