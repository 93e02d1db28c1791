"""One file of the dialect: every rule of the document's section 1.3, and what one wrong line costs."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardhooks import ConfigError
from guardhooks.settings.ini import parse_ini, read_ini


def values(text: str | bytes) -> dict[str, str]:
    data = text if isinstance(text, bytes) else text.encode()
    return {key: value.text for key, value in parse_ini(data, Path("x.conf")).sections.get("s", {}).items()}


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("a = v1 ; note", "v1"),
        ("a = v1;note", "v1;note"),
        ("a = v1 # note", "v1 # note"),
        ('a = "quoted ; yes"', '"quoted'),
        ("a=;x", ";x"),
        ("a = ;x", ""),
        ("a = tab\t;x", "tab"),
        ("a : colon = too", "colon = too"),
        ("A = upper", "upper"),
        ("a =", ""),
        ("a = 1\\", "1\\"),
        ("a = 1\n  2\n\n  3\n\n", "1\n2\n\n3"),
        ("a = 1\n  y = z", "1\ny = z"),
        ("a = 1\n# note\n  ; note\n  2", "1\n2"),
        ("a = 1 ; one\n  2 ; two", "1\n2"),
        ("a =\n  1", "\n1"),
        ("  a = indented\n  b = sibling", "indented"),
        ("a = form\x0cfeed\u2028", "form\x0cfeed"),
    ],
)
def test_value(line: str, value: str) -> None:
    assert values(f"[s]\n{line}\n")["a"] == value


def test_crlf_and_byte_order_mark_are_fine() -> None:
    assert values(b"\xef\xbb\xbf[s]\r\na = 1\r\n  2\r\n") == {"a": "1\n2"}


def test_keys_of_a_conditional_section_become_conditional_keys() -> None:
    file = parse_ini(b"[Init]\na = 4\n[Init?family=inet6]\na = 6\n", Path("x"))
    assert {key: value.text for key, value in file.sections["Init"].items()} == {"a": "4", "a?family=inet6": "6"}


def test_every_value_knows_its_file_and_line() -> None:
    value = parse_ini(b"\n[s]\n\na = 1\n  2\nb = 3", Path("/etc/x.conf")).sections["s"]["b"]
    assert (value.file, value.line, value.section, value.key) == ("/etc/x.conf", 6, "s", "b")


@pytest.mark.parametrize(
    ("text", "where", "message"),
    [
        ("[s]\na = 1\na = 2\n", "x.conf:3: [s] a", "line 2 already"),
        ("[s]\na = 1\n[t]\n[s]\nb = 2\n", "x.conf:4: [s]", "appears twice"),
        ("[s]\njust text\na = 2\n", "x.conf:2: [s]", "'just text' is neither"),
        ("a = 1\n[s]\na = 2\n", "x.conf:1", "before any [section]"),
        ("[s]\nb = \udcff\na = 2\n", "x.conf:2: [s]", "not UTF-8"),
    ],
)
def test_a_wrong_line_costs_only_itself(text: str, where: str, message: str) -> None:
    file = parse_ini(text.encode("utf-8", "surrogateescape"), Path("x.conf"))
    [problem] = file.problems
    assert str(problem).startswith(where)
    assert message in str(problem)
    assert file.sections["s"]


def test_foreign_bytes_in_a_comment_are_nobodys_problem() -> None:
    assert parse_ini(b"[s]\n# gr\xfc\xdfe\na = 1\n", Path("x")).problems == ()


def test_what_is_no_text_is_refused_by_name(tmp_path: Path) -> None:
    binary = tmp_path / "b.conf"
    binary.write_bytes(b"\x7fELF\0\0")
    (tmp_path / "d.conf").mkdir()
    for path, message in ((binary, "not a text file"), (tmp_path / "d.conf", "regular file"), (tmp_path / "no", "no")):
        with pytest.raises(ConfigError, match=message) as caught:
            read_ini(path)
        assert str(path) in str(caught.value)


@settings(deadline=None)
@given(st.binary(max_size=400) | st.text(alphabet="[]=: ;#%\n\tab\r", max_size=200).map(str.encode))
def test_any_bytes_can_be_parsed(data: bytes) -> None:
    file = parse_ini(data, Path("x"))
    assert all(value.line > 0 for section in file.sections.values() for value in section.values())
