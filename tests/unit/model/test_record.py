"""The channels, against the native core's own table."""

from gateway import _native
from gateway.model.record import CHANNELS


def test_the_table_is_the_native_cores() -> None:
    ours = {(c.key, c.number, c.fed, c.fields) for c in CHANNELS.values()}
    assert ours == set(_native.KINDS)
    assert {c.key: c.number for c in CHANNELS.values()} == _native.CHANNELS


def test_a_field_of_one_name_is_the_same_in_all_kinds() -> None:
    """A line's members are read before its channel is known."""
    fields = {field for channel in CHANNELS.values() for field in channel.fields}
    assert len({field.name for field in fields}) == len(fields)


def test_channels_go_by_their_own_key() -> None:
    assert all(channel.key == name for name, channel in CHANNELS.items())
