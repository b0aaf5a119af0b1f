"""A Hugging Face Space: two executions of a published package on the same documents.

    pip install -r examples/space/requirements.txt    # in an environment of its own: gradio and the builder do not mix
    ARTIFICER_MODEL=acme/my-reranker-fast python examples/space/space.py

Nothing is built, and texts stay on the machine that serves the page.
"""

import os
import sys
from functools import lru_cache
from statistics import median
from time import perf_counter
from typing import Any

import artificer

CALLS = 5
MOST_DOCUMENTS, MOST_CHARACTERS = 50, 20_000  # a public page is asked for more than it can do
EXAMPLE = (
    "how do I stop a tap from dripping",
    "Brass is an alloy.\n"
    "A dripping tap stops when you replace its washer.\n"
    "Tap water is treated before it reaches homes.\n"
    "Plumbers charge by the hour in most cities.\n"
    "To fix a leaking faucet, turn off the water and swap the rubber seal.",
)
HEADERS = ["Document", "A", "Rank", "B", "Rank", "Difference", "Order"]


def name() -> str:
    """The package: a repository of the Hub, or a published folder."""
    found = os.environ.get("ARTIFICER_MODEL", "")
    if not found:
        sys.exit("ARTIFICER_MODEL is not set. Set it to the repository of a package, such as acme/my-reranker-fast.")
    return found


@lru_cache(maxsize=4)
def loaded(variant: str) -> Any:
    """The model with that variant, or the one that `load` chooses for an empty text."""
    return artificer.load(name(), variant=variant or None, accuracy="any")


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
    """A line with both times, and a row for each document: scores, ranks, their difference, whether its rank moved."""
    documents = [line.strip() for line in text.splitlines() if line.strip()]
    if not documents:
        return "Write a document on each line.", []
    if len(documents) > MOST_DOCUMENTS or len(query) + len(text) > MOST_CHARACTERS:
        return f"At most {MOST_DOCUMENTS} documents and {MOST_CHARACTERS:,} characters.", []
    (a, a_time), (b, b_time) = (scored(each, query, documents) for each in (first, second))
    a_ranks, b_ranks = ranks(a), ranks(b)
    rows = [
        [
            document,
            f"{a[i]:.4f}",
            a_ranks[i],
            f"{b[i]:.4f}",
            b_ranks[i],
            f"{abs(a[i] - b[i]):.1e}",
            "moved" if a_ranks[i] != b_ranks[i] else "same",
        ]
        for i, document in enumerate(documents)
    ]
    line = f"**A** {a_time:.1f} ms, **B** {b_time:.1f} ms: B is **{a_time / b_time:.2f}×** A's speed."
    return line, sorted(rows, key=lambda row: row[2])


def ranks(scores: list[float]) -> list[int]:
    """The rank of each score, from 1; equal scores keep their order."""
    order = sorted(range(len(scores)), key=lambda i: (-scores[i], i))
    return [order.index(i) + 1 for i in range(len(scores))]


def main() -> None:
    """Serve the page."""
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    import gradio

    found = names()
    plain = "onnx" if "onnx" in found else found[-1]
    # Fonts of the system: the default theme asks another host for its own.
    theme = gradio.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
    with gradio.Blocks(title=f"Try {name()}", theme=theme) as page:
        gradio.Markdown(
            f"# {name().rpartition('/')[2]}\n"
            f"Two proven executions of `{name()}` on the same documents, on this machine. `artificer.load` chooses "
            f"`{found[0]}` here. The time is the median of {CALLS} calls with all documents."
        )
        query = gradio.Textbox(EXAMPLE[0], label="Query")
        documents = gradio.Textbox(EXAMPLE[1], lines=5, label="Documents, one on a line")
        with gradio.Row():
            first = gradio.Dropdown(found, value=plain, label="Execution A")
            second = gradio.Dropdown(found, value=found[0], label="Execution B")
        button = gradio.Button("Score", variant="primary")
        times = gradio.Markdown()
        table = gradio.Dataframe(headers=HEADERS, interactive=False, wrap=True, label="Scores")
        given, shown = [query, documents, first, second], [times, table]
        # One at a time: timings beside each other would say nothing. The page shows an answer before it is asked.
        for event in (button.click, query.submit, page.load):
            event(compared, given, shown, concurrency_limit=1, concurrency_id="score")
    page.launch(ssr_mode=False, show_api=False)


if __name__ == "__main__":
    main()
