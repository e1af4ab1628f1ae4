"""Tests on a real PostgreSQL, started from a wheel."""
