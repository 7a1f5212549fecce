"""The machine and the versions: found where they are, unknown where not, and nobody's name."""

import os
import platform
import shutil
import subprocess
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import msgspec
import pytest

from gateway.loadtest import environment as module
from gateway.loadtest.environment import environment
from gateway.loadtest.result import Environment

Git = Callable[..., str]

INTEL = """\
processor\t: 0
vendor_id\t: GenuineIntel
cpu family\t: 6
model\t\t: 85
model name\t: Example CPU @ 3.00GHz

processor\t: 1
model name\t: Example CPU @ 3.00GHz
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A directory of a project called tickgate, with the package two levels down."""
    root = tmp_path / "checkout"
    package = root / "lib" / "gateway"
    package.mkdir(parents=True)
    (package / "environment.py").touch()
    (root / "pyproject.toml").write_text('[project]\nname = "tickgate"\n')
    return root


@pytest.fixture
def git(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Git:
    """Runs git in the checkout, which is a repository with one commit."""
    if shutil.which("git") is None:
        pytest.skip("program git is absent")
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)  # as in a hook: they would point at another repository
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, os.devnull)

    def run(*arguments: str) -> str:
        who = ("-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=no")
        command = ("git", "-C", str(checkout), *who, *arguments)
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
        return done.stdout.strip()

    run("init", "-q")
    run("add", "pyproject.toml")
    run("commit", "-q", "-m", "one")
    return run


def commit_at(checkout: Path) -> str | None:
    return environment(checkout / "lib" / "gateway" / "environment.py").commit


# --- the whole ------------------------------------------------------------------------------------


def test_it_is_this_process_on_this_machine() -> None:
    found = environment()
    assert found.cores == len(os.sched_getaffinity(0)) >= 1
    assert found.kernel == f"{platform.system()} {platform.release()}"
    assert found.python == f"CPython {platform.python_version()}"
    assert found.tickgate == metadata.version("tickgate")
    assert found.cpu
    assert found.os
    assert found.machine_load >= 0
    assert msgspec.json.decode(msgspec.json.encode(found), type=Environment) == found


def test_cores_are_those_that_it_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3})
    assert environment().cores == 1


def test_libraries_are_what_tickgate_needs() -> None:
    libraries = environment().libraries
    assert libraries["numpy"] == metadata.version("numpy")
    assert libraries["msgspec"] == metadata.version("msgspec")
    assert "pytest" not in libraries  # needed by its developers alone
    assert list(libraries) == sorted(libraries)


def test_a_library_that_is_absent_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    needs = ["numpy>=2", 'not-installed; sys_platform == "x"', 'hdrhistogram; extra == "x"']
    monkeypatch.setattr(metadata, "requires", lambda _: needs)
    assert list(environment().libraries) == ["numpy"]


def test_no_name_of_host_user_or_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    system = platform.uname()
    monkeypatch.setattr(platform, "uname", lambda: system._replace(node="the-hosts-name"))
    for name in ("HOME", "USER", "LOGNAME"):
        monkeypatch.setenv(name, "/home/the-users-name")
    text = msgspec.json.encode(environment()).decode()
    for name in ("the-hosts-name", "the-users-name", str(Path(module.__file__).parent)):
        assert name not in text


# --- the processor --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (INTEL, "Example CPU @ 3.00GHz"),
        ("processor : 0\n\nModel\t\t: Example Board Rev 1.2\n", "Example Board Rev 1.2"),
        ("cpu\t\t: POWER9, altivec supported\n", "POWER9, altivec supported"),
        ("model name\t:\ncpu model\t: Example V1\n", "Example V1"),
        ("processor : 0\nFeatures : fp\n", platform.machine()),
        ("", platform.machine()),
        (None, platform.machine()),
    ],
)
def test_the_processors_name(tmp_path: Path, text: str | None, name: str) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    if text is not None:
        cpuinfo.write_text(text)
    assert module._cpu(cpuinfo) == name


def test_a_distribution_without_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> dict[str, str]:
        raise OSError("no os-release")

    monkeypatch.setattr(platform, "freedesktop_os_release", absent)
    assert environment().os == "unknown"


@pytest.mark.parametrize(("text", "line"), [("tsc\n", "tsc"), ("\n", None), (None, None)])
def test_a_setting_of_the_kernel(tmp_path: Path, text: str | None, line: str | None) -> None:
    path = tmp_path / "current_clocksource"
    if text is not None:
        path.write_text(text)
    assert module._line(path) == line


# --- the commit -----------------------------------------------------------------------------------


def test_the_commit_of_the_checkout(checkout: Path, git: Git) -> None:
    assert commit_at(checkout) == git("rev-parse", "HEAD")[:12]
    git("tag", "-a", "v1", "-m", "v1")  # a tag is a name for people: the commit is what is told
    assert commit_at(checkout) == git("rev-parse", "HEAD")[:12]


def test_changed_files_show(checkout: Path, git: Git) -> None:
    with (checkout / "pyproject.toml").open("a") as file:
        file.write("# changed\n")
    assert commit_at(checkout) == f"{git('rev-parse', 'HEAD')[:12]}+"


def test_a_second_worktree_is_a_checkout_too(checkout: Path, git: Git, tmp_path: Path) -> None:
    git("worktree", "add", "-q", str(tmp_path / "other"))
    package = tmp_path / "other" / "lib" / "environment.py"
    assert environment(package).commit == git("rev-parse", "HEAD")[:12]


@pytest.mark.parametrize(
    "project", ['[project]\nname = "other"\n', "[project]\n", "no toml", "project = 5\n", None]
)
def test_somebody_elses_checkout_is_not_ours(checkout: Path, git: Git, project: str | None) -> None:
    assert git("rev-parse", "HEAD")
    (checkout / "pyproject.toml").unlink()
    if project is not None:
        (checkout / "pyproject.toml").write_text(project)
    assert commit_at(checkout) is None


def test_no_checkout_no_commit(checkout: Path) -> None:
    assert commit_at(checkout) is None


def test_a_checkout_without_commits_has_none(checkout: Path) -> None:
    (checkout / ".git").mkdir()  # which git takes for no repository
    assert commit_at(checkout) is None


@pytest.mark.parametrize(
    "error", [FileNotFoundError("git"), subprocess.TimeoutExpired("git", 5.0), PermissionError()]
)
def test_without_git_there_is_no_commit(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    (checkout / ".git").mkdir()
    monkeypatch.setattr(subprocess, "run", fail)
    assert commit_at(checkout) is None
