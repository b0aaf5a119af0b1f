"""Send requests to a running service on loopback, and check every answer.

    python examples/service/load_test.py --port 8080 --clients 16 --requests 400

Bounded in count and time. Prints requests/s, the percentiles of the latency, and how many requests were refused with
status 429.
"""

import argparse
import asyncio
import statistics
import time
from collections import Counter

import httpx

QUERY = "how deep is the deepest lake"
DOCUMENTS = [
    "Lake Baikal reaches a depth of 1,642 metres, more than any other lake.",
    "Cats need about a sixth of the light that people need.",
    "Used paper is soaked, beaten to pulp, cleaned of ink, and pressed into new sheets. " * 4,
    "A luthier builds and repairs violins.",
] * 5


async def run(port: int, clients: int, requests: int, limit: float) -> int:
    """Returns 0 if every answer was right or a 429."""
    left = iter(range(requests))
    outcomes: Counter[str] = Counter()
    delays: list[float] = []
    expected: dict[int, float] = {}

    async def client(session: httpx.AsyncClient) -> None:
        for i in left:
            count = 1 + i % len(DOCUMENTS)
            start = time.perf_counter()
            answer = await session.post("/rerank", json={"query": QUERY, "documents": DOCUMENTS[:count]})
            delays.append(time.perf_counter() - start)
            if answer.status_code != 200:
                outcomes[f"status {answer.status_code}"] += 1
                continue
            results = answer.json()["results"]
            ids = sorted(row["index"] for row in results)
            scores = [row["relevance_score"] for row in results]
            first = next(row["relevance_score"] for row in results if row["index"] == 0)
            near = abs(first - expected.setdefault(0, first)) < 0.05  # int8 scores move with their batch
            right = ids == list(range(count)) and scores == sorted(scores, reverse=True) and near
            outcomes["right" if right else "WRONG"] += 1

    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as session:
        start = time.perf_counter()
        await asyncio.wait_for(asyncio.gather(*(client(session) for _ in range(clients))), limit)
        seconds = time.perf_counter() - start
    cuts = statistics.quantiles(delays, n=100)
    print(f"{requests / seconds:.0f} requests/s with {clients} clients; p50 {cuts[49] * 1e3:.0f} ms,"
          f" p95 {cuts[94] * 1e3:.0f} ms, p99 {cuts[98] * 1e3:.0f} ms; {dict(outcomes)}")  # fmt: skip
    return int(outcomes["right"] + outcomes["status 429"] != requests)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--requests", type=int, default=400)
    parser.add_argument("--limit", type=float, default=300, help="seconds")
    given = parser.parse_args()
    raise SystemExit(asyncio.run(run(given.port, given.clients, given.requests, given.limit)))
