"""Bids and asks, and the sequencer: one writer for each partition of the book."""
