"""Tests of the runtime, the builder, and the tools."""
