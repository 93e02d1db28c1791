"""A real HTTP server, with or without TLS, that says what it is told to and keeps what it gets."""

from __future__ import annotations

import json
import ssl
import subprocess
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar


@dataclass(frozen=True)
class Request:
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def message(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self.body)
        return message

    @property
    def ids(self) -> list[str]:
        return [event["id"] for event in self.message["events"]]


@dataclass
class Answer:
    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)


class Server:
    """Listens on a free port of 127.0.0.1; `answers` are given in order, then 204 for ever."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.answers: deque[Answer] = deque()
        self.requests: list[Request] = []
        self._news = threading.Condition()
        self._gate = threading.Event()
        self._gate.set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version: ClassVar[str] = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                answer = outer._got(Request(self.path, dict(self.headers), body))
                outer._gate.wait(60)
                self.send_response(answer.status)
                for name, value in {"Content-Length": "0", **answer.headers}.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                pass

        self._server = Quiet(("127.0.0.1", 0), Handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def _got(self, request: Request) -> Answer:
        with self._news:
            self.requests.append(request)
            self._news.notify_all()
            return self.answers.popleft() if self.answers else Answer()

    def wait_for(self, number: int) -> list[Request]:
        """The requests, as soon as there are so many."""
        with self._news:
            assert self._news.wait_for(lambda: len(self.requests) >= number, 30), self.requests
            return list(self.requests)

    def hold(self) -> None:
        """Keep everybody waiting for an answer."""
        self._gate.clear()

    def release(self) -> None:
        self._gate.set()

    def close(self) -> None:
        self.release()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def make_certificate(folder: Path, name: str) -> tuple[Path, ssl.SSLContext]:
    """A certificate for `name`, signed by itself, and a server's context with it."""
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=guard test",
         "-addext", f"subjectAltName={name}", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return certificate, context
