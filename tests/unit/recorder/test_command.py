"""`tickgate record`: what it writes, and what it says where it can't."""

import io
import os
import resource
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from websockets.sync.server import ServerConnection, serve

from gateway.recorder.command import RecordFailed, record

MESSAGE = bytes(1 << 20)


@contextmanager
def gateway() -> Iterator[str]:
    """One whose recordings have a beginning that nobody knows."""

    def answer(connection: ServerConnection) -> None:
        connection.send(MESSAGE)

    with serve(answer, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.socket.getsockname()[1]}/"
        finally:
            server.shutdown()
            thread.join()


def test_what_is_no_recording_is_not_kept(tmp_path: Path) -> None:
    output = tmp_path / "now.tgr"
    with gateway() as ops, pytest.raises(RecordFailed, match="not a recording"):
        record(ops, output, None, io.StringIO())
    assert [*tmp_path.iterdir()] == []


def test_a_gateway_of_this_host_is_asked_directly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with gateway() as ops:
        for each in (ops, ops.replace("127.0.0.1", "localhost")):
            with pytest.raises(RecordFailed, match="not a recording"):
                record(each, tmp_path / "now.tgr", None, io.StringIO())
    with pytest.raises(RecordFailed, match=r"HTTP proxy|refused"):
        record("http://192.0.2.1/", tmp_path / "now.tgr", None, io.StringIO())


@pytest.mark.parametrize(
    "ops", ["http://[::1", "http://127.0.0.1:99999/", "127.0.0.1:0", "", "http://"]
)
def test_what_is_no_address_is_said(ops: str, tmp_path: Path) -> None:
    with pytest.raises(RecordFailed, match=r"Invalid IPv6|Port out of range|no address"):
        record(ops, tmp_path / "now.tgr", None, io.StringIO())
    assert [*tmp_path.iterdir()] == []


def test_only_a_file_is_replaced(tmp_path: Path) -> None:
    """Or `--output /dev/null` would leave root without one."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for output in (fifo, tmp_path):
        with pytest.raises(RecordFailed, match="no file"):
            record("http://127.0.0.1:1/", output, None, io.StringIO())
    assert stat.S_ISFIFO(fifo.stat().st_mode)


def test_a_disk_that_takes_no_more_is_not_the_gateway(tmp_path: Path) -> None:
    output = tmp_path / "now.tgr"
    with gateway() as ops:
        run = subprocess.run(
            [sys.executable, "-P", "-m", "gateway.cli", "record", "--ops", ops, "-o", str(output)],
            capture_output=True,
            text=True,
            timeout=30,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
            check=False,
        )
    assert run.returncode == 1
    assert f"{output}: [Errno 27] File too large" in run.stderr
    assert "Does the gateway run" not in run.stderr
    assert [*tmp_path.iterdir()] == []
