"""Runs a build and shows its compiler's steps alone; all it said, where it fails."""

import re
import subprocess
import sys

STEP = re.compile(r"\[[0-9]+/[0-9]+\] (Compiling|Linking) ")
KEPT_LINES = 100


def main(words: list[str]) -> int:
    said: list[str] = []
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            said = [*said[1 - KEPT_LINES :], line]
            step = STEP.search(line)
            if step:
                print("  " + line[step.start() :].rstrip()[:100], flush=True)
    if process.returncode:
        sys.stderr.write("".join(said))
    return process.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
