"""What users write into the brackets of a firewall action, and what comes of it; hostile values included."""

import os
import resource
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardhooks import NO_OPTIONS, ActionError, ActionSpec
from guardhooks_core.actions.firewall.names import kernel_name
from guardhooks_core.actions.firewall.parameters import is_native, parse_parameters
from guardhooks_core.actions.firewall.ports import Ports, parse_ports
from guardhooks_core.actions.firewall.verdict import Verdict, parse_verdict


def action(name: str = "ipset", properties: Mapping[str, str] = NO_OPTIONS, **options: Any) -> ActionSpec:  # noqa: ANN401
    return ActionSpec(name=name, actname=name, options={"name": "sshd", **options}, properties=properties)


@pytest.mark.parametrize(
    ("text", "ports"),
    [
        ("ssh", ((22, 22),)),
        ("http,https", ((80, 80), (443, 443))),
        ("22 , 80\t443", ((22, 22), (80, 80), (443, 443))),
        ("1000:2000", ((1000, 2000),)),
        ("1-100", ((1, 100),)),
        ("22,20-30,31", ((20, 31),)),
        ("ftp-data", ((20, 20),)),
        ("0:65535", ()),
        ("0:99999", ()),
        ("60000:99999", ((60000, 65535),)),
        ("1000 # was 22", ((1000, 1000),)),
        ("1:65535", ()),
        ("ssh,0:65535", ()),
        ("60000:", ((60000, 65535),)),
        ("http:https", ((80, 443),)),
    ],
)
def test_ports(text: str, ports: Ports) -> None:
    assert parse_ports(text) == ports


def test_a_name_that_cannot_be_looked_up_is_not_called_unknown() -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    next_file = os.open("/dev/null", os.O_RDONLY)
    os.close(next_file)
    resource.setrlimit(resource.RLIMIT_NOFILE, (next_file, limits[1]))
    try:
        with pytest.raises(ActionError, match=r"port 'ssh': /etc/services cannot be read: Too many open files"):
            parse_ports("ssh")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ",",
        "nosuchservice",
        "65536",
        "22:",
        "-1:5x",
        "5:1",
        "22;reboot",
        "$(id)",
        "22\n80x",
        "--dport",
        "1:2:3",
        "٢٢",
    ],
)
def test_what_is_no_port_is_refused_by_name(text: str) -> None:
    if text == "22:":
        assert parse_ports(text) == ((22, 65535),)
        return
    with pytest.raises(ActionError, match="port") as refusal:
        parse_ports(text)
    assert "\n" not in str(refusal.value)


@given(st.text(max_size=40))
def test_ports_are_ports_or_refused(text: str) -> None:
    try:
        ports = parse_ports(text)
    except ActionError as refusal:
        message = str(refusal)
        assert message.isprintable()
    else:
        assert all(0 <= first <= last <= 65535 for first, last in ports)


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("DROP", Verdict()),
        ("drop", Verdict()),
        ("REJECT", Verdict("port-unreachable")),
        ("reject", Verdict("port-unreachable")),
        ("REJECT --reject-with icmp-port-unreachable", Verdict("port-unreachable")),
        ("REJECT --reject-with icmp6-port-unreachable", Verdict("port-unreachable")),
        ("REJECT --reject-with icmp-host-prohibited", Verdict("admin-prohibited")),
        ("REJECT --reject-with tcp-reset", Verdict("tcp-reset")),
        ("reject with tcp reset", Verdict("tcp-reset")),
        ("reject with icmpx type admin-prohibited", Verdict("admin-prohibited")),
        ("reject with icmp type host-unreachable", Verdict("host-unreachable")),
        ("reject with icmpv6 no-route", Verdict("no-route")),
    ],
)
def test_blocktype(text: str, verdict: Verdict) -> None:
    assert parse_verdict(text) == verdict


@pytest.mark.parametrize(
    "text", ["", "ACCEPT", "DROP; reboot", "REJECT --reject-with", "-j DROP", "reject with \x1b[2J", "LOG"]
)
def test_other_blocktypes_are_refused(text: str) -> None:
    with pytest.raises(ActionError, match="blocktype") as refusal:
        parse_verdict(text)
    assert str(refusal.value).isprintable()


def test_the_icmp_name_follows_the_family() -> None:
    verdict = parse_verdict("REJECT --reject-with icmp-port-unreachable")
    assert verdict.iptables(ipv6=True)[-1] == "icmp6-port-unreachable"
    assert verdict.iptables(ipv6=False)[-1] == "icmp-port-unreachable"


def test_a_bracket_option_beats_the_family_variant_of_the_file() -> None:
    in_file = {"blocktype": "REJECT", "blocktype?family=inet6": "REJECT --reject-with icmp6-no-route"}
    assert parse_parameters(action(properties=in_file)).verdict6 == Verdict("no-route")
    assert parse_parameters(action(properties=in_file, blocktype="DROP")).verdict6 == Verdict()
    both = parse_parameters(action(properties=in_file, blocktype="DROP", **{"blocktype?family=inet6": "REJECT"}))
    assert (both.verdict4, both.verdict6) == (Verdict(), Verdict("port-unreachable"))


@pytest.mark.parametrize(
    ("name", "options", "protocols", "ports"),
    [
        ("ipset", {"port": "ssh", "protocol": "tcp,udp"}, ("tcp", "udp"), ((22, 22),)),
        ("ipset", {"port": "ssh", "protocol": "all"}, ("tcp", "udp"), ((22, 22),)),
        ("ipset", {"type": "allports", "protocol": "all"}, (), ()),
        ("ipset", {"port": "0:65535"}, ("tcp",), ()),
        ("iptables-allports", {"port": "ssh"}, ("tcp",), ()),
        ("iptables-ipset-proto6-allports", {"protocol": "icmp"}, ("icmp",), ()),
        ("iptables-multiport", {}, ("tcp",), ((22, 22),)),
        ("nftables", {"type": "oneport", "port": "25"}, ("tcp",), ((25, 25),)),
    ],
)
def test_protocols_and_ports(name: str, options: dict[str, str], protocols: tuple[str, ...], ports: Ports) -> None:
    parameters = parse_parameters(action(name, **options))
    assert (parameters.protocols, parameters.ports) == (protocols, ports)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("protocol", "tcp; id"),
        ("protocol", ""),
        ("protocol", "--help"),
        ("protocol", "icmp"),
        ("chain", "INPUT -j ACCEPT;id"),
        ("chain", "-F"),
        ("chain", ""),
        ("chain", "$(id)"),
        ("chain", "A" * 29),
        ("type", "custom"),
        ("maxelem", "many"),
        ("maxelem", "9" * 5000),
        ("port", "a" * 1_000_000),
        ("blocktype", "REJECT --reject-with tcp-reset --jump ACCEPT"),
    ],
)
def test_a_wrong_value_is_refused_by_key_and_action_in_one_short_line(key: str, value: str) -> None:
    with pytest.raises(ActionError, match=key) as refusal:
        parse_parameters(action(**{key: value}))
    assert str(refusal.value).startswith("action ipset: ")
    assert len(str(refusal.value)) < 400
    assert str(refusal.value).isprintable()


def test_tcp_reset_needs_tcp() -> None:
    with pytest.raises(ActionError, match="tcp-reset"):
        parse_parameters(action(protocol="udp", blocktype="REJECT --reject-with tcp-reset"))


def test_several_chains() -> None:
    assert parse_parameters(action(chain="INPUT, DOCKER-USER")).chains == ("INPUT", "DOCKER-USER")


@pytest.mark.parametrize(
    ("options", "native"),
    [
        ({}, True),
        ({"native": "no"}, False),
        ({"native": "yes"}, True),
        ({"blocktype": "RETURN", "returntype": "DROP"}, False),
        ({"returntype": "RETURN"}, True),
    ],
)
def test_what_is_left_to_the_action_file(options: dict[str, str], native: bool) -> None:
    assert is_native(action("iptables", **options)) is native


@given(st.text(min_size=1, max_size=300), st.text(min_size=1, max_size=300))
def test_names_fit_the_kernel_and_stay_different(one: str, other: str) -> None:
    names = [kernel_name("f2b-", name, "6") for name in (one, other)]
    assert all(
        len(name) <= 31 and name.isascii() and name.replace("-", "").replace(".", "").isprintable() for name in names
    )
    assert all(name.startswith("f2b-") and not set(name) & set(" \t\n\"'\\/$;`{}") for name in names)
    assert (names[0] == names[1]) == (one == other)


def test_ordinary_names_stay_as_they_are() -> None:
    assert kernel_name("f2b-", "sshd") == "f2b-sshd"
    assert kernel_name("f2b-", "apache-auth", "6") == "f2b-apache-auth6"


def test_an_empty_name_is_refused() -> None:
    with pytest.raises(ActionError, match="name="):
        kernel_name("f2b-", "")
