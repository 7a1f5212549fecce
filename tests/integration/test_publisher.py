"""Other programs publish through a real gateway: the Python class, and the example in C."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.fleet import Client
from support.serving import Serving, serving, until

from gateway.publish import Publisher

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "clients/c/publish.c"


@contextmanager
def gateway(tmp_path: Path) -> Iterator[tuple[Serving, str]]:
    path = str(tmp_path / "feed.sock")
    sets = ("feeds.0.type=publisher", f"feeds.0.unix={path}", "feeds.0.venue=OWN")
    with serving(tmp_path / "log", *sets) as served:
        yield served, path


def ids(client: Client, count: int) -> list[str]:
    """Of so many trades."""
    found: list[str] = []
    for message in client.each():
        if message.get("channel") == "trade":
            found += [one["id"] for one in message["data"]]
        if len(found) >= count:
            break
    return found


def feed(served: Serving) -> dict[str, object]:
    (one,) = served.status()["feeds"]
    assert isinstance(one, dict)
    return one


def test_nothing_is_lost_over_the_end_of_the_feed_s_process(tmp_path: Path) -> None:
    with gateway(tmp_path) as (served, path), Client(served.url) as client:
        assert feed(served)["state"] == "connecting"
        client.ask("subscribe", channel="trade", symbol=["A.OWN"])
        with Publisher(path, "desk-7") as publisher:
            for number in range(1000):
                publisher.trade("A", "100.10", "1", id=str(number))
            publisher.flush()
            assert ids(client, 1000) == [str(number) for number in range(1000)]
            until(lambda: feed(served)["state"] == "up")  # told once a second
            before = served.pid("feed")
            os.kill(before, signal.SIGKILL)
            for number in range(1000, 2000):
                publisher.trade("A", "100.10", "1", id=str(number))
            publisher.flush()
            assert served.pid("feed") != before
            assert publisher.reconnects >= 1
        found = ids(client, 1000)
        assert sorted(set(map(int, found))) == list(range(1000, 2000))
        until(lambda: feed(served)["state"] == "down")


def test_who_may_not_open_the_socket_cannot_publish(tmp_path: Path) -> None:
    with gateway(tmp_path) as (_, path):
        assert os.stat(path).st_mode & 0o777 == 0o660


def test_a_path_that_is_not_to_be_had_is_one_clear_line(tmp_path: Path) -> None:
    path = tmp_path / "none" / "feed.sock"
    with (
        pytest.raises(AssertionError) as caught,
        serving(tmp_path / "log", "feeds.0.type=publisher", f"feeds.0.unix={path}"),
    ):
        pass
    assert f"feeds.0.unix: cannot listen on {path}: No such file" in str(caught.value)
    assert "Traceback" not in str(caught.value)


def test_the_example_in_c(tmp_path: Path) -> None:
    program = tmp_path / "publish"
    words = ["cc", "-O1", "-Wall", "-Wextra", "-Werror", "-fsanitize=address,undefined"]
    subprocess.run([*words, "-o", str(program), str(EXAMPLE)], check=True, timeout=60)
    with gateway(tmp_path) as (served, path), Client(served.url) as client:
        client.ask("subscribe", channel="trade", symbol=["A.OWN"])
        run = [str(program), path, "desk-8", "A", "2000"]
        done = subprocess.run(run, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stdout) == (0, "2000 of 2000 acknowledged\n"), done.stderr
        assert ids(client, 2000) == [str(number) for number in range(1, 2001)]
        run = [str(program), path, "a b", "A", "1"]
        done = subprocess.run(run, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 1
        assert "publisher" in done.stderr
    done = subprocess.run(run, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 69
