"""Feeds that speak to venues over the Internet.

A venue is a value (`venue.py`): what to send, what its answers mean, a table of facts. `session.py`
is one connection of it, sans-IO; `socket.py` and `rest.py` are the ways there, `shard.py` keeps the
connections of some symbols, and `feed.py` joins them. Decoding is `feeds/venues/`, as for captures.
"""
