"""The front doors: each dialect is a value (`dialect.py`), and behind all is the same gateway."""
