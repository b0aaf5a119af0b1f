"""What all tests share."""

from hypothesis import settings

# The same examples on every run, so that one commit has one verdict; `--hypothesis-profile=default` draws new ones.
settings.register_profile("repeatable", derandomize=True)
settings.load_profile("repeatable")
