"""What this host and its environment have to say of a configuration."""

import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from gateway.config import assemble
from gateway.errors import ConfigurationError, Problem
from gateway.state import unappendable, unwritable


def problems(*sets: str, environ: dict[str, str] | None = None) -> list[Problem]:
    with pytest.raises(ConfigurationError) as caught:
        assemble({}, environ or {}, sets)
    return list(caught.value.problems)


@pytest.mark.parametrize("name", ["TICKGATE_OPS_PORT", "TICKGATE_LISTEN_PORT"])
@pytest.mark.parametrize("value", ["tcp://10.0.0.1:9464", "udp://[fd00::1]:9464"])
def test_what_a_platform_makes_of_a_service_s_name_is_not_ours(name: str, value: str) -> None:
    assemble({}, {name: value, f"{name}_9464_TCP_PORT": "9464"})
    (one,) = problems(environ={name: "9464"})
    assert one.key == name


def test_where_the_host_does_not_say_what_cpus_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(_: int) -> set[int]:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.sched_getaffinity", denied)
    assert assemble({}, {}, ["plane.cpu=0"]).plane.cpu == 0
    (one,) = problems(f"plane.cpu={os.cpu_count()}")
    assert one.key == "plane.cpu"


def test_a_log_file_that_nothing_gets_into(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for where, why in {
        f"{tmp_path}/new/tickgate.log": f"{tmp_path}/new is no directory",
        f"{tmp_path}/file/tickgate.log": "Not a directory",
        str(tmp_path): f"{tmp_path} is a directory",
        "a\0b": "it cannot be looked at",
        "x" * 300: "it cannot be looked at",
    }.items():
        (one,) = problems(f"log.file={json.dumps(where)}")
        assert one.key == "log.file"
        assert why in one.message


def test_a_log_file_of_somebody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "tickgate.log"
    assert unappendable(file) == ""
    file.touch()
    assert unappendable(file) == ""
    assert unappendable(Path("/dev/null")) == ""
    monkeypatch.setattr("os.access", lambda *_: False)
    assert unappendable(file) == f"{file} cannot be written by this user"
    assert unappendable(tmp_path / "other") == f"{tmp_path} cannot be written by this user"


def test_a_file_system_that_is_mounted_read_only_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)
    monkeypatch.setattr("os.statvfs", lambda _: SimpleNamespace(f_flag=os.ST_RDONLY))
    why = f"{tmp_path} is on a file system that is mounted read-only"
    assert unwritable(tmp_path / "new") == unappendable(tmp_path / "file") == why


def test_a_socket_and_an_audit_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    nowhere = json.dumps(f"{tmp_path}/file/admin.sock")
    assert [one.key for one in problems(f"admin.unix={nowhere}")] == ["admin.unix"]
    assert [one.key for one in problems(f"admin.unix={'x' * 108}")] == ["admin.unix"]
    nowhere = json.dumps(f"{tmp_path}/file/audit")
    assert [one.key for one in problems(f"audit.path={nowhere}")] == ["audit.path"]
    sets = [f'admin.unix="{tmp_path}/new.sock"', f'audit.path="{tmp_path}/new/audit"']
    assert assemble({}, {}, sets).audit.path
