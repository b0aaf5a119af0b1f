"""Tests of both halves. `tests.hub` is a Hub on loopback."""
