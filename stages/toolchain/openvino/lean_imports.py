"""Importing optimum-intel without what is not used of it."""

from collections.abc import Iterator
from contextlib import contextmanager

from stages.core import environment


@contextmanager
def lean_imports() -> Iterator[None]:
    """In the block, optimum-intel believes that packages which nothing here uses of it are not installed. Importing
    them takes seconds."""
    with environment.hidden("sentence_transformers", "sklearn", "datasets"):
        yield
