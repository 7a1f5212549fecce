"""Exceptions for misuse and lost resources, with the exit code each becomes. Expected outcomes are values."""


class TickgateError(Exception):
    """Base of all; `exit_code` is what the command line ends with."""

    exit_code = 1


class ResourceError(TickgateError):
    """A port or a bus is not to be had."""

    exit_code = 69


class ConfigurationError(TickgateError):
    """The configuration is wrong; the text lists every error with its key."""

    exit_code = 78
