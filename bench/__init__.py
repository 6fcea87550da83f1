"""Measured comparisons: each beside the bare operation in the same run, results kept as data in bench/results."""
