"""Running graphs to measure them: scores for parity, seconds for the benchmark."""
