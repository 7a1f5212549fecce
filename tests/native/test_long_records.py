"""Records longer than any that feeds bring as yet: the core's test kind, through the recorder.

The core's own tests (native/test) have it in ring, table, rewind, plane and templates.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
NATIVE = TESTS.parent / "native"


def test_records_of_any_length_are_recorded_byte_for_byte(tmp_path: Path) -> None:
    table = tmp_path / "kinds.so"
    command = ["cc", "-std=c11", "-D_GNU_SOURCE", "-DGW_TEST_KINDS", "-shared", "-fPIC"]
    subprocess.run([*command, str(NATIVE / "gw_kind.c"), "-o", str(table)], check=True)
    # The table of kinds that is loaded first is everybody's.
    environment = os.environ | {"LD_PRELOAD": str(table), "PYTHONPATH": str(TESTS)}
    program = [sys.executable, "-P", "-m", "support.long_records", str(tmp_path)]
    done = subprocess.run(
        program, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    found = re.fullmatch(r"(\d+) records, (\d+) bytes\n", done.stdout)
    assert found
    assert int(found[2]) > 3 << 20
