"""Which execution of a model runs on a machine: a pure function of manifest, host and policy. Opens nothing."""
