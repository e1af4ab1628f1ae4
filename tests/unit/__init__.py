"""Tests of pure functions and small objects: no database, no network."""
