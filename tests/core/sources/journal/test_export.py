"""Whatever is logged, a field's value never becomes another field, entry or line."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from guardhooks_core.sources.journal.entry_lines import line_of, received_at, time_of
from guardhooks_core.sources.journal.export_format import ExportParser

_NAMES = st.sampled_from([b"MESSAGE", b"_COMM", b"__CURSOR", b"SYSLOG_PID"])
_VALUES = st.binary(max_size=40) | st.sampled_from([b"\n\n__CURSOR=x\n\n", b"a=b", b"", b"MESSAGE\n", bytes(10)])


def exported(fields: dict[bytes, bytes]) -> bytes:
    return b"".join(map(_field, fields.items())) + b"\n"


def _field(item: tuple[bytes, bytes]) -> bytes:
    name, value = item
    if b"\n" in value or not value.isascii():
        return name + b"\n" + len(value).to_bytes(8, "little") + value + b"\n"
    return name + b"=" + value + b"\n"


@given(st.lists(st.dictionaries(_NAMES, _VALUES, min_size=1), max_size=6), st.lists(st.integers(1, 50)))
def test_entries_come_out_as_they_went_in_however_they_are_cut(
    entries: list[dict[bytes, bytes]], cuts: list[int]
) -> None:
    data = b"".join(map(exported, entries))
    parser, found = ExportParser(), []
    for cut in cuts:
        found += parser.feed(data[:cut])
        data = data[cut:]
    assert found + parser.feed(data) == entries


@settings(deadline=None)
@given(st.booleans(), st.integers(1, 3000))
def test_a_long_value_is_cut_and_never_held(binary: bool, step: int) -> None:
    value = b"x" * 20_000
    field = b"MESSAGE\n" + len(value).to_bytes(8, "little") + value if binary else b"MESSAGE=" + value
    data = b"_COMM=a\n" + field + b"\n_PID=1\n\n_COMM=b\n\n"
    parser, found = ExportParser(limit=100), []
    for start in range(0, len(data), step):
        found += parser.feed(data[start : start + step])
        assert sum(len(held) for held in vars(parser).values() if isinstance(held, bytes)) <= 200 + step
    assert [{name: text[:100] for name, text in entry.items()} for entry in found] == [
        {b"_COMM": b"a", b"MESSAGE": b"x" * 100, b"_PID": b"1"},
        {b"_COMM": b"b"},
    ]


def test_values_of_a_repeated_field_are_joined() -> None:
    assert ExportParser().feed(b"MESSAGE=a\nMESSAGE=b\n\n") == [{b"MESSAGE": b"a b"}]


def test_a_line_has_host_identifier_pid_and_message() -> None:
    whole = {b"_HOSTNAME": b"srv", b"SYSLOG_IDENTIFIER": b"sshd", b"_COMM": b"x", b"SYSLOG_PID": b"7", b"_PID": b"8"}
    assert line_of({**whole, b"MESSAGE": b"hello"}) == b"srv sshd[7]: hello\n"
    assert line_of({b"_COMM": b"cron", b"_PID": b"8", b"MESSAGE": b"hello"}) == b"cron[8]: hello\n"
    assert line_of({b"_HOSTNAME": b"srv", b"SYSLOG_IDENTIFIER": b"x", b"MESSAGE": b"m"}) == b"srv x: m\n"
    assert line_of({b"_HOSTNAME": b"srv", b"MESSAGE": b"hello"}) == b"srv hello\n"
    assert line_of({}) == b"\n"


def test_the_kernel_says_how_long_it_runs() -> None:
    kernel = {b"SYSLOG_IDENTIFIER": b"kernel", b"MESSAGE": b"oops", b"__MONOTONIC_TIMESTAMP": b"12345678"}
    assert line_of(kernel) == b"kernel: [   12.345678] oops\n"


def test_a_message_stays_one_line_of_bounded_length() -> None:
    assert line_of({b"MESSAGE": b"a\nsrv sshd[1]: b\n"}) == rb"a\nsrv sshd[1]: b\n" + b"\n"
    assert len(line_of({b"MESSAGE": b"x" * 100_000})) == (64 << 10) + 1


def test_the_senders_time_counts_where_it_is_known() -> None:
    stamped = {b"__REALTIME_TIMESTAMP": b"1700000000500000"}
    assert time_of(stamped) == 1700000000.5
    assert time_of({**stamped, b"_SOURCE_REALTIME_TIMESTAMP": b"1700000000250000"}) == 1700000000.25
    assert time_of({**stamped, b"_SOURCE_REALTIME_TIMESTAMP": b"soon"}) == 1700000000.5
    assert received_at({}) == 0
