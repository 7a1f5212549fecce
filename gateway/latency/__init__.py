"""Latency as data: stages, histograms, what the pages hold, and whether the objective holds."""
