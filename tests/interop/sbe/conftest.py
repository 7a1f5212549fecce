"""Programs in Java and C++ whose codecs Real Logic's SBE tool generates from our schema."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from gateway.codec import sbe

HERE = Path(__file__).parent
# Values of enums that a later version adds are told apart, not thrown.
GENERATOR = (
    "-Dsbe.decode.unknown.enum.values=true",
    "-Dsbe.validation.stop.on.error=true",
    "-Dsbe.validation.warnings.fatal=true",
)


def need(*programs: str) -> None:
    """Skips by the name of the first program that is not there."""
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"program {program} is absent")


def run(command: Sequence[str], directory: Path) -> None:
    """Runs a step of a build; its words are the test's, if it fails."""
    done = subprocess.run(
        command, cwd=directory, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, f"{command[0]}: {done.stdout[-3000:]}{done.stderr[-3000:]}"


@pytest.fixture(scope="session")
def tool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The SBE tool's jar."""
    need("mvn", "java")
    jars = tmp_path_factory.mktemp("sbe-tool")
    command = ["mvn", "--batch-mode", "--quiet", "--file", str(HERE / "pom.xml")]
    command += ["dependency:copy-dependencies", f"-DoutputDirectory={jars}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    if done.returncode:
        pytest.skip(f"maven cannot fetch sbe-all: {done.stdout[-500:]}{done.stderr[-500:]}")
    (jar,) = jars.glob("sbe-all-*.jar")
    return jar


def generate(tool: Path, language: str, directory: Path) -> Path:
    """The directory of the codecs that the tool makes of the schema as the gateway gives it."""
    file = directory / "schema.xml"
    file.write_bytes(sbe.schema())
    options = [*GENERATOR, f"-Dsbe.target.language={language}", "-Dsbe.output.dir=codecs"]
    run(["java", *options, "-jar", str(tool), file.name], directory)
    return directory / "codecs"


@pytest.fixture(scope="session")
def java(tool: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command of the program in Java."""
    need("javac")
    directory = tmp_path_factory.mktemp("java")
    sources = [str(path) for path in generate(tool, "Java", directory).rglob("*.java")]
    options = ["-cp", str(tool), "-d", "classes"]
    run(["javac", *options, *sources, str(HERE / "Client.java")], directory)
    # Agrona's buffers reach into the JDK, and ask for this.
    opened = "java.base/jdk.internal.misc=ALL-UNNAMED"
    return ["java", "--add-opens", opened, "-cp", f"{tool}:{directory / 'classes'}", "Client"]


@pytest.fixture(scope="session")
def cpp(tool: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command of the program in C++."""
    need("g++")
    directory = tmp_path_factory.mktemp("cpp")
    codecs = generate(tool, "Cpp", directory)
    warnings = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-isystem", str(codecs)]
    run(
        ["g++", "-std=c++17", "-O1", *warnings, str(HERE / "client.cpp"), "-o", "client"], directory
    )
    return [str(directory / "client")]
