"""The runtime's built folder, for the documents' examples."""

from tests.runtime.conftest import published

__all__ = ["published"]
