"""One delivery: a POST, and what the server's answer means."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final
from urllib.parse import SplitResult, urljoin, urlsplit

import guardhooks
from guardhooks import ConfigError, safe_text
from guardhooks_core.actions.webhook.parameters import Parameters

_REDIRECTIONS: Final = 3
_AGAIN_ELSEWHERE: Final = frozenset({307, 308})
"""Redirections that keep the method and the body."""
_NEVER: Final = frozenset({400, 413, 415, 422})
"""The server will not take this message, however often it is sent."""
_PORTS: Final = {"https": 443, "http": 80}
_ANSWER_READ: Final = 4096
_LONGEST_PAUSE: Final = 300.0


class Fate(Enum):
    """What has become of a message."""

    SENT = "sent"
    REFUSED = "refused"
    """For good."""
    LATER = "later"


@dataclass(frozen=True, slots=True)
class Delivery:
    """How a delivery went; `reason` says why it failed, `pause` how many seconds the server asks to wait."""

    fate: Fate
    reason: str = ""
    pause: float = 0.0


def deliver(parameters: Parameters, body: bytes, delivery: str) -> Delivery:
    """Send the message, at most once. Certificates are verified; another host is never followed to."""
    url = parameters.url
    try:
        headers = _headers(parameters, delivery)
        for _ in range(_REDIRECTIONS + 1):
            status, answered = _post(parameters, url, body, headers)
            if status not in _AGAIN_ELSEWHERE:
                return _judged(status, answered)
            target = urlsplit(urljoin(url.geturl(), answered.get("Location") or ""))
            if _origin(target) != _origin(url):
                return Delivery(Fate.LATER, f"the server points to another host ({status}), which is not followed")
            url = target
    except ConfigError as error:
        return Delivery(Fate.LATER, str(error))
    except (OSError, http.client.HTTPException, ValueError, RuntimeError) as error:  # the last: no more threads
        return Delivery(Fate.LATER, safe_text(f"{type(error).__name__}: {error}", 200))
    return Delivery(Fate.LATER, f"more than {_REDIRECTIONS} redirections")


def _headers(parameters: Parameters, delivery: str) -> dict[str, str]:
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"guardhooks/{guardhooks.__version__}",
        "Idempotency-Key": delivery,
    }
    if token := parameters.token():
        headers["Authorization"] = f"Bearer {token}"
    if parameters.header:
        headers[parameters.header[0]] = parameters.header[1]
    return headers


def _post(
    parameters: Parameters, url: SplitResult, body: bytes, headers: dict[str, str]
) -> tuple[int, http.client.HTTPMessage]:
    connection = _connection(parameters, url)
    with contextlib.closing(connection), _deadline(connection, parameters.timeout):
        path = (url.path or "/") + (f"?{url.query}" if url.query else "")
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        with answer:
            answer.read(_ANSWER_READ)
            return answer.status, answer.headers


def _connection(parameters: Parameters, url: SplitResult) -> http.client.HTTPConnection:
    host = url.hostname or ""
    if parameters.tls is None:
        return http.client.HTTPConnection(host, url.port, timeout=parameters.timeout)
    return http.client.HTTPSConnection(host, url.port, timeout=parameters.timeout, context=parameters.tls)


@contextlib.contextmanager
def _deadline(connection: http.client.HTTPConnection, seconds: float) -> Iterator[None]:
    """Cut the connection after that time: a socket's own timeout begins anew with each byte that comes."""

    def cut() -> None:
        sock = connection.sock
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


def _judged(status: int, answered: http.client.HTTPMessage) -> Delivery:
    if 200 <= status < 300:
        return Delivery(Fate.SENT)
    reason = f"HTTP status {status}"
    if status in _NEVER:
        return Delivery(Fate.REFUSED, reason)
    asked = answered.get("Retry-After", "").strip()
    pause = min(float(asked), _LONGEST_PAUSE) if asked.isascii() and asked.isdigit() and len(asked) < 10 else 0.0
    return Delivery(Fate.LATER, reason, pause)


def _origin(url: SplitResult) -> tuple[str, str, int]:
    return url.scheme, (url.hostname or "").lower(), url.port or _PORTS.get(url.scheme, 0)
