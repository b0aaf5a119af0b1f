"""The model list: entries, locks, checkpoints, sources, and the commands on them."""
