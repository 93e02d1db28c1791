"""Where a webhook goes, and how: the action's options, validated."""

from __future__ import annotations

import ipaddress
import re
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, urlsplit

from guardhooks import ActionSpec, ConfigError, Option, OptionTable, option_types, safe_text
from guardhooks_core.actions.common.options import fault, refuse_unknown, value

EVENTS: Final = ("ban", "unban")

_URL_OPTION: Final = Option(
    "url", option_types.TEXT, "", "`https://…`; plain `http://` only for this machine, unless `insecure`", secret=True
)
_INSECURE: Final = Option("insecure", option_types.BOOLEAN, False, "whether plain http is allowed to other machines")
_TOKEN_FILE: Final = Option(
    "token-file", option_types.PATH, None, "a file whose one word is sent as `Authorization: Bearer …`"
)
_HEADER_OPTION: Final = Option("header", option_types.TEXT, "", "one more header: `X-Api-Key: 123`", secret=True)
_EVENTS: Final = Option("events", option_types.WORDS, EVENTS, "which are sent: `ban`, `unban`")
_RESTORED: Final = Option("restored", option_types.BOOLEAN, False, "whether bans put back after a restart are sent")
_MATCHES: Final = Option("matches", option_types.BOOLEAN, False, "whether the matched log lines are sent as well")
_TIMEOUT: Final = Option("timeout", option_types.number(1, 120), 10.0, "time for a delivery as a whole", "seconds")
_BATCH: Final = Option("batch", option_types.integer(1, 10_000), 100, "events in one delivery")
_QUEUE: Final = Option(
    "queue", option_types.integer(1, 1_000_000), 10_000, "events that may wait; more drop the oldest"
)
_CA: Final = Option(
    "ca", option_types.TEXT, "", "a file of certificates that alone are trusted", default_text="the system's"
)
OPTIONS: Final = OptionTable(
    "action",
    (
        _URL_OPTION, _INSECURE, _TOKEN_FILE, _HEADER_OPTION, _EVENTS, _RESTORED, _MATCHES, _TIMEOUT, _BATCH, _QUEUE,
        _CA,
    ),
    names=("webhook",),
    title="Action `webhook`",
)  # fmt: skip
_URL: Final = re.compile(r"[!-~]{1,2000}")
_HEADER: Final = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([ -~]*)")
_OURS: Final = frozenset({"host", "content-length", "content-type", "transfer-encoding", "connection"})


@dataclass(frozen=True, slots=True)
class Parameters:
    """`timeout` is in seconds, for a delivery as a whole. `queue` is how many events may wait, `batch` how many go into
    one delivery. `tls` is None for plain http.
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
        """What the action's options say.

        :raises ConfigError: when they cannot be right.
        """
        refuse_unknown(action, OPTIONS.option_names)
        url = _url(action)
        return cls(
            url=url,
            token_file=value(action, _TOKEN_FILE),
            header=_header(action),
            events=_events(action),
            restored=value(action, _RESTORED),
            matches=value(action, _MATCHES),
            timeout=value(action, _TIMEOUT),
            batch=value(action, _BATCH),
            queue=value(action, _QUEUE),
            tls=_tls(action) if url.scheme == "https" else None,
        )

    @property
    def origin(self) -> str:
        """Scheme, host and port: what may be shown. The rest of the URL is often a secret."""
        return f"{self.url.scheme}://{self.url.netloc}"

    def token(self) -> str:
        """The token as the file has it now; empty where none is set.

        :raises ConfigError: when it cannot be read, or cannot go into a header.
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
            raise ConfigError(f"token-file {self.token_file} must hold one word of printable ASCII characters")
        return text


def _url(action: ActionSpec) -> SplitResult:
    text = action.get("url")
    try:
        url = urlsplit(text)
        sound = bool(_URL.fullmatch(text) and url.hostname and url.port != 0 and url.scheme in ("https", "http"))
    except ValueError:
        sound = False
    if not sound:
        raise fault(action, f"url = {safe_text(text, 60)!r} is no address such as https://host/path")
    if "@" in url.netloc:
        raise fault(action, "url must hold no user and password: use token-file= or header=")
    if url.scheme == "http" and not _is_loopback(url.hostname or "") and not value(action, _INSECURE):
        raise fault(action, "url is plain http, which anybody on the way can read: use https, or insecure = yes")
    return url


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _header(action: ActionSpec) -> tuple[str, str] | None:
    text = action.get("header").strip()
    if not text:
        return None
    match = _HEADER.fullmatch(text)
    if match is None or match[1].lower() in _OURS:
        raise fault(action, "header must be one line such as X-Api-Key: 123, and none that HTTP itself needs")
    return match[1], match[2].strip()


def _events(action: ActionSpec) -> tuple[str, ...]:
    words = value(action, _EVENTS)
    for word in words:
        if word not in EVENTS:
            raise fault(action, f"events = {safe_text(word, 40)!r} is unknown: {', '.join(EVENTS)}")
    return tuple(dict.fromkeys(words))


def _tls(action: ActionSpec) -> ssl.SSLContext:
    ca = action.get("ca").strip()
    try:
        return ssl.create_default_context(cafile=ca or None)
    except (OSError, ValueError) as error:
        raise fault(action, f"ca = {safe_text(ca, 100)!r} holds no certificates that can be read: {error}") from None
