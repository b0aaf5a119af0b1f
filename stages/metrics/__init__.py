"""The arithmetic of parity and quality, and the verdicts on it."""
