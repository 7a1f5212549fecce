"""Feeds: where records come from. `build` makes them from options; each runs on its own thread."""
