"""How far one session's results are from the reference: one way for `parity` and for fallback recipes."""
