"""A rerank service: one model, one process, all cores of its container.

    pip install '.[onnx,openvino,service]'    # from a clone
    ARTIFICER_MODEL=dist/artificer/demo-reranker uvicorn app:app --app-dir examples/service --port 8080
    curl localhost:8080/rerank -H 'content-type: application/json' \\
         -d '{"query": "how do plants eat?", "documents": ["At noon.", "Plants make food from light."], "top_n": 1}'

`/rerank` takes Cohere's form (`documents`, `top_n`, `return_documents`) and TEI's (`texts`, `raw_scores`,
`return_text`), and answers in the form of the request. `refine: "exact"` with a `top_n` gives the order of a float32
execution. `/health` says that the process lives, `/ready` that it serves.
`python examples/service/app.py --prove --port 8080`, or RERANK_PROVE=1, proves the model on this machine at the first
start, about a minute. Later starts with the same cache use that record: int8 then runs on classes of CPU that the
builder did not have (docs/how-to/prove-where-you-serve.md).
On SIGTERM uvicorn stops accepting, lets running requests end, and then the model is closed.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

import artificer
from artificer.errors import ArtificerError, DeadlineError, InputError, OverloadedError

TIMEOUT = float(os.environ.get("RERANK_TIMEOUT", "10"))
PROVE = os.environ.get("RERANK_PROVE") == "1"
MAX_PENDING = int(os.environ.get("RERANK_MAX_PENDING", "64"))

Text = Annotated[str, Field(max_length=200_000)]
Texts = Annotated[list[Text], Field(max_length=1_000)]


class Query(BaseModel):
    """A request in Cohere's form, or in TEI's."""

    model_config = ConfigDict(extra="ignore")

    query: Text
    documents: Texts | None = None
    top_n: Annotated[int, Field(ge=1)] | None = None
    return_documents: bool = False
    texts: Texts | None = None
    raw_scores: bool = False
    return_text: bool = False
    refine: Literal["exact"] | None = None


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Load before the first request, in this process: a runtime does not survive a fork."""
    prove = getattr(app.state, "prove", PROVE)
    with artificer.load(os.environ["ARTIFICER_MODEL"], warm=True, prove=prove, max_pending=MAX_PENDING) as reranker:
        app.state.reranker = reranker
        yield
        app.state.reranker = None


app = FastAPI(title="rerank", lifespan=lifespan)


@app.post("/rerank", response_model=None)
async def rerank(asked: Query, request: Request) -> dict[str, Any] | list[dict[str, Any]] | JSONResponse:
    """Rank the documents by their relevance to the query."""
    texts = asked.texts if asked.documents is None else asked.documents
    if texts is None or (asked.documents is not None and asked.texts is not None):
        return JSONResponse({"message": "expected either documents or texts"}, 422)
    reranker: artificer.Reranker = request.app.state.reranker
    ranking = await reranker.arank(
        asked.query,
        texts,
        top_k=asked.top_n,
        return_documents=asked.return_documents or asked.return_text,
        activation_fn="identity" if asked.raw_scores else None,
        timeout=TIMEOUT,
        refine=asked.refine,
    )
    if asked.texts is not None:
        return [
            {"index": row["corpus_id"], "score": float(row["score"])} | ({"text": row["text"]} if "text" in row else {})
            for row in ranking
        ]
    results = [
        {"index": row["corpus_id"], "relevance_score": float(row["score"])}
        | ({"document": {"text": row["text"]}} if "text" in row else {})
        for row in ranking
    ]
    return {"results": results, "meta": {"model": reranker.manifest.slug, "variant": reranker.explain().variant}}


@app.get("/health")
async def health() -> dict[str, str]:
    """The process lives."""
    return {"status": "ok"}


@app.get("/ready", response_model=None)
async def ready(request: Request) -> dict[str, Any] | JSONResponse:
    """The model is loaded and self-tested."""
    reranker = getattr(request.app.state, "reranker", None)
    if reranker is None:
        return JSONResponse({"status": "loading"}, 503)
    return {"status": "ready", **reranker.explain().to_dict()}


@app.exception_handler(ArtificerError)
async def refuse(_: Request, error: Exception) -> JSONResponse:
    """Answer an error of Artificer with the status that a client can act on."""
    kinds: dict[type[Exception], int] = {InputError: 422, OverloadedError: 429, DeadlineError: 504}
    status = next((code for kind, code in kinds.items() if isinstance(error, kind)), 500)
    headers = {"Retry-After": "1"} if status == 429 else None
    return JSONResponse({"message": str(error)}, status, headers)


def main() -> None:
    """The service without uvicorn's own command line."""
    import argparse

    import uvicorn

    parser = argparse.ArgumentParser(description="A rerank service of the model in ARTIFICER_MODEL.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--prove", action="store_true", help="prove the model on this machine at the first start")
    given = parser.parse_args()
    app.state.prove = given.prove or PROVE
    uvicorn.run(app, host=given.host, port=given.port)


if __name__ == "__main__":
    main()
