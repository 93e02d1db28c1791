"""Bans on their way to a real server: batches, outages, full queues, redirections, certificates, hostile text."""

from __future__ import annotations

import math
import os
import shutil
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from guardhooks import ActionError, ActionSpec, Ban, ConfigError, Jail, Level, Op, Outcome
from guardhooks_core.actions.webhook import WebhookAction
from tests.core.actions.webhook.server import Answer, Server, make_certificate

NOW = 1_800_000_000.0
JAIL = Jail("sshd")
needs_openssl = pytest.mark.skipif(not shutil.which("openssl") and "CI" not in os.environ, reason="needs openssl")


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


class Hook:
    """One webhook action under one plugin."""

    def __init__(self, url: str, **options: str) -> None:
        self.plugin = WebhookAction(pauses=(0.02, 0.05))
        self.action = ActionSpec("webhook", "webhook", {"name": "sshd", "url": url, **options})

    def do(self, op: Op, *bans: Ban | str) -> Outcome:
        made = [ban if isinstance(ban, Ban) else Ban(ban, "sshd", NOW, 600.0) for ban in bans]
        outcome = self.plugin.execute_action(JAIL, self.action, op, made)
        assert isinstance(outcome, Outcome)
        return outcome

    def wait_until(self, text: str) -> Outcome:
        """Check until the note has that text."""
        deadline = time.monotonic() + 30
        while text not in (outcome := self.do(Op.CHECK)).note:
            assert time.monotonic() < deadline, outcome
            time.sleep(0.01)
        return outcome


@pytest.fixture
def hook(server: Server) -> Iterator[Hook]:
    hook = Hook(f"http://127.0.0.1:{server.port}/hook?key=secret")
    hook.do(Op.START)
    yield hook
    server.release()
    hook.do(Op.STOP)


def test_a_ban_and_its_end_are_reported(server: Server, hook: Hook) -> None:
    ban = Ban(
        "192.0.2.1", "sshd", NOW, 600.0, count=2, failures=5, reason="5 failures", matches=("line",),
        notes={"country": "DE"},
    )  # fmt: skip
    hook.do(Op.BAN, ban)
    first = server.wait_for(1)[0]
    assert first.path == "/hook?key=secret"
    assert first.headers["Content-Type"] == "application/json"
    message = first.message
    assert (message["version"], bool(message["host"])) == (1, True)
    assert message["delivery"] == first.headers["Idempotency-Key"]
    assert message["events"] == [
        {
            "event": "ban", "jail": "sshd", "id": "192.0.2.1", "start": NOW, "length": 600.0, "end": NOW + 600,
            "count": 2, "failures": 5, "reason": "5 failures", "restored": False, "notes": {"country": "DE"},
        }
    ]  # fmt: skip
    hook.do(Op.UNBAN, ban)
    assert server.wait_for(2)[1].message["events"][0]["event"] == "unban"
    assert hook.wait_until("2 sent, 0 waiting, 0 dropped").warning == ""


def test_a_ban_that_is_not_in_force_is_another_event_than_a_ban(server: Server, hook: Hook) -> None:
    hook.do(Op.BAN, Ban("192.0.2.1", "sshd", NOW, 600.0, not_in_force="action nftables: the set is full"))
    event = server.wait_for(1)[0].message["events"][0]
    assert (event["event"], event["problem"]) == ("not-in-force", "action nftables: the set is full")
    hook.do(Op.BAN, Ban("192.0.2.1", "sshd", NOW, 600.0))
    event = server.wait_for(2)[1].message["events"][0]
    assert (event["event"], "problem" in event) == ("ban", False)


def test_a_permanent_ban_has_no_end(server: Server, hook: Hook) -> None:
    hook.do(Op.BAN, Ban("192.0.2.1", "sshd", NOW, math.inf))
    event = server.wait_for(1)[0].message["events"][0]
    assert (event["length"], event["end"]) == (None, None)


def test_what_comes_while_the_server_is_slow_goes_in_one_message(server: Server, hook: Hook) -> None:
    server.hold()
    hook.do(Op.BAN, "192.0.2.1")
    server.wait_for(1)
    ids = [f"10.0.{i}.{j}" for i in range(5) for j in range(50)]
    for id_ in ids:
        hook.do(Op.BAN, id_)
    server.release()
    requests = server.wait_for(4)
    assert [len(request.ids) for request in requests] == [1, 100, 100, 50]
    assert [id_ for request in requests[1:] for id_ in request.ids] == ids


def test_restored_bans_are_reported_only_if_configured(server: Server) -> None:
    url = f"http://127.0.0.1:{server.port}/"
    old = Ban("192.0.2.1", "sshd", NOW, 600, restored=True)
    for options, told in (({}, 0), ({"restored": "yes"}, 1)):
        hook = Hook(url, **options)
        hook.do(Op.START, old, "192.0.2.2")  # what is not restored comes again by itself
        hook.do(Op.STOP)
        assert len(server.requests) == told


@pytest.mark.parametrize(("events", "told"), [("ban", ["ban"]), ("unban", ["unban"]), ("ban, unban", ["ban", "unban"])])
def test_only_the_wanted_events(server: Server, events: str, told: list[str]) -> None:
    hook = Hook(f"http://127.0.0.1:{server.port}/", events=events, batch="1")
    hook.do(Op.START)
    hook.do(Op.BAN, "192.0.2.1")
    hook.do(Op.UNBAN, "192.0.2.1")
    hook.do(Op.STOP)
    assert [request.message["events"][0]["event"] for request in server.requests] == told


@pytest.mark.parametrize("status", [500, 503, 429, 408, 401, 404])
def test_a_failed_delivery_is_retried(server: Server, hook: Hook, status: int) -> None:
    server.answers.extend([Answer(status)] * 3)
    hook.do(Op.BAN, "192.0.2.1")
    requests = server.wait_for(4)
    assert len({request.body for request in requests}) == 1
    assert len({request.headers["Idempotency-Key"] for request in requests}) == 1
    hook.wait_until("1 sent, 0 waiting, 0 dropped")


def test_retry_after_is_respected(server: Server, hook: Hook) -> None:
    server.answers.append(Answer(429, {"Retry-After": "1"}))
    began = time.monotonic()
    hook.do(Op.BAN, "192.0.2.1")
    server.wait_for(2)
    assert time.monotonic() - began >= 1.0


def test_trouble_is_shown_without_the_secret_part_of_the_url(server: Server, hook: Hook) -> None:
    server.answers.extend([Answer(500)] * 1000)
    hook.do(Op.BAN, "192.0.2.1")
    server.wait_for(2)
    outcome = hook.do(Op.CHECK)
    assert "HTTP status 500" in outcome.warning
    assert "1 waiting" in outcome.note
    assert "secret" not in outcome.note + outcome.warning


def test_diagnosis(server: Server, hook: Hook) -> None:
    def found(address: str = "") -> tuple[str, Level]:
        finding = (hook.plugin.diagnose(JAIL, hook.action, address) or [])[0]
        return finding.text, finding.level

    hook.do(Op.BAN, "192.0.2.1")
    hook.wait_until("1 sent")
    assert found() == (f"http://127.0.0.1:{server.port}: 1 sent, 0 waiting, 0 dropped", Level.GOOD)
    assert found("192.0.2.1") == ("it only reports bans and blocks no one", Level.NOTE)
    server.answers.extend([Answer(500)] * 1000)
    hook.do(Op.BAN, "192.0.2.2")
    server.wait_for(3)
    assert found()[1] is Level.BAD


def test_a_permanently_refused_message_is_dropped_and_counted(server: Server, hook: Hook) -> None:
    server.answers.append(Answer(422))
    hook.do(Op.BAN, "192.0.2.1")
    assert "422" in hook.wait_until("0 sent, 0 waiting, 1 dropped").warning
    hook.do(Op.BAN, "192.0.2.2")
    assert hook.wait_until("1 sent, 0 waiting, 1 dropped").warning == ""


def test_a_server_that_is_down_delays_nothing_and_is_shown(server: Server, hook: Hook) -> None:
    server.close()
    hook.do(Op.BAN, "192.0.2.1")
    deadline = time.monotonic() + 30
    while "ConnectionRefusedError" not in hook.do(Op.CHECK).warning:
        assert time.monotonic() < deadline
    assert "1 dropped" in hook.do(Op.STOP).note
    hook.do(Op.START)


def test_a_full_queue_drops_the_oldest(server: Server) -> None:
    hook = Hook(f"http://127.0.0.1:{server.port}/", queue="10")
    hook.do(Op.START)
    server.hold()
    hook.do(Op.BAN, "192.0.2.1")
    server.wait_for(1)
    outcome = hook.do(Op.BAN, *(f"10.0.0.{i}" for i in range(30)))
    assert "20 dropped" in outcome.note
    server.release()
    assert server.wait_for(2)[1].ids == [f"10.0.0.{i}" for i in range(20, 30)]
    hook.do(Op.STOP)


def test_a_stop_sends_what_waits(server: Server, hook: Hook) -> None:
    server.hold()
    hook.do(Op.BAN, "192.0.2.1")
    server.wait_for(1)
    hook.do(Op.BAN, "192.0.2.2")
    server.release()
    assert "2 sent, 0 waiting, 0 dropped" in hook.do(Op.STOP).note
    hook.do(Op.START)


def test_a_changed_action_takes_over_what_waits(server: Server, hook: Hook) -> None:
    server.answers.extend([Answer(500)] * 3)
    hook.do(Op.BAN, "192.0.2.1")
    server.wait_for(1)
    hook.action = ActionSpec("webhook", "webhook", {**hook.action.options, "batch": "7"})
    hook.do(Op.START, Ban("192.0.2.9", "sshd", NOW, 600, restored=True))
    hook.wait_until(", 0 waiting, 0 dropped")
    assert {id_ for request in server.requests for id_ in request.ids} == {"192.0.2.1"}


def test_the_token_is_read_again_for_each_delivery(server: Server, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("one\n")
    hook = Hook(f"http://127.0.0.1:{server.port}/", **{"token-file": str(token), "header": "X-Site: a b"})
    hook.do(Op.START)
    hook.do(Op.BAN, "192.0.2.1")
    server.wait_for(1)
    hook.wait_until("1 sent")
    token.write_text("two words\r\nX-Evil: 1")
    hook.do(Op.BAN, "192.0.2.2")
    deadline = time.monotonic() + 30
    while "one word" not in hook.do(Op.CHECK).warning:
        assert time.monotonic() < deadline
    token.write_text("three")
    requests = server.wait_for(2)
    assert [request.headers["Authorization"] for request in requests] == ["Bearer one", "Bearer three"]
    assert requests[0].headers["X-Site"] == "a b"
    hook.do(Op.STOP)


def test_a_redirection_within_the_server_is_followed(server: Server, hook: Hook) -> None:
    server.answers.append(Answer(308, {"Location": "/new"}))
    hook.do(Op.BAN, "192.0.2.1")
    assert [request.path for request in server.wait_for(2)] == ["/hook?key=secret", "/new"]
    hook.wait_until("1 sent")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirection_to_another_host_is_not_followed(server: Server, hook: Hook, status: int) -> None:
    other = Server()
    try:
        server.answers.append(Answer(status, {"Location": f"http://127.0.0.1:{other.port}/"}))
        hook.do(Op.BAN, "192.0.2.1")
        hook.wait_until("1 sent")
        assert (len(server.requests), other.requests) == (2, [])
    finally:
        other.close()


def test_a_redirection_loop_ends(server: Server, hook: Hook) -> None:
    server.answers.extend([Answer(307, {"Location": "/"})] * 4)
    hook.do(Op.BAN, "192.0.2.1")
    hook.wait_until("1 sent")
    assert len(server.requests) == 5


def test_a_server_that_never_answers_is_given_up(server: Server) -> None:
    hook = Hook(f"http://127.0.0.1:{server.port}/", timeout="1")
    hook.do(Op.START)
    server.hold()
    hook.do(Op.BAN, "192.0.2.1")
    server.wait_for(2)
    assert hook.do(Op.CHECK).warning
    server.release()
    hook.wait_until("1 sent")
    hook.do(Op.STOP)


# --- TLS ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, ssl.SSLContext]]:
    folder = tmp_path_factory.mktemp("certificates")
    return {name: make_certificate(folder, name) for name in ("IP:127.0.0.1", "IP:127.0.0.9")}


@needs_openssl
def test_https(certificates: dict[str, tuple[Path, ssl.SSLContext]]) -> None:
    certificate, context = certificates["IP:127.0.0.1"]
    server = Server(context)
    try:
        hook = Hook(f"https://127.0.0.1:{server.port}/", ca=str(certificate))
        hook.do(Op.START)
        hook.do(Op.BAN, "192.0.2.1")
        assert server.wait_for(1)[0].ids == ["192.0.2.1"]
        hook.do(Op.STOP)
    finally:
        server.close()


@needs_openssl
@pytest.mark.parametrize(("of", "trusted"), [("IP:127.0.0.1", ""), ("IP:127.0.0.9", "IP:127.0.0.9")])
@pytest.mark.parametrize("insecure", ["no", "yes"])
def test_a_certificate_that_cannot_be_verified_gets_nothing(
    certificates: dict[str, tuple[Path, ssl.SSLContext]], of: str, trusted: str, insecure: str
) -> None:
    server = Server(certificates[of][1])
    try:
        options = {"ca": str(certificates[trusted][0])} if trusted else {}
        hook = Hook(f"https://127.0.0.1:{server.port}/", insecure=insecure, **options)
        hook.do(Op.START)
        hook.do(Op.BAN, "192.0.2.1")
        deadline = time.monotonic() + 30
        while "SSLCertVerificationError" not in hook.do(Op.CHECK).warning:
            assert time.monotonic() < deadline
        hook.do(Op.STOP)
        assert server.requests == []
    finally:
        server.close()


# --- what attackers and typing errors bring ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ['"}],"x":1', "a\r\nX-Evil: 1", "\x1b[2J\0", "\udcff\udc80", "\u202e\xfc", "$(id)", "x" * 1_000_000, "-rf"]
)
def test_hostile_text_is_only_text(server: Server, text: str) -> None:
    hook = Hook(f"http://127.0.0.1:{server.port}/", matches="yes")
    hook.do(Op.START)
    hook.do(Op.BAN, Ban(text, "sshd", NOW, 60, matches=(text,) * 100, reason=text, notes={text: text}))
    request = server.wait_for(1)[0]
    assert len(request.body) < 200_000
    event: dict[str, Any] = request.message["events"][0]
    expected = text.encode("utf-8", "replace").decode()
    assert event["id"] == (expected if len(text) <= 1000 else f"{expected[:1000]}…")
    assert event["matches"] == [event["id"]] * 20
    hook.do(Op.STOP)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"url": ""}, "is not a URL such as https://host/path"),
        ({"url": "ftp://example.org/"}, "is not a URL"),
        ({"url": "https://example.org:99999/"}, "is not a URL"),
        ({"url": "https://example.org/a b"}, "is not a URL"),
        ({"url": "https://example.org/\r\nX: 1"}, "is not a URL"),
        ({"url": "https://user:hunter2@example.org/"}, "token-file= or header="),
        ({"url": "http://example.org/"}, "use https, or insecure = yes"),
        ({"token-file": "token"}, "not an absolute path"),
        ({"header": "X-A: 1\r\nX-B: 2"}, "one line"),
        ({"header": "Content-Length: 1"}, "HTTP itself"),
        ({"events": "ban, banana"}, "'banana' is unknown: ban, unban"),
        ({"timeout": "1e9"}, "timeout = '1e9' is not a number from 1 to 120"),
        ({"batch": "many"}, "batch = 'many' is not a whole number"),
        ({"restored": "maybe"}, "neither true nor false"),
        ({"ca": "/nowhere.pem"}, "contains no readable certificates"),
        ({"uri": "https://example.org"}, r"option 'uri' is unknown; did you mean url\?"),
    ],
)
def test_invalid_options_are_refused(options: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        Hook(**{"url": "https://example.org/", **options}).do(Op.START)
    assert "hunter2" not in str(caught.value)


def test_insecure_allows_plain_http_and_loopback_needs_it_not() -> None:
    for url in ("http://localhost/", "http://[::1]:8080/", "http://127.1.2.3/"):
        Hook(url).do(Op.START)
    Hook("http://example.org/", insecure="yes").do(Op.START)


def test_an_action_that_was_never_started_is_an_error() -> None:
    with pytest.raises(ActionError, match="not started"):
        Hook("http://localhost/").do(Op.BAN, "192.0.2.1")
    assert Hook("http://localhost/").do(Op.STOP) == Outcome()


def test_a_sites_own_file_is_left_to_the_shell_action() -> None:
    action = ActionSpec("webhook", "webhook", {"name": "x"}, {"actionban": "curl …"}, "/etc/webhook.conf")
    assert WebhookAction().execute_action(JAIL, action, Op.START, []) is None
