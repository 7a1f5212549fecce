"""Whose directories a run removes: those of runs that were killed, and nobody else's."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.loadtest import scratch as module
from gateway.loadtest.scratch import OWNER, PREFIX, scratch

HOLDS = (
    "from gateway.loadtest.scratch import scratch\n"
    "import os, time\n"
    "with scratch() as path:\n"
    "    print(path, flush=True)\n"
    "    time.sleep(60)\n"
)


@pytest.fixture
def parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@contextmanager
def run(parent: Path) -> Iterator[tuple[Path, "subprocess.Popen[str]"]]:
    """A process that holds a directory in `parent`."""
    argv = [sys.executable, "-P", "-c", HOLDS]
    environment = os.environ | {"TMPDIR": str(parent)}
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            yield Path(process.stdout.readline().strip()), process
        finally:
            process.kill()


def test_it_goes_with_what_is_in_it(parent: Path) -> None:
    with scratch() as path:
        Path(path, "left").write_text("something")
        assert list(parent.iterdir()) == [Path(path)]
    assert list(parent.iterdir()) == []


def test_what_a_killed_run_left_goes_with_the_next_one(parent: Path) -> None:
    with run(parent) as (left, process):
        (left / "recording").write_text("of its gateway")
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert left.is_dir()
        with scratch():
            assert not left.exists()


def test_what_somebody_holds_stays(parent: Path) -> None:
    with run(parent) as (held, process):
        process.send_signal(signal.SIGSTOP)  # alive, if not well
        with scratch() as path, scratch() as another:
            assert {held, Path(path), Path(another)} == set(parent.iterdir())
    assert held.exists(), "it was killed"


def test_what_may_be_anybody_s_stays(
    parent: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / OWNER).touch()
    (parent / f"{PREFIX}link").symlink_to(elsewhere)
    (parent / f"{PREFIX}before").mkdir()  # of an earlier version
    (parent / f"{PREFIX}file").touch()
    (parent / "other").mkdir()
    (parent / "other" / OWNER).touch()
    before = {path.name for path in parent.iterdir()}
    with scratch() as path:
        assert {one.name for one in parent.iterdir()} == before | {Path(path).name}
    assert (elsewhere / OWNER).exists()


def test_another_user_s_stays(parent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = parent / f"{PREFIX}left"
    left.mkdir()
    (left / OWNER).touch()
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with scratch():
        assert left.exists()


def test_one_that_is_taken_before_it_is_locked_is_made_anew(
    parent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, looks = module._locked, []

    def locked(file: int) -> bool:
        looks.append(file)
        if len(looks) == 1:
            module._sweep(parent)
            return lock(file)
        return lock(file)

    monkeypatch.setattr(module, "_locked", locked)
    with scratch() as path:
        assert Path(path, OWNER).exists()
        assert list(parent.iterdir()) == [Path(path)]
    assert len(looks) == 3
