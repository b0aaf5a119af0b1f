"""What every stage and command stands on: paths, files, parameters, errors, child processes."""
