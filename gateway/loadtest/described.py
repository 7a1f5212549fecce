"""What a field of a result means: for its JSON schema and docs/bench-result.md."""

from msgspec import Meta


def described(text: str) -> Meta:
    """The annotation of a field."""
    return Meta(description=text)
