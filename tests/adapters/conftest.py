"""The runtime's fixtures, for the adapters."""

from tests.runtime.conftest import manifest, own_cache, published, reranker

__all__ = ["manifest", "own_cache", "published", "reranker"]
