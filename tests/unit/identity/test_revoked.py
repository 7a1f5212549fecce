"""The file of what no longer counts: a line is added whole and readable, or not at all."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.identity.revoked import Revocation, add, encode, read


@contextmanager
def files_of_at_most(count: int) -> Iterator[None]:
    """As a disk that is full behind so many bytes of each file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (count, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_line_that_does_not_fit_leaves_nothing(tmp_path: Path) -> None:
    file = tmp_path / "revoked"
    add(file, Revocation(jti="a"))
    before = file.read_bytes()
    for room in (0, 1, len(before) - 1):
        with files_of_at_most(len(before) + room), pytest.raises(OSError, match=r"No space|large"):
            add(file, Revocation(jti="b"))
        assert file.read_bytes() == before
    add(file, Revocation(jti="b"))
    assert read(file.read_bytes()).has("x", "b", "", None)


def test_a_line_that_nobody_could_read_is_not_added(tmp_path: Path) -> None:
    file = tmp_path / "revoked"
    with pytest.raises(ValueError, match=r"\$\.jti"):
        add(file, Revocation(jti="x" * 129))
    assert not file.exists()


def test_a_file_that_nobody_can_read_is_told(tmp_path: Path) -> None:
    file = tmp_path / "revoked"
    file.write_bytes(b"half")
    with pytest.raises(ValueError, match="no gateway reads the file: line 1"):
        add(file, Revocation(jti="a"))
    assert file.read_bytes() == b"half\n" + encode(Revocation(jti="a"))
