"""TLS stacks of others read a gateway: Go's, Node's and Java's; Python's are in `integration`."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.certificates import Authority
from support.serving import Serving, serving
from support.udp import Venue

HERE = Path(__file__).parent / "tls"
COUNT = 1000


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """It has signed nothing here."""
    return Authority(tmp_path_factory.mktemp("stranger"))


@pytest.fixture(scope="module")
def secure(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A gateway over TLS, in which A.SIM ticks."""
    cert, key = authority.sign("server", "IP:127.0.0.1")
    sets = (f"tls.cert={cert}", f"tls.key={key}", "ops.tls=false")
    log = tmp_path_factory.mktemp("secure") / "log"
    with (
        Venue() as venue,
        serving(log, *sets, *venue.sets) as one,
        venue.ticking("A", every_s=0.001),
    ):
        yield one


def need(*programs: str) -> None:
    """Skips by the name of the first program that is not there."""
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"program {program} is absent")


def built(*command: str, directory: Path) -> None:
    """Runs a step of a build; its words are the test's, if it fails."""
    environment = os.environ | {"GOTOOLCHAIN": "local"}
    done = subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, timeout=240, check=False
    )
    assert done.returncode == 0, f"{command[0]}: {done.stderr.decode()[-3000:]}"


@pytest.fixture(scope="module")
def go(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command of the program in Go."""
    need("go")
    program = tmp_path_factory.mktemp("go") / "client"
    options = ("-mod=readonly", "-buildvcs=false", "-o", str(program))
    built("go", "build", *options, ".", directory=HERE)
    return [str(program)]


@pytest.fixture(scope="module")
def java(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command of the program in Java."""
    need("javac", "java")
    directory = tmp_path_factory.mktemp("java")
    built("javac", "-d", str(directory), str(HERE / "Client.java"), directory=HERE)
    return ["java", "-cp", str(directory), "Client"]


@pytest.fixture(scope="module")
def node(project: Path) -> list[str]:
    """The command of the client with npm's `ws`, which takes its authorities from a variable."""
    return ["node", str(project / "client.mjs")]


def talked(command: list[str], url: str, authorities: str) -> dict[str, Any]:
    """What the program says in the end."""
    done = subprocess.run(
        [*command, url, str(COUNT), authorities],
        env=os.environ | {"NODE_EXTRA_CA_CERTS": authorities},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    said: dict[str, Any] = json.loads(done.stdout)
    return said


each_stack = pytest.mark.parametrize("stack", ["go", "java", "node"])


@each_stack
def test_a_subscription(
    secure: Serving, authority: Authority, stack: str, request: pytest.FixtureRequest
) -> None:
    command = request.getfixturevalue(stack)
    before = secure.metrics()
    seen = talked(command, secure.url, authority.cert)
    assert "error" not in seen
    first = seen["seqs"][0]
    assert seen["seqs"] == list(range(first, first + COUNT))
    assert seen["code"] == 1000
    assert seen.get("tls", True)
    secure.rises(before, "tls_handshakes_total", "ok")
    secure.rises(before, "closes_total", "1000")


@each_stack
def test_a_certificate_of_somebody_else_s(
    secure: Serving, stranger: Authority, stack: str, request: pytest.FixtureRequest
) -> None:
    """Each of them looks at the chain, or the test before would show nothing."""
    said = talked(request.getfixturevalue(stack), secure.url, stranger.cert)
    assert "cert" in said["error"].lower()
    assert not said.get("seqs")
