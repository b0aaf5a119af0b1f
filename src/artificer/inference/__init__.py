"""From pairs of texts to scores on an open session."""
