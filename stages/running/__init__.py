"""What the command line does around a stage: pre-flight, what it took, ending with its `dvc repro`."""
