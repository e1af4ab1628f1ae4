"""Histories: what callers asked of a running exchange and were told, held against its journal."""
