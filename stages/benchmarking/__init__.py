"""The benchmark: what is timed, in which groups, each subject in a process of its own, over how many rounds."""
