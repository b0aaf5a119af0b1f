"""The runtime in many environments: `python -m tools.compat` makes each and runs the same checks in it."""
