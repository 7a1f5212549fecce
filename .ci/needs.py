"""Says what this system lacks to build Tickgate, by the names of Debian's packages.

Run by the Python that is to build it; exit code 1 if something is missing. With `--requirements` it
prints what the package needs to run, as pip reads it.
"""

import os
import shutil
import sys
import sysconfig
from importlib.util import find_spec

PYTHON_MIN = (3, 11)


def missing(version: tuple, include: str, modules: list, compilers: list) -> list:
    """(package, why) of each thing that is not there.

    Args:
        version: of Python.
        include: the directory of its headers.
        modules: names of modules that cannot be imported.
        compilers: paths of those that were found.
    """
    found = []
    if version < PYTHON_MIN:
        found.append(("python3", "Python 3.11 or later; this is " + ".".join(map(str, version))))
    if not os.path.exists(os.path.join(include, "Python.h")):
        found.append(("python3-dev", "Python.h, this Python's headers, is not in " + include))
    if modules:
        found.append(("python3-venv", "no module " + ", ".join(modules)))
    if not compilers:
        found.append(("gcc libc6-dev", "no C compiler: neither cc, gcc nor clang"))
    return found


def main(words: list) -> int:
    if words == ["--requirements"]:
        import tomllib

        with open("pyproject.toml", "rb") as file:
            print("\n".join(tomllib.load(file)["project"]["dependencies"]))
        return 0
    compiler = os.environ.get("CC", "").split()[:1]
    found = missing(
        sys.version_info[:2],
        sysconfig.get_path("include"),
        [name for name in ("ensurepip", "venv") if find_spec(name) is None],
        list(filter(shutil.which, [*compiler, "cc", "gcc", "clang"])),
    )
    for package, why in found:
        print(f"missing: {why} (Debian, Ubuntu: apt-get install {package})", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
