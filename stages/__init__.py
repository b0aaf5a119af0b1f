"""The builder: one module a stage, run by `dvc repro` as `python -m stages <stage> [slug]`."""
