"""Many models: each built in a workspace of its own, on this machine or on others; one merge at the end."""
