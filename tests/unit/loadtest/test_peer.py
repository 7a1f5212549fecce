"""A peer that can't run here is named with the reason, and the others run."""

import shutil
from pathlib import Path

import pytest

from gateway.loadtest.peer import PEERS, Absent, Peer, Ready, prepare

SCRIPT = Peer("one", "one.py", "msgspec")
MODULE = Peer("two", "two", "example.invalid/two")


def reason(peer: Peer, directory: Path) -> str:
    found = prepare(peer, directory, directory)
    assert isinstance(found, Absent), found
    return found.reason


@pytest.fixture
def module(tmp_path: Path) -> Path:
    """An empty Go module."""
    if shutil.which("go") is None:
        pytest.skip("program go is absent")
    directory = tmp_path / MODULE.program
    directory.mkdir()
    (directory / "go.mod").write_text("module tickgate/two\n\ngo 1.19\n")
    return directory


def test_a_script_runs_with_this_python(tmp_path: Path) -> None:
    (tmp_path / SCRIPT.program).touch()
    found = prepare(SCRIPT, tmp_path, tmp_path)
    assert isinstance(found, Ready)
    assert found.command[1:] == (str(tmp_path / "one.py"),)
    assert found.version.startswith("msgspec 0.")


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    said = reason(SCRIPT, tmp_path)
    assert said.startswith(f"{tmp_path / 'one.py'} is not there")
    assert "checkout of tickgate" in said


def test_a_package_that_is_not_installed(tmp_path: Path) -> None:
    (tmp_path / SCRIPT.program).touch()
    peer = Peer("one", SCRIPT.program, "no_such_package")
    assert reason(peer, tmp_path) == "the Python package no_such_package is not installed"


@pytest.mark.parametrize(("name", "program"), [("nats", "nats-server"), ("gorilla", "go")])
def test_a_program_that_is_not_installed(
    name: str, program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = Path(__file__).parents[3] / "bench" / "peers"
    monkeypatch.setenv("PATH", str(tmp_path))
    found = prepare(PEERS[name], directory, tmp_path)
    assert found == Absent(f"{program} is not installed")


def test_a_module_for_a_newer_go(module: Path) -> None:
    (module / "go.mod").write_text("module tickgate/two\n\ngo 99.1\n")
    assert reason(MODULE, module.parent).startswith("needs Go 99.1, this is go")


def test_a_module_that_does_not_compile(module: Path) -> None:
    (module / "main.go").write_text("package main\n\nfunc main() { oops }\n")
    assert reason(MODULE, module.parent) == "go build: ./main.go:3:15: undefined: oops"


def test_every_peer_is_there() -> None:
    directory = Path(__file__).parents[3] / "bench" / "peers"
    assert all((directory / peer.program).exists() for peer in PEERS.values())
