"""A reranker behind other frameworks' interfaces, each in an extra of its own: `[langchain]`, `[haystack]`."""
