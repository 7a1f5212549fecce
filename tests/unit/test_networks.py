"""Addresses in whatever form they come; what is trusted, what is loopback, what counts as one."""

import pytest

from gateway.config import assemble
from gateway.errors import ConfigurationError
from gateway.networks import Networks, canonical, is_loopback, network_problem, shared_by


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("", ""),
        ("localhost", ""),
        ("192.0.2", ""),
        ("192.0.2.1:80", ""),
        ("0300.0.2.1", ""),
        ("::\0", ""),
        ("1.2.3.4\0", ""),
    ],
)
def test_an_address_has_one_form(text: str, address: str) -> None:
    assert canonical(text) == address


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::9%eth0", "fe80::/64"),
    ],
)
def test_what_an_address_is_counted_as(address: str, name: str) -> None:
    assert shared_by(address) == name


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("LocalHost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.0.2.1", False),
        ("gateway.example", False),
        ("", False),
    ],
)
def test_what_is_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


def test_what_is_in_a_network() -> None:
    networks = Networks(["10.0.0.0/8", "192.0.2.7", "2001:db8::/32"])
    inside = ("10.255.0.1", "::ffff:10.0.0.1", "192.0.2.7", "2001:db8:ffff::1")
    outside = ("11.0.0.1", "192.0.2.8", "2001:db9::1", "", "10.0.0", "unix", "::a00:1")
    assert [address for address in (*inside, *outside) if address in networks] == list(inside)
    assert networks
    assert not Networks([])


@pytest.mark.parametrize("text", ["10.0.0.1/8", "10.0.0.0/33", "proxy.example", "", "10.0.0.0-9"])
def test_what_is_no_network_is_told(text: str) -> None:
    assert network_problem(text).startswith("expected an address or a network")
    with pytest.raises(ConfigurationError) as caught:
        assemble({"listen": {"trusted_proxies": ["10.0.0.0/8", text]}}, {})
    assert [problem.key for problem in caught.value.problems] == ["listen.trusted_proxies.1"]


def test_somebody_must_be_trusted_to_say_whose_a_connection_is() -> None:
    with pytest.raises(ConfigurationError) as caught:
        assemble({}, {}, ["listen.proxy_protocol=true"])
    assert [problem.key for problem in caught.value.problems] == ["listen.proxy_protocol"]
