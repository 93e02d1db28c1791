"""The transports of a message: an SMTP server, or the local `sendmail` as a process without a shell.

Both block, and are called in a thread of their own.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import smtplib
import ssl
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, Protocol

from guardhooks import ActionError, safe_text
from guardhooks_core.actions.mail.addresses import qualified
from guardhooks_core.actions.mail.deadline import Deadline, WatchedSmtp, WatchedSmtps

logger = logging.getLogger("guardhooks.mail")

SENDMAILS: Final = (Path("/usr/sbin/sendmail"), Path("/usr/lib/sendmail"), Path("/usr/local/sbin/sendmail"))
_SMTP_TIMEOUT: Final = 20.0
"""Seconds of one wait for a server."""
_SMTP_DEADLINE: Final = 60.0
"""Seconds of a delivery as a whole."""
_PROBE_DEADLINE: Final = 6.0
"""Seconds of a probe as a whole: an administrator waits for it."""
_SENDMAIL_TIMEOUT: Final = 60.0
_QUOTED: Final = 500
"""Bytes of sendmail's output, and characters of a server's reply, that are reported."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message as bytes with CRLF, its sender and its recipients. `host` is this machine's name."""

    sender: str
    recipients: Sequence[str]
    message: bytes
    host: str


class Transport(Protocol):
    """Accepts messages, or says why not. `status` shows its `str()`."""

    def send(self, envelope: Envelope) -> None:
        """:raises ActionError: if the message was not accepted."""
        ...

    def probe(self) -> None:
        """Check whether a message could be sent, without sending one.

        :raises ActionError: saying why not.
        """
        ...


@dataclass(frozen=True, slots=True)
class Smtp:
    """An SMTP server. `tls` is `no`, `starttls` or `yes` (from the first byte on); certificates are verified.

    `deadline` is how many seconds a delivery may take as a whole.
    """

    host: str
    port: int
    tls: str = "no"
    user: str = ""
    password_file: Path | None = None
    deadline: float = _SMTP_DEADLINE

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"smtp {host}:{self.port}"

    def send(self, envelope: Envelope) -> None:
        """See `Transport`. Refused recipients are logged; the message fails only if all are refused."""
        sender = qualified(envelope.sender, envelope.host)
        recipients = [qualified(each, envelope.host) for each in envelope.recipients]
        with self._session(envelope.host, self.deadline) as server:
            refused = server.sendmail(sender, recipients, envelope.message)
            for who, why in refused.items():
                logger.error("%s refuses mail for %s: %s", self, who, _answer(*why))

    def probe(self) -> None:
        """See `Transport`. Connects and logs in."""
        with self._session("localhost", min(self.deadline, _PROBE_DEADLINE)) as server:
            server.noop()

    @contextlib.contextmanager
    def _session(self, own_name: str, seconds: float) -> Iterator[smtplib.SMTP]:
        deadline = Deadline(seconds)
        try:
            with self._explained(), deadline, self._connection(own_name, deadline) as server:
                yield server
        except ActionError as error:
            if not deadline.is_over:
                raise
            raise ActionError(f"{self}: the session took longer than {seconds:g} s and was cut") from error

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except smtplib.SMTPRecipientsRefused as error:
            refused = "; ".join(f"{who}: {_answer(*why)}" for who, why in list(error.recipients.items())[:3])
            raise ActionError(f"{self} refuses all recipients: {refused}") from error
        except smtplib.SMTPResponseException as error:
            raise ActionError(f"{self} refuses: {_answer(error.smtp_code, error.smtp_error)}") from error
        except (smtplib.SMTPException, OSError, ValueError) as error:
            raise ActionError(f"{self}: {safe_text(str(error) or type(error).__name__, _QUOTED)}") from error

    @contextlib.contextmanager
    def _connection(self, own_name: str, deadline: Deadline) -> Iterator[smtplib.SMTP]:
        server = self._connected(own_name, deadline)
        try:
            yield server
            with contextlib.suppress(
                smtplib.SMTPException, OSError
            ):  # The message is accepted; errors while closing do not matter.
                server.quit()
        finally:
            server.close()

    def _connected(self, own_name: str, deadline: Deadline) -> smtplib.SMTP:
        context = ssl.create_default_context() if self.tls != "no" else None
        options: dict[str, Any] = {"host": self.host, "port": self.port, "local_hostname": own_name}
        options["timeout"] = min(_SMTP_TIMEOUT, deadline.seconds)
        server: smtplib.SMTP
        if self.tls == "yes":
            server = WatchedSmtps(deadline, context=context, **options)
        else:
            server = WatchedSmtp(deadline, **options)
        try:
            if self.tls == "starttls":
                server.starttls(context=context)
            if self.user:
                server.login(self.user, self._password())
        except BaseException:
            server.close()
            raise
        return server

    def _password(self) -> str:
        if self.password_file is None:
            return ""
        if self.password_file.stat().st_mode & (stat.S_IROTH | stat.S_IWOTH):
            raise ActionError(f"password file {self.password_file} is accessible to all users: run chmod 600 on it")
        return self.password_file.read_text().strip()


@dataclass(frozen=True, slots=True)
class Sendmail:
    """A program with sendmail's options, as mail servers install one."""

    program: Path

    def __str__(self) -> str:
        return str(self.program)

    def send(self, envelope: Envelope) -> None:
        """See `Transport`. Mail programs may continue in the background, so files are used instead of pipes."""
        argv = [str(self.program), "-i", "-f", envelope.sender, *envelope.recipients]
        with tempfile.TemporaryFile() as message, tempfile.TemporaryFile() as output:
            message.write(envelope.message.replace(b"\r\n", b"\n"))
            message.seek(0)
            try:
                status = _run(argv, message, output)
            except OSError as error:
                raise ActionError(f"{self} cannot be run: {error.strerror}") from error
            if status != 0:
                output.seek(0)
                quoted = safe_text(" ".join(output.read(_QUOTED).decode("utf-8", "replace").split()), _QUOTED)
                ended = "took too long" if status is None else f"exit status {status}"
                raise ActionError(f"{self}: {ended}{': ' if quoted else ''}{quoted}")

    def probe(self) -> None:
        """See `Transport`."""
        if not os.access(self.program, os.X_OK):
            raise ActionError(f"{self} does not exist or is not executable")


@dataclass(frozen=True, slots=True)
class Local:
    """The local sendmail if there is one, else a server on this machine; chosen for each message."""

    def __str__(self) -> str:
        return str(self._choice())

    def send(self, envelope: Envelope) -> None:
        """See `Transport`."""
        self._choice().send(envelope)

    def probe(self) -> None:
        """See `Transport`."""
        self._choice().probe()

    def _choice(self) -> Transport:
        program = next((path for path in SENDMAILS if os.access(path, os.X_OK)), None)
        return Sendmail(program) if program else Smtp("localhost", 25)


def _run(argv: Sequence[str], message: IO[bytes], output: IO[bytes]) -> int | None:
    """The exit status; None if it had to be killed."""
    with subprocess.Popen(
        argv, stdin=message, stdout=output, stderr=output, start_new_session=True, cwd="/"
    ) as process:
        try:
            return process.wait(_SENDMAIL_TIMEOUT)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            return None


def _answer(code: int, text: bytes | str) -> str:
    words = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return safe_text(f"{code} {' '.join(words.split())}", _QUOTED)
