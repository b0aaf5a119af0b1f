"""NanoBEIR: queries with their first candidates of BM25, to be ranked again."""

from collections.abc import Iterator
from typing import Any

from stages.core.params import DataSet
from stages.records.pairs import Pair
from stages.texts.hub_sets import hub_rows

CANDIDATES = 100


def nanobeir_pairs(data_set: DataSet, revision: str) -> Iterator[Pair]:
    """Each query with BM25's first candidates, as sentence-transformers' CrossEncoderNanoBEIREvaluator reads them."""
    for split in data_set.splits:

        def table(config: str, key: str, split: str = split) -> dict[str, Any]:
            return {str(row[key]): row for _, row in hub_rows(data_set, revision, config, split)}

        corpus, queries = table("corpus", "_id"), table("queries", "_id")
        relevant: dict[str, set[str]] = {}
        for _, row in hub_rows(data_set, revision, "qrels", split):
            ids = row["corpus-id"]
            relevant.setdefault(str(row["query-id"]), set()).update([ids] if isinstance(ids, str) else ids)
        for query_id, row in table("bm25", "query-id").items():
            right = relevant.get(query_id, set())
            found = row["corpus-ids"][:CANDIDATES]
            # The evaluator adds the positives that BM25 missed (always_rerank_positives).
            for corpus_id in [*sorted(right - set(found)), *found]:
                yield Pair(
                    query=queries[query_id]["text"],
                    passage=corpus[corpus_id]["text"],
                    label=2.0 if corpus_id in right else 0.0,
                )
