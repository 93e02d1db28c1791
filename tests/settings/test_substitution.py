"""`%(name)s` and `<tag>`: what they mean, and that no text makes them crash, loop or grow without end."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardhooks import ConfigError
from guardhooks.settings.ini import parse_ini
from guardhooks.settings.interpolation import MAX_SIZE, Scope
from guardhooks.settings.merged import MergedConfig
from guardhooks.settings.tags import Substitution


def merge(*layers: str) -> MergedConfig:
    merged = MergedConfig()
    for number, text in enumerate(layers):
        merged.merge(parse_ini(text.encode(), Path(f"{number}.conf")))
    return merged


def evaluate(key: str, *layers: str, section: str = "s") -> str | None:
    return Scope(merge(*layers), section).get(key)


@pytest.mark.parametrize(
    ("value", "result"),
    [
        ("100%%", "100%"),
        ("%(b)s", "1"),
        ("%(B)s", "1"),
        ("%(d)s", "s says 1"),
        ("%(default/b)s", "0"),
        ("%(other/v)s", "other 1"),
        ("%(other/b)s", "0"),
        ("%(__name__)s", "s"),
        ("${b} $(b)", "${b} $(b)"),
        ("%%(b)s", "%(b)s"),
    ],
)
def test_reference(value: str, result: str) -> None:
    text = f"[DEFAULT]\nb = 0\nd = %(__name__)s says %(b)s\n[s]\nb = 1\na = {value}\n[other]\nv = other %(b)s\n"
    assert evaluate("a", text) == result


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("5%", "must be followed by"),
        ("%x", "must be followed by"),
        ("%(b)", "must be followed by"),
        ("%(nope)s", "not set anywhere"),
        ("%(prot)s", "did you mean 'port'"),
        ("%(gone/x)s", "not set anywhere"),
        ("%(a)s", "refers to itself"),
        ("%(c)s", "refers to itself"),
        ("%(known/nope)s", "not set anywhere"),
    ],
)
def test_wrong_reference_names_its_place(value: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        evaluate("a", f"[s]\nport = 1\nc = %(a)s\na = {value}\n")
    assert str(caught.value).startswith("0.conf:")
    assert "[s]" in str(caught.value)


def test_known_is_the_layer_below_through_any_number_of_layers() -> None:
    layers = ("[s]\na = 1\n", "[s]\na = %(known/a)s 2\n", "[s]\na = %(known/a)s 3\n", "[s]\na = %(known/a)s 4\n")
    assert evaluate("a", *layers) == "1 2 3 4"


def test_known_extends_a_default_by_itself_and_falls_back_to_the_default() -> None:
    layers = ("[DEFAULT]\na = 1\n[s]\n", "[DEFAULT]\na = %(known/a)s 2\n[s]\na = %(known/a)s 3\nb = %(known/a)s\n")
    assert evaluate("a", *layers) == "1 2 3"
    assert evaluate("b", *layers) == "1 2"


def test_overrides_and_known_texts_are_final() -> None:
    scope = Scope(merge("[s]\na = %(b)s %(known/c)s\nb = 1\n"), "s", {"b": "50%"}, {"c": "%Y"})
    assert scope.get("a") == "50% %Y"


def doubling(count: int, reference: str, leaf: str) -> list[str]:
    names = [f"k{number}" for number in range(count)]
    return [reference.format(following) * 2 for following in names[1:]] + [leaf]


def test_no_value_grows_beyond_its_bound() -> None:
    values = doubling(38, "%({})s", "x" * 10)
    with pytest.raises(ConfigError, match="grows beyond"):
        evaluate("k0", "[s]\n" + "".join(f"k{number} = {value}\n" for number, value in enumerate(values)))


def test_a_wide_web_of_empty_values_takes_no_time() -> None:
    values = doubling(38, "%({})s", "")
    assert evaluate("k0", "[s]\n" + "".join(f"k{number} = {value}\n" for number, value in enumerate(values))) == ""


def test_a_very_long_chain_is_refused() -> None:
    chain = "".join(f"k{number} = %(k{number + 1})s\n" for number in range(500))
    with pytest.raises(ConfigError, match="references lead"):
        evaluate("k0", f"[s]\n{chain}k500 = x\n")


def substitution(values: dict[str, str]) -> Callable[[str], str]:
    return Substitution(values.get)


def test_tags_are_replaced_from_the_inside_out_and_unknown_ones_stay() -> None:
    tags = Substitution({"mode": "normal", "mdre-normal": "<one>|<two>", "one": "1", "two": "2<HOST>"}.get)
    assert tags("a <mdre-<mode>> <HOST> <x> (?P<y>z) < b > <") == "a 1|2<HOST> <HOST> <x> (?P<y>z) < b > <"
    assert tags.missing == []


def test_a_tag_that_an_option_leads_nowhere_is_told() -> None:
    tags = Substitution({"mode": "typo", "mdre-normal": "x"}.get)
    assert tags("<mdre-<mode>> <HOST>") == "<mdre-typo> <HOST>"
    assert tags.missing == ["mdre-typo"]


@pytest.mark.parametrize("values", [{"a": "<a>"}, {"a": "<b>", "b": "<c>", "c": "<a>"}, {"a": "<<b>>", "b": "a"}])
def test_a_tag_that_leads_to_itself_is_refused(values: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="refers to itself"):
        substitution(values)("x <a>")


def test_tags_do_not_grow_without_end() -> None:
    values = dict(enumerate(doubling(40, "<k{}>".replace("k{}", "{}"), "x" * 10)))
    with pytest.raises(ConfigError, match=f"grow beyond {MAX_SIZE}"):
        substitution({f"k{key}": text for key, text in values.items()})("<k0>")


TEXT = st.text(alphabet="%()s<>/abk-", max_size=30)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["a", "b", "ab", "k", "-"]), TEXT), TEXT)
def test_any_tags_end(values: dict[str, str], text: str) -> None:
    with suppress(ConfigError):
        assert len(substitution(values)(text)) <= 2 * MAX_SIZE


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["a", "b", "ab", "k"]), TEXT, min_size=1), TEXT)
def test_any_references_end(values: dict[str, str], default: str) -> None:
    lines = "".join(f"{key} = {value}\n" for key, value in values.items())
    scope = Scope(merge(f"[DEFAULT]\na = {default}\n[s]\n{lines}", f"[s]\n{lines}"), "s")
    for key in values:
        with suppress(ConfigError):
            assert isinstance(scope.get(key), str)
