"""Failed attempts are counted of an address, or of the network that an IPv6 host is in."""

from gateway.identity import attempts as module
from gateway.identity.attempts import MINUTE_NS, Attempts


def test_an_address_waits_for_the_rest_of_the_minute_that_its_first_failure_began() -> None:
    attempts = Attempts(2)
    attempts.failed("192.0.2.1", 0)
    assert attempts.wait_s("192.0.2.1", 1) == 0
    attempts.failed("192.0.2.1", MINUTE_NS // 2)
    assert attempts.wait_s("192.0.2.1", MINUTE_NS // 2) == 30
    assert attempts.wait_s("192.0.2.1", MINUTE_NS - 1) == 1
    assert attempts.wait_s("192.0.2.1", MINUTE_NS) == 0
    assert attempts.wait_s("192.0.2.2", MINUTE_NS // 2) == 0
    attempts.failed("192.0.2.1", MINUTE_NS)  # the first one of another minute
    assert attempts.wait_s("192.0.2.1", MINUTE_NS) == 0
    attempts.failed("192.0.2.1", MINUTE_NS + 1)
    assert attempts.wait_s("192.0.2.1", MINUTE_NS + 1) == 60


def test_all_of_a_network_of_ipv6_count_as_one() -> None:
    attempts = Attempts(1)
    attempts.failed("2001:db8:1:2::1", 0)
    assert attempts.wait_s("2001:db8:1:2:ffff::9%eth0", 0) == 60
    assert attempts.wait_s("2001:db8:1:3::1", 0) == 0
    attempts.failed("::ffff:192.0.2.1", 0)
    assert attempts.wait_s("192.0.2.1", 0) == 60
    assert attempts.wait_s("::ffff:192.0.2.2", 0) == 0
    attempts.failed("", 0)  # of this host, by a socket that has no address
    assert attempts.wait_s("", 0) == 60


def test_the_oldest_are_forgotten() -> None:
    attempts = Attempts(1)
    for n in range(module.ADDRESSES_MAX + 3):
        attempts.failed(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}", 0)
    assert len(attempts) == module.ADDRESSES_MAX
    assert attempts.wait_s("10.0.0.2", 0) == 0
    assert attempts.wait_s("10.0.0.3", 0) == 60
