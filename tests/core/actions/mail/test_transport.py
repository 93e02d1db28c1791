"""A message leaves by a real SMTP server, with and without TLS and a password, or by a program like sendmail."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import ssl
import subprocess
import threading
from pathlib import Path

import pytest
from aiosmtpd.smtp import AuthResult, LoginPassword

from guardhooks import ActionError
from guardhooks_core.actions.mail.threads import in_thread
from guardhooks_core.actions.mail.transport import Envelope, Sendmail, Smtp, Transport
from tests.core.actions.mail.kit import FakeSendmail, post_office

MESSAGE = b"Subject: x\r\n\r\nHi\r\n.\r\n..\r\n.dot\r\n"
ENVELOPE = Envelope("guard", ("root", "a@example.org"), MESSAGE, "host.example")


async def send(transport: Transport, envelope: Envelope = ENVELOPE) -> None:
    await in_thread(lambda: transport.send(envelope))


def test_smtp_gets_the_message_as_it_is_from_and_to_whole_addresses():
    async def life() -> None:
        async with post_office() as office:
            await send(Smtp("127.0.0.1", office.port))
            envelope = await office.envelopes.get()
            assert envelope.mail_from == "guard@host.example"
            assert envelope.rcpt_tos == ["root@host.example", "a@example.org"]
            assert envelope.content == MESSAGE

    asyncio.run(life())


def test_the_reply_of_a_server_is_reported():
    async def life() -> None:
        async with post_office() as office:
            office.refusals = ["552 5.3.4 too big \x1b[2J"]
            with pytest.raises(ActionError) as error:
                await send(Smtp("127.0.0.1", office.port))
            assert str(error.value) == f"smtp 127.0.0.1:{office.port} refuses: 552 5.3.4 too big \\x1b[2J"

    asyncio.run(life())


def test_one_refused_recipient_does_not_fail_the_message(caplog: pytest.LogCaptureFixture):
    async def life() -> None:
        async with post_office() as office:

            async def only_root(
                server: object, session: object, envelope: object, address: str, options: object
            ) -> str:
                if not address.startswith("root@"):
                    return "550 no such user"
                envelope.rcpt_tos.append(address)  # type: ignore[attr-defined]
                return "250 OK"

            office.handle_RCPT = only_root  # type: ignore[attr-defined]
            await send(Smtp("127.0.0.1", office.port))
            assert (await office.envelopes.get()).rcpt_tos == ["root@host.example"]
            with pytest.raises(ActionError, match=r"refuses all recipients: a@example\.org: 550 no such user"):
                await send(
                    Smtp("127.0.0.1", office.port), Envelope("guard", ("a@example.org",), MESSAGE, "host.example")
                )

    asyncio.run(life())
    assert "refuses mail for a@example.org: 550 no such user" in caplog.text


def test_no_server_listens():
    with pytest.raises(ActionError, match=r"smtp 127\.0\.0\.1:1: .*refused"):
        asyncio.run(send(Smtp("127.0.0.1", 1)))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for localhost, in one file."""
    if not shutil.which("openssl") and "CI" not in os.environ:
        pytest.skip("needs openssl")
    file = tmp_path_factory.mktemp("tls") / "server.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    key = [
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-keyout",
        file,
        "-out",
        f"{file}.crt",
    ]
    subprocess.run(["openssl", "req", "-x509", "-days", "2", *key, *subject], check=True, capture_output=True)
    file.write_text(file.read_text() + Path(f"{file}.crt").read_text())
    return file


def server_context(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def check(server: object, session: object, envelope: object, mechanism: object, data: object) -> AuthResult:
    return AuthResult(success=data == LoginPassword(b"me", b"secret word"), handled=False)


def test_tls_and_password(certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    secret = tmp_path / "secret"
    secret.write_text("secret word\n")
    secret.chmod(0o600)

    async def life() -> None:
        options = {"require_starttls": True, "auth_required": True, "authenticator": check}
        async with post_office(tls_context=server_context(certificate), **options) as office:
            transport = Smtp("localhost", office.port, "starttls", "me", secret)
            await send(transport)
            assert (await office.envelopes.get()).content == MESSAGE
            with pytest.raises(ActionError, match="530"):
                await send(Smtp("localhost", office.port))
            secret.write_text("guess")
            with pytest.raises(ActionError, match="535"):
                await send(transport)
            secret.chmod(0o644)
            with pytest.raises(
                ActionError, match=f"password file {secret} is accessible to all users: run chmod 600 on it"
            ):
                await send(transport)
            secret.unlink()
            with pytest.raises(ActionError, match="No such file"):
                await send(transport)

    asyncio.run(life())


def test_an_untrusted_certificate_is_refused(certificate: Path):
    async def life() -> None:
        async with post_office(tls_context=server_context(certificate)) as office:
            with pytest.raises(ActionError, match="certificate verify failed"):
                await send(Smtp("localhost", office.port, "starttls"))
            assert office.envelopes.empty()

    asyncio.run(life())


def test_sendmail_is_run_without_a_shell(tmp_path: Path):
    sendmail = FakeSendmail(tmp_path)
    asyncio.run(send(Sendmail(sendmail.program)))
    [(argv, message)] = sendmail.calls
    assert argv == ["-i", "-f", "guard", "root", "a@example.org"]
    assert message == MESSAGE.replace(b"\r\n", b"\n")


def test_the_output_of_sendmail_is_reported(tmp_path: Path):
    with pytest.raises(ActionError, match=r"sendmail: exit status 75: no \\x1b\[2J room left"):
        asyncio.run(send(Sendmail(FakeSendmail(tmp_path, 75, "no \x1b[2J\nroom   left").program)))


def test_sendmail_may_continue_in_the_background(tmp_path: Path):
    program = tmp_path / "sendmail"
    program.write_text(f"#!/bin/sh\n( read -r line <&3; echo done > {tmp_path}/done ) 3< {tmp_path}/go &\n")
    program.chmod(0o755)
    os.mkfifo(tmp_path / "go")
    with (tmp_path / "go").open("r+b", buffering=0) as go:
        asyncio.run(send(Sendmail(program)))
        assert not (tmp_path / "done").exists()
        go.write(b"go\n")


@pytest.mark.parametrize(("mode", "says"), [(0o644, "Permission denied"), (None, "No such file")])
def test_sendmail_that_cannot_be_run(tmp_path: Path, mode: int | None, says: str):
    program = tmp_path / "sendmail"
    if mode is not None:
        program.write_text("")
        program.chmod(mode)
    with pytest.raises(ActionError, match=f"cannot be run: {says}"):
        asyncio.run(send(Sendmail(program)))


@pytest.mark.parametrize("tls", ["no", "yes"])
@pytest.mark.parametrize("word", ["send", "probe"])
def test_a_server_that_drips_bytes_is_cut_at_the_deadline(tls: str, word: str):
    cut = threading.Event()

    def drip(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            # A greeting, or a long TLS record, begins.
            connection.sendall(b"220" if tls == "no" else b"\x16\x03\x03\x40\x00")
            while not cut.wait(0.01):
                connection.sendall(b"-")
        cut.set()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=drip, args=(listener,))
        thread.start()
        transport = Smtp("127.0.0.1", listener.getsockname()[1], tls, deadline=0.5)
        try:
            with pytest.raises(ActionError, match=r"the session took longer than 0\.5 s and was cut"):
                transport.send(ENVELOPE) if word == "send" else transport.probe()
            assert cut.wait(20)  # The server sees the end of the connection.
        finally:
            cut.set()
            thread.join()
