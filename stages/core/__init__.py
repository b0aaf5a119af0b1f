"""What every stage and command uses: paths, files, parameters, errors, child processes."""
