"""A Hugging Face Space: two executions of a published package on the same documents.

    pip install -r examples/space/requirements.txt    # in an environment of its own: gradio and the builder do not mix
    ARTIFICER_MODEL=acme/my-reranker-fast python examples/space/space.py

Nothing is built and nothing is sent to anybody else.
"""

import os
from functools import cache
from statistics import median
from time import perf_counter
from typing import Any

import artificer

CALLS = 5
EXAMPLE = (
    "how do I stop a tap from dripping",
    "Brass is an alloy.\n"
    "A dripping tap stops when you replace its washer.\n"
    "Tap water is treated before it reaches homes.",
)


@cache
def loaded(variant: str) -> Any:
    """The model with that variant, or the one that `load` chooses for an empty text."""
    return artificer.load(os.environ["ARTIFICER_MODEL"], variant=variant or None, accuracy="any")


def names() -> list[str]:
    """What this machine may run, the fastest first."""
    chosen = loaded("").explain()
    return [chosen.variant, *chosen.alternatives]


def scored(variant: str, query: str, documents: list[str]) -> tuple[list[float], float]:
    """Scores, and the median time of five calls in milliseconds."""
    model, pairs = loaded(variant), [(query, document) for document in documents]
    scores, times = model.predict(pairs), []
    for _ in range(CALLS):
        start = perf_counter()
        scores = model.predict(pairs)
        times.append(1000 * (perf_counter() - start))
    return [float(score) for score in scores], median(times)


def compared(query: str, text: str, first: str, second: str) -> tuple[str, list[list[Any]]]:
    """A line with both times, and a row for each document: scores, ranks, and whether its rank moved."""
    documents = [line.strip() for line in text.splitlines() if line.strip()]
    if not documents:
        return "Write a document on each line.", []
    (a, a_time), (b, b_time) = (scored(name, query, documents) for name in (first, second))
    a_ranks, b_ranks = ranks(a), ranks(b)
    rows = [
        [document, a[i], a_ranks[i], b[i], b_ranks[i], "moved" if a_ranks[i] != b_ranks[i] else ""]
        for i, document in enumerate(documents)
    ]
    return f"A: {a_time:.1f} ms, B: {b_time:.1f} ms", sorted(rows, key=lambda row: row[2])


def ranks(scores: list[float]) -> list[int]:
    """The rank of each score, from 1; equal scores keep their order."""
    order = sorted(range(len(scores)), key=lambda i: (-scores[i], i))
    return [order.index(i) + 1 for i in range(len(scores))]


def main() -> None:
    """Serve the page."""
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    import gradio

    found = names()
    with gradio.Blocks(title="Try a reranker") as page:
        query = gradio.Textbox(EXAMPLE[0], label="Query")
        documents = gradio.Textbox(EXAMPLE[1], lines=6, label="Documents, one on a line")
        with gradio.Row():
            first = gradio.Dropdown(found, value=found[-1], label="Execution A")
            second = gradio.Dropdown(found, value=found[0], label="Execution B")
        button = gradio.Button("Score")
        times = gradio.Markdown()
        table = gradio.Dataframe(headers=["document", "A", "rank", "B", "rank", ""], interactive=False)
        button.click(compared, [query, documents, first, second], [times, table])
    page.launch(ssr_mode=False)


if __name__ == "__main__":
    main()
