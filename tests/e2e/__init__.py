"""Tests of the whole: a real server process, real HTTP, real kill -9."""
