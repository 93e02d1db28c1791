"""The options of the action `webhook`, validated."""

from __future__ import annotations

import ipaddress
import re
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, urlsplit

from guardhooks import ActionSpec, ConfigError, safe_text
from guardhooks_core.actions.common.options import fault, flag, number, refuse_unknown

OPTIONS: Final = (
    "url", "token-file", "header", "events", "restored", "matches", "timeout", "batch", "queue", "ca", "insecure",
)  # fmt: skip
EVENTS: Final = ("ban", "unban")
_URL: Final = re.compile(r"[!-~]{1,2000}")
_HEADER: Final = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([ -~]*)")
_OURS: Final = frozenset({"host", "content-length", "content-type", "transfer-encoding", "connection"})


@dataclass(frozen=True, slots=True)
class Parameters:
    """`timeout` is in seconds, for a whole delivery. `queue` is how many events may wait, `batch` how many go into one
    delivery. `tls` is None for plain http.
    """

    url: SplitResult
    token_file: Path | None
    header: tuple[str, str] | None
    events: tuple[str, ...]
    restored: bool
    matches: bool
    timeout: float
    batch: int
    queue: int
    tls: ssl.SSLContext | None

    @classmethod
    def of(cls, action: ActionSpec) -> Parameters:
        """Read the action's options.

        :raises ConfigError: if one is invalid.
        """
        refuse_unknown(action, OPTIONS)
        url = _url(action)
        return cls(
            url=url,
            token_file=_token_file(action),
            header=_header(action),
            events=_events(action),
            restored=flag(action, "restored", default=False),
            matches=flag(action, "matches", default=False),
            timeout=number(action, "timeout", 10, least=1, most=120),
            batch=int(number(action, "batch", 100, least=1, most=10_000)),
            queue=int(number(action, "queue", 10_000, least=1, most=1_000_000)),
            tls=_tls(action) if url.scheme == "https" else None,
        )

    @property
    def origin(self) -> str:
        """Scheme, host and port, which may be shown; the rest of a URL is often secret."""
        return f"{self.url.scheme}://{self.url.netloc}"

    def token(self) -> str:
        """The token, read from its file now; empty if none is configured.

        :raises ConfigError: if it cannot be read, or is not valid in a header.
        """
        if self.token_file is None:
            return ""
        try:
            text = self.token_file.read_text(encoding="ascii", errors="strict")[:10_000].strip()
        except OSError as error:
            raise ConfigError(f"token-file {self.token_file} cannot be read: {error.strerror}") from None
        except ValueError:
            text = ""
        if not re.fullmatch(r"[!-~]+", text):
            raise ConfigError(f"token-file {self.token_file} must contain one word of printable ASCII characters")
        return text


def _url(action: ActionSpec) -> SplitResult:
    text = action.get("url")
    try:
        url = urlsplit(text)
        valid = bool(_URL.fullmatch(text) and url.hostname and url.port != 0 and url.scheme in ("https", "http"))
    except ValueError:
        valid = False
    if not valid:
        raise fault(action, f"url = {safe_text(text, 60)!r} is not a URL such as https://host/path")
    if "@" in url.netloc:
        raise fault(action, "url must not contain a user or password: use token-file= or header=")
    if url.scheme == "http" and not _is_loopback(url.hostname or "") and not flag(action, "insecure", default=False):
        raise fault(action, "url is plain http, which is not encrypted: use https, or insecure = yes")
    return url


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _token_file(action: ActionSpec) -> Path | None:
    text = action.get("token-file").strip()
    if text and not Path(text).is_absolute():
        raise fault(action, f"token-file = {safe_text(text, 100)!r} is not an absolute path")
    return Path(text) if text else None


def _header(action: ActionSpec) -> tuple[str, str] | None:
    text = action.get("header").strip()
    if not text:
        return None
    match = _HEADER.fullmatch(text)
    if match is None or match[1].lower() in _OURS:
        raise fault(action, "header must be one line such as X-Api-Key: 123, and not a header that HTTP itself uses")
    return match[1], match[2].strip()


def _events(action: ActionSpec) -> tuple[str, ...]:
    words = (action.get("events") or ", ".join(EVENTS)).replace(",", " ").split()
    for word in words:
        if word not in EVENTS:
            raise fault(action, f"events = {safe_text(word, 40)!r} is unknown: {', '.join(EVENTS)}")
    return tuple(dict.fromkeys(words))


def _tls(action: ActionSpec) -> ssl.SSLContext:
    ca = action.get("ca").strip()
    try:
        return ssl.create_default_context(cafile=ca or None)
    except (OSError, ValueError) as error:
        raise fault(action, f"ca = {safe_text(ca, 100)!r} contains no readable certificates: {error}") from None
