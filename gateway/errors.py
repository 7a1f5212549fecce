"""Exceptions for misuse and lost resources, with the exit code that each becomes.

Expected outcomes are values.
"""

from collections.abc import Sequence
from typing import NamedTuple

from gateway.text import escaped


class TickgateError(Exception):
    """Base of all; `exit_code` is what the command line ends with."""

    exit_code = 1


class ResourceError(TickgateError):
    """A port or a bus is not to be had."""

    exit_code = 69


class Problem(NamedTuple):
    """One error of the configuration: the key's path, what was found and what is allowed."""

    key: str
    message: str
    origin: str = ""  # where the value came from: a file, an environment variable, --set

    def __str__(self) -> str:
        where = f" ({self.origin})" if self.origin else ""
        # A key or a file's name may hold anything.
        return escaped(f"{self.key}{where}: {self.message}")


class ConfigurationError(TickgateError):
    """The configuration is wrong; the text lists every error with its key."""

    exit_code = 78

    def __init__(self, message: str, problems: Sequence[Problem] = ()) -> None:
        super().__init__("\n  ".join([message, *map(str, problems)]))
        self.problems = tuple(problems)
