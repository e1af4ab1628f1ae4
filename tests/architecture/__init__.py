"""Tests of the source tree itself: what import-linter cannot see."""
