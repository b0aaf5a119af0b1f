"""Proving an execution where it runs: a session compared with the reference's outputs, and the figures judged.

Needs no torch: the builder's `parity` and the runtime use the same code. Reference outputs come from the builder.
"""
