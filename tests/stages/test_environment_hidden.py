"""Optional packages that an import is to do without."""

import sys

from stages.core import environment


def test_a_hidden_package_cannot_be_imported_in_the_block_and_can_after_it() -> None:
    """Nothing of it remains in sys.modules."""
    with environment.hidden("chunk_of_nothing"):
        assert sys.modules["chunk_of_nothing"] is None
    assert "chunk_of_nothing" not in sys.modules


def test_a_package_that_is_imported_already_stays() -> None:
    """Other code holds it, and it costs nothing any more."""
    with environment.hidden("json"):
        import json

        assert json.loads("1") == 1
    assert sys.modules["json"] is json
