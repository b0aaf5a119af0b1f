"""Import optimum-intel without optional packages that nothing here uses."""

from collections.abc import Iterator
from contextlib import contextmanager

from stages.core import environment


@contextmanager
def lean_imports() -> Iterator[None]:
    """In the block, these packages seem not to be installed. Importing them takes seconds."""
    with environment.hidden("sentence_transformers", "sklearn", "datasets"):
        yield
