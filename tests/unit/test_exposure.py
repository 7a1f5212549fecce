"""Which listeners are refused where nobody has said that they are meant to be open."""

import itertools
from pathlib import Path

import pytest
from support.certificates import Authority

from gateway.config import assemble
from gateway.errors import ConfigurationError
from gateway.exposure import clients_problem, ops_problem

PUBLIC = ("0.0.0.0", "::", "192.0.2.1", "gateway.example")
LOCAL = ("127.0.0.1", "::1", "localhost")
TRUTHS = (False, True)


@pytest.mark.parametrize("host", [*PUBLIC, *LOCAL])
def test_clients_need_both_tls_and_authentication(host: str) -> None:
    for tls, authenticated, proxied, insecure in itertools.product(TRUTHS, repeat=4):
        problem = clients_problem(
            host, tls=tls, authenticated=authenticated, proxied=proxied, insecure=insecure
        )
        good = host in LOCAL or insecure or (authenticated and (tls or proxied))
        assert (problem == "") is good
        assert good or f"listen.host = {host!r}" in problem
        assert ("TLS" in problem) is (not good and not (tls or proxied))
        assert ("auth.mode" in problem) is (not good and not authenticated)


@pytest.mark.parametrize("host", [*PUBLIC, *LOCAL])
def test_the_ops_listener_needs_both_tls_and_a_token(host: str) -> None:
    for tls, token, insecure in itertools.product(TRUTHS, repeat=3):
        problem = ops_problem(host, tls=tls, token=token, insecure=insecure)
        assert (problem == "") is (host in LOCAL or insecure or (tls and token))


def keys(*sets: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        assemble({}, {}, sets)
    assert caught.value.exit_code == 78
    return [problem.key for problem in caught.value.problems]


def test_a_listener_for_the_world_is_refused_unless_it_is_meant() -> None:
    public = ("listen.host=0.0.0.0", "ops.host=::")
    assert keys(*public) == ["listen.insecure", "ops.insecure"]
    assert keys(*public, "listen.insecure=true") == ["ops.insecure"]
    assert assemble({}, {}, [*public, "listen.insecure=true", "ops.insecure=true"])
    proxied = ('listen.trusted_proxies=["10.0.0.0/8"]', "listen.host=0.0.0.0")
    assert keys(*proxied) == ["listen.insecure"], "a proxy alone asks nobody who they are"


def test_tls_and_who_clients_are_open_a_listener(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    cert, key = authority.sign("server", "DNS:gateway.example")
    secure = [f"tls.cert={cert}", f"tls.key={key}", f"tls.client_ca={authority.cert}"]
    public = ("listen.host=0.0.0.0", *secure)
    assert keys(*public) == ["listen.insecure"]  # TLS alone asks nobody who they are
    assert assemble({}, {}, [*public, "auth.mode=required"])  # by their certificates
    assert keys(*secure, "ops.host=::") == ["ops.insecure"]
    assert assemble({}, {}, [*secure, "auth.mode=required", "ops.host=::"])  # by their tokens
