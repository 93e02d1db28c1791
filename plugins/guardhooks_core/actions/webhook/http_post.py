"""One delivery: an HTTP POST, and the meaning of the server's answer."""

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
_REDIRECTS: Final = frozenset({307, 308})
"""Redirections that keep the method and the body."""
_PERMANENT: Final = frozenset({400, 413, 415, 422})
"""Status codes that refuse a message permanently."""
_PORTS: Final = {"https": 443, "http": 80}
_ANSWER_READ: Final = 4096
"""Bytes of an answer that are read."""
_LONGEST_PAUSE: Final = 300.0
"""Seconds that a server may ask to wait."""


class DeliveryResult(Enum):
    """The outcome of sending a message."""

    SENT = "sent"
    REFUSED = "refused"
    """Permanently: a retry would be refused too."""
    RETRY = "retry"


@dataclass(frozen=True, slots=True)
class Delivery:
    """The outcome of a delivery: `reason` says why it failed, `pause` how many seconds the server asks to wait."""

    result: DeliveryResult
    reason: str = ""
    pause: float = 0.0


def deliver(parameters: Parameters, body: bytes, delivery: str) -> Delivery:
    """Send the message, at most once. Certificates are verified; redirections to another host are not followed."""
    url = parameters.url
    try:
        headers = _headers(parameters, delivery)
        for _ in range(_REDIRECTIONS + 1):
            status, answered = _post(parameters, url, body, headers)
            if status not in _REDIRECTS:
                return _interpreted(status, answered)
            target = urlsplit(urljoin(url.geturl(), answered.get("Location") or ""))
            if _origin(target) != _origin(url):
                return Delivery(
                    DeliveryResult.RETRY, f"the server redirects to another host ({status}), which is not followed"
                )
            url = target
    except ConfigError as error:
        return Delivery(DeliveryResult.RETRY, str(error))
    except (OSError, http.client.HTTPException, ValueError, RuntimeError) as error:  # RuntimeError: no more threads.
        return Delivery(DeliveryResult.RETRY, safe_text(f"{type(error).__name__}: {error}", 200))
    return Delivery(DeliveryResult.RETRY, f"more than {_REDIRECTIONS} redirections")


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
    """Close the connection after this time: a socket's own timeout restarts with each byte received."""

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


def _interpreted(status: int, answered: http.client.HTTPMessage) -> Delivery:
    if 200 <= status < 300:
        return Delivery(DeliveryResult.SENT)
    reason = f"HTTP status {status}"
    if status in _PERMANENT:
        return Delivery(DeliveryResult.REFUSED, reason)
    asked = answered.get("Retry-After", "").strip()
    pause = min(float(asked), _LONGEST_PAUSE) if asked.isascii() and asked.isdigit() and len(asked) < 10 else 0.0
    return Delivery(DeliveryResult.RETRY, reason, pause)


def _origin(url: SplitResult) -> tuple[str, str, int]:
    return url.scheme, (url.hostname or "").lower(), url.port or _PORTS.get(url.scheme, 0)
