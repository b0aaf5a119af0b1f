"""The builder: one module per stage, run by `dvc repro` as `python -m stages <stage> [slug]`."""
