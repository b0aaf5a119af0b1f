"""Fallback recipes of an int8 variant that misses its thresholds."""
