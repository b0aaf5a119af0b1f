"""The page that does things, on this machine alone: try executions, add and build a model, publish it."""
