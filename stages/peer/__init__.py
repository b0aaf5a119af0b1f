"""sentence-transformers on a checkpoint: the scores and the tokens that a user of it gets."""
