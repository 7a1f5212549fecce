"""The directory of recordings: its place, its names, its bounds."""

import os
from pathlib import Path

import pytest

from gateway.recorder import files


@pytest.mark.parametrize(
    ("configured", "environ", "where"),
    [
        ("/x/y", {"HOME": "/h", "STATE_DIRECTORY": "/s"}, "/x/y"),
        ("", {"HOME": "/h", "XDG_STATE_HOME": "/x", "STATE_DIRECTORY": "/s:/t"}, "/s/recordings"),
        ("", {"HOME": "/h", "XDG_STATE_HOME": "/x"}, "/x/tickgate/recordings"),
        ("", {"HOME": "/h", "XDG_STATE_HOME": ""}, "/h/.local/state/tickgate/recordings"),
        ("", {}, "tickgate-recordings"),
    ],
)
def test_where(configured: str, environ: dict[str, str], where: str) -> None:
    assert files.directory(configured, environ) == Path(where)


def test_names_sort_by_time() -> None:
    early = files.name(1_795_270_576_007_000_001, "breached")
    assert early == "tickgate-20261121T141616.007Z-breached.tgrec"
    assert early < files.name(1_795_270_576_010_000_000, "breached")


def put(where: Path, number: int, size: int) -> str:
    name = files.name(number * 10**9, "breached")
    path, fd = files.create(where, name)
    with open(fd, "wb") as file:
        file.write(bytes(size))
    assert files.finish(path) == where / name
    return name


def test_the_oldest_go_first(tmp_path: Path) -> None:
    where = tmp_path / "made" / "here"
    names = [put(where, number, 100) for number in range(5)]
    assert where.stat().st_mode & 0o77 == 0
    assert (where / names[0]).stat().st_mode & 0o77 == 0
    assert files.prune(where, 4, 10_000) == names[:1]
    assert files.prune(where, 4, 250) == names[1:3]
    assert files.prune(where, 4, 1) == names[3:4]
    assert os.listdir(where) == names[4:], "the newest stays"


def test_what_is_not_ours_stays_and_what_was_left_unfinished_goes(tmp_path: Path) -> None:
    files.create(tmp_path, files.name(1, "breached"))
    (tmp_path / "notes.tgrec").write_text("a person's")
    (tmp_path / "tickgate-notes.txt").write_text("too")
    (tmp_path / "tickgate-a-directory.tgrec").mkdir()
    assert files.prune(tmp_path, 1, 1) == [files.name(1, "breached") + files.PART]
    assert len(os.listdir(tmp_path)) == 3
