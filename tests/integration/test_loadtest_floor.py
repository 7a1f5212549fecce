"""The bare send loop as a process, with clients of another library."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from support.serving import until
from websockets.sync.client import ClientConnection, connect

from gateway.loadtest.floor import response
from gateway.loadtest.ports import free_tcp_port, free_udp_port

TIMEOUT_S = 60.0
KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"


@contextmanager
def floor_process(port: int, udp_port: int, clients: int) -> Iterator[subprocess.Popen[bytes]]:
    words = [sys.executable, "-P", "-m", "gateway.loadtest.floor"]
    words += [f"--port={port}", f"--udp-port={udp_port}", f"--clients={clients}"]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdout=pipe, stderr=pipe) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def ended(process: subprocess.Popen[bytes]) -> dict[str, int]:
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, err) == (0, b"")
    counters: dict[str, int] = json.loads(out)
    return counters


def opened(stack: ExitStack, port: int, count: int) -> list[ClientConnection]:
    return [stack.enter_context(connect(f"ws://127.0.0.1:{port}")) for _ in range(count)]


def test_the_key_is_answered_as_the_rfc_has_it() -> None:
    for head in (b"GET / HTTP/1.1\r\n", b"GET /v1?x HTTP/1.1\r\nHost: a\r\n"):
        for key in (KEY, KEY.lower().replace(b"dghlihnhbxbszsbub25jzq", b"dGhlIHNhbXBsZSBub25jZQ")):
            answer = response(head + key + b"\r\n")
            assert answer is not None
            assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in answer
    assert response(b"POST / HTTP/1.1\r\n" + KEY + b"\r\n") is None
    assert response(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n") is None


def test_every_line_reaches_every_client_and_is_counted() -> None:
    port, udp_port = free_tcp_port(), free_udp_port()
    with (
        floor_process(port, udp_port, 3) as process,
        ExitStack() as stack,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        assert refusal(port).startswith(b"HTTP/1.1 400 ")
        clients = opened(stack, port, 3)
        clients[0].send("what clients say is ignored")
        expected = [f"tick {k}" + "x" * k for k in range(200)]
        sender.connect(("127.0.0.1", udp_port))
        # What came before the last client was there is thrown away, so the first lines tell who is.
        until(lambda: heard(clients[2], sender), TIMEOUT_S)
        for first in range(0, len(expected), 3):
            sender.send("\n".join(expected[first : first + 3]).encode())
        for client in clients:
            got = [message for message in messages(client, expected[-1]) if message != "?"]
            assert got == expected
        counters = ended(process)
    hellos = counters["ticks"] - len(expected)
    assert counters["clients"] == 3
    assert counters["cut_off"] == 0
    assert counters["datagrams"] == hellos + -(-len(expected) // 3)
    assert counters["sends"] == 3 * counters["datagrams"]
    assert counters["deliveries"] == 3 * counters["ticks"]
    assert counters["bytes"] > 3 * sum(map(len, expected))
    assert counters["cpu_ns"] > 0


def refusal(port: int) -> bytes:
    """The answer to a request that asks for no WebSocket."""
    with socket.create_connection(("127.0.0.1", port), TIMEOUT_S) as client:
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        return client.recv(4096)


def heard(client: ClientConnection, sender: socket.socket) -> bool:
    """Whether a tick of "?" has come round."""
    sender.send(b"?")
    try:
        return client.recv(timeout=0.1) == "?"
    except TimeoutError:
        return False


def messages(client: ClientConnection, last: str) -> Iterator[str]:
    while True:
        message = client.recv(timeout=TIMEOUT_S)
        assert isinstance(message, str)
        yield message
        if message == last:
            return


def test_a_client_that_leaves_is_cut_off_and_the_others_stay() -> None:
    port, udp_port = free_tcp_port(), free_udp_port()
    with (
        floor_process(port, udp_port, 2) as process,
        ExitStack() as stack,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        assert process.stdout is not None
        process.stdout.readline()
        leaving, staying = opened(stack, port, 2)
        sender.connect(("127.0.0.1", udp_port))
        until(lambda: heard(staying, sender), TIMEOUT_S)
        leaving.socket.close()
        for k in range(100):
            sender.send(b"tick %d" % k)
        assert list(messages(staying, "tick 99"))[-100:] == [f"tick {k}" for k in range(100)]
        assert ended(process)["cut_off"] == 1


def test_it_can_be_stopped_while_it_waits_for_clients() -> None:
    with floor_process(free_tcp_port(), free_udp_port(), 2) as process:
        assert process.stdout is not None
        process.stdout.readline()
        counters = ended(process)
    assert (counters["clients"], counters["datagrams"]) == (0, 0)


def test_a_busy_port_is_said_and_is_exit_69() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with floor_process(port, free_udp_port(), 1) as process:
            out, err = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, out) == (69, b"")
    assert f"{port}" in err.decode()
    assert "in use" in err.decode()
