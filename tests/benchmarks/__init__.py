"""Benchmarks: importable functions that return results; `exchange bench` prints them."""
