"""The real `guardhooks run` as a process on the range's server."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from tests.e2e.here import Here
from tests.e2e.range import Host, end, environment


class Daemon:
    """`guardhooks run -c DIR --state DIR` on a host; returns from its construction when the daemon is ready."""

    def __init__(self, host: Host | Here, config: Path, state: Path, *options: str, patience: float = 30.0) -> None:
        self.host, self.config, self.state = host, config, state
        self._lines: list[str] = []
        self._news = threading.Condition()
        self._over = False
        self._process = subprocess.Popen(
            host.command(sys.executable, "-m", "guardhooks", "run", *self._place(), *options),
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self.wait_for_log(" ready: ", patience)
        except BaseException:
            self.kill()
            raise

    def _place(self) -> list[str]:
        return ["-c", str(self.config), "--state", str(self.state)]

    def _read(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as stream:
            for line in stream:
                with self._news:
                    self._lines.append(line)
                    self._news.notify_all()
        with self._news:
            self._over = True
            self._news.notify_all()

    @property
    def log(self) -> str:
        """What it has written to stderr so far."""
        with self._news:
            return "".join(self._lines)

    def wait_for_log(self, text: str, timeout: float = 20.0) -> None:
        """Wait until a line with `text` is logged; fail if the daemon ends before, or takes longer than `timeout`."""
        with self._news:
            found = self._news.wait_for(lambda: self._over or self._said(text), timeout)
            assert self._said(text), f"no {text!r} in the log; {'still' if not found else 'not'} running\n" + "".join(
                self._lines
            )

    def _said(self, text: str) -> bool:
        return any(text in line for line in self._lines)

    def command(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """A client command, such as `unban`, to its end."""
        return self.host.run(sys.executable, "-m", "guardhooks", *words, *self._place(), check=check)

    def ask(self, *words: str) -> Any:  # noqa: ANN401 -- whatever the command prints
        """The JSON that a client command prints."""
        return json.loads(self.command(*words, "--json").stdout)

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        """Its process id; `ip netns exec` becomes the daemon."""
        return self._process.pid

    def wait(self, timeout: float = 20.0) -> int:
        """Wait until it has ended by itself; its exit status."""
        status = self._process.wait(timeout)
        self._reader.join(5)
        return status

    def stop(self) -> int:
        """SIGTERM, as the service manager does; its exit status."""
        status = end(self._process)
        self._reader.join(5)
        return status

    def kill(self) -> None:
        """SIGKILL: no chance to write anything down."""
        self._process.kill()
        self._process.wait()
        self._reader.join(5)
