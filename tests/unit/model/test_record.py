"""The channels, against the native core's own table."""

from gateway import _native
from gateway.model.record import CHANNELS, CHANNELS_PLANNED


def test_numbers_are_the_native_cores() -> None:
    assert {name: channel.number for name, channel in CHANNELS.items()} == _native.CHANNELS


def test_channels_go_by_their_own_name() -> None:
    assert all(channel.name == name for name, channel in CHANNELS.items())
    assert not set(CHANNELS) & set(CHANNELS_PLANNED)
