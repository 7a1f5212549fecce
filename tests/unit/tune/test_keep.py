"""The kept measurement: only a whole one of this very host and of late counts."""

import os
import stat
from pathlib import Path

import msgspec
import pytest
from support.facts import HOST, facts, host

from gateway.tune import keep
from gateway.tune.facts import Facts, Host

NOW_NS = facts().taken_ns + 60_000_000_000
DAY_NS = 86_400_000_000_000


@pytest.fixture
def where(tmp_path: Path) -> Path:
    return tmp_path / "state" / keep.NAME


def why(where: Path, now_ns: int = NOW_NS) -> str:
    found = keep.load(where, HOST, now_ns)
    assert isinstance(found, str)
    assert str(where) in found
    return found


def test_where() -> None:
    assert keep.path({"STATE_DIRECTORY": "/a:/b", "HOME": "/h"}) == Path("/a/tune.json")
    assert keep.path({"XDG_STATE_HOME": "/x", "HOME": "/h"}) == Path("/x/tickgate/tune.json")
    assert keep.path({"HOME": "/h"}) == Path("/h/.local/state/tickgate/tune.json")
    assert keep.path({}) is None


def test_what_was_kept_comes_back(where: Path) -> None:
    assert keep.save(where, facts()) == ""
    assert keep.load(where, HOST, NOW_NS) == facts()
    assert stat.S_IMODE(where.parent.stat().st_mode) == 0o700
    assert keep.save(where, facts(load=7.0)) == ""
    found = keep.load(where, HOST, NOW_NS)
    assert isinstance(found, Facts)
    assert found.load == 7.0
    assert os.listdir(where.parent) == [keep.NAME]


def test_nothing_is_there(where: Path) -> None:
    assert "not there yet" in why(where)
    assert "no home" in str(keep.load(None, HOST, NOW_NS))
    assert "no home" in keep.save(None, facts())


@pytest.mark.parametrize(
    "other",
    [
        host(4),
        host(8, quota=2.0),
        host(8, kernel="6.13.0"),
        host(8, id="fedcba9876543210"),
        host(8, cpu="Another CPU"),
    ],
)
def test_another_host_is_another_host(where: Path, other: Host) -> None:
    keep.save(where, facts(host=other))
    assert "another host" in why(where)


@pytest.mark.parametrize(
    ("seconds", "age_ns", "good"),
    [
        (10.0, 0, True), (10.0, 30 * DAY_NS, True), (10.0, 30 * DAY_NS + 1, False),
        (0.8, DAY_NS // 24, True), (0.8, DAY_NS // 24 + 1, False), (10.0, -1, False),
    ],
)  # fmt: skip
def test_age(where: Path, seconds: float, age_ns: int, good: bool) -> None:
    kept = facts(seconds=seconds)
    keep.save(where, kept)
    found = keep.load(where, HOST, kept.taken_ns + age_ns)
    assert isinstance(found, Facts) == good
    assert good or "too old" in str(found)


@pytest.mark.parametrize(
    ("seconds", "load", "good"), [(0.8, 8.0, True), (0.8, 8.1, False), (10.0, 8.1, True)]
)
def test_a_quick_one_of_a_busy_host_is_not_used_again(
    where: Path, seconds: float, load: float, good: bool
) -> None:
    keep.save(where, facts(seconds=seconds, load=load))
    found = keep.load(where, HOST, NOW_NS)
    assert isinstance(found, Facts) == good
    assert good or "host was busy" in str(found)


def changed(old: bytes, new: bytes) -> bytes:
    text = msgspec.json.encode(facts())
    assert old in text
    return text.replace(old, new)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "broken"),
        (b"\xff", "broken"),
        (b"[]", "broken"),
        (b"{}", "broken"),
        (b'{"format":1}', "broken"),
        (b"[" * 60_000, "broken"),
        (changed(b'"format":1', b'"format":2'), "another format"),
        (changed(b'"sockets":50', b'"sockets":0'), "broken"),
        (changed(b'"p50_ns":5000', b'"p50_ns":-1'), "broken"),
        (changed(b'"seconds":10.0', b'"seconds":0'), "broken"),
        (changed(b'"taken_ns":18', b'"taken_ns":' + b"9" * 100), "broken"),
        (b" " * (keep.BYTES_MAX + 1), "too large"),
    ],
)
def test_what_is_broken_is_not_there(where: Path, data: bytes, words: str) -> None:
    where.parent.mkdir()
    where.write_bytes(data)
    assert words in why(where)


def test_a_pipe_or_a_directory_in_its_place(where: Path) -> None:
    where.parent.mkdir()
    os.mkfifo(where)
    assert "not a file" in why(where)
    where.unlink()
    where.mkdir()
    assert "not a file" in why(where)
    assert str(where) in keep.save(where, facts())
    assert os.listdir(where.parent) == [keep.NAME]


def test_where_it_cannot_be_kept_the_reason_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    where = tmp_path / "file" / keep.NAME
    assert "file" in keep.save(where, facts())
    assert "Not a directory" in why(where)
