"""Feeds: where records come from. `build.build` makes them from options; each has its own thread.

Nothing is imported here: `options` is read by the configuration, which `config check` and `doctor`
need at once and also where the native core does not load.
"""
