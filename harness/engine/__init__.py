"""Cells of a study: grid, stages, keys, workers, results."""
