"""A decimal as it is sent in JSON: as a text, or as a number by its digits. Pure."""

import msgspec

_decode_text = msgspec.json.Decoder(str).decode


def optional(raw: msgspec.Raw, field: str) -> str | None:
    """The same where `null` says that there is no value."""
    return None if bytes(raw) == b"null" else number(raw, field)


def number(raw: msgspec.Raw, field: str) -> str:
    """The text of a member; whether it is a decimal is the record's business.

    Raises:
        ValueError: neither a text nor a number, naming the field.
    """
    value = bytes(raw)
    if value[:1] == b'"':
        return _decode_text(value)
    if value[:1] in b"-0123456789":
        return value.decode("ascii")
    raise ValueError(f"{field} is neither a number nor its text: {value[:60].decode()}")
