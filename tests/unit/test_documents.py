"""Limits, versions and examples that documents have are those of the code."""

import json
from pathlib import Path

import pytest

from gateway._native import DECIMALS_MAX, DIGITS_MAX, EXPONENT_MAX, ID_MAX, REASON_MAX
from gateway.config import assemble
from gateway.errors import ConfigurationError
from gateway.model.topic import SYMBOL_MAX
from gateway.recording import MAGIC, VERSION

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("protocol.md", f"{DIGITS_MAX} significant digits"),
        ("protocol.md", f"more than {DIGITS_MAX} digits"),
        ("protocol.md", f"{DECIMALS_MAX} digits after the point"),
        ("protocol.md", f"exponent is -{EXPONENT_MAX} to {EXPONENT_MAX}"),
        ("protocol.md", f"`id` is at most {ID_MAX} characters"),
        ("protocol.md", f"SYMBOL: 1 to {SYMBOL_MAX} bytes"),
        ("protocol.md", f"field and why, in at most {REASON_MAX} characters"),
        ("recorder.md", f"{MAGIC.hex(' ')}` ("),
        ("recorder.md", f"version (u32, {VERSION})"),
    ],
)
def test_what_a_page_says_is_so(page: str, text: str) -> None:
    assert text in (DOCS / page).read_text()


# --- examples of configs/deploy -------------------------------------------------------------------


DEPLOY = DOCS.parent / "configs/deploy"


def test_the_container_s_command_is_a_good_configuration() -> None:
    lines = (DEPLOY / "Containerfile").read_text().splitlines()
    (command,) = [json.loads(line.removeprefix("CMD ")) for line in lines if line[:4] == "CMD "]
    assert set(command[::2]) == {"--set"}
    config = assemble({}, {}, command[1::2])
    assert (config.listen.host, config.ops.host) == ("::", "::")


@pytest.mark.parametrize("name", ["nginx.conf", "haproxy.cfg", "Containerfile"])
def test_the_examples_have_the_usual_ports(name: str) -> None:
    config, text = assemble({}, {}), (DEPLOY / name).read_text()
    assert str(config.listen.port) in text
    assert str(config.ops.port) in text


def test_the_unit_gives_up_where_a_restart_helps_nothing() -> None:
    text = (DEPLOY / "tickgate.service").read_text()
    assert f"RestartPreventExitStatus={ConfigurationError.exit_code}\n" in text
    assert "ExecReload=/bin/kill -HUP $MAINPID\n" in text
