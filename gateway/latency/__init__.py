"""Latency as data: the stages, their histograms, and what the statistics pages hold."""
