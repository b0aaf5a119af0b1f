import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runtime.conftest import ROOT, Copy

httpx = pytest.importorskip("httpx")
pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

DOCUMENTS = ["Cats need little light.", "Lake Baikal reaches a depth of 1,642 metres."]
QUERY = "how deep is the deepest lake"


@pytest.fixture(scope="module")
def service(
    published: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[int, "subprocess.Popen[bytes]"]]:
    """The example, started with uvicorn as its README says, on a free port of loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        "ARTIFICER_MODEL": str(published),
        "ARTIFICER_CACHE": str(tmp_path_factory.mktemp("service-cache")),
    }
    command = [sys.executable, "-m", "uvicorn", "app:app", "--app-dir", "examples/service", "--port", str(port)]
    with subprocess.Popen([*command, "--log-level", "warning"], cwd=ROOT, env=environment) as process:
        for _ in range(600):
            try:
                if httpx.get(f"http://127.0.0.1:{port}/ready").status_code == 200:
                    break
            except httpx.TransportError:
                assert process.poll() is None
            time.sleep(0.05)
        yield port, process
        process.kill()


def test_it_answers_in_cohere_and_tei_form(service: tuple[int, object]) -> None:
    """The form of the question decides that of the answer; readiness explains the choice."""
    base = f"http://127.0.0.1:{service[0]}"
    cohere = httpx.post(
        f"{base}/rerank", json={"query": QUERY, "documents": DOCUMENTS, "return_documents": True}
    ).json()
    assert [row["index"] for row in cohere["results"]] == [1, 0]
    assert cohere["results"][0]["document"]["text"] == DOCUMENTS[1]
    tei = httpx.post(f"{base}/rerank", json={"query": QUERY, "texts": DOCUMENTS, "raw_scores": True}).json()
    assert [row["index"] for row in tei] == [1, 0]
    assert httpx.get(f"{base}/health").json() == {"status": "ok"}
    assert httpx.get(f"{base}/ready").json()["variant"] == cohere["meta"]["variant"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"query": QUERY}, 422),
        ({"query": QUERY, "documents": [1]}, 422),
        ({"documents": DOCUMENTS}, 422),
        ({"query": QUERY, "documents": DOCUMENTS, "top_n": 0}, 422),
        ({"query": QUERY, "documents": []}, 200),
    ],
)
def test_bad_requests_are_the_clients_fault(service: tuple[int, object], body: dict[str, object], status: int) -> None:
    """A 4xx, never a 500; no documents are no fault."""
    assert httpx.post(f"http://127.0.0.1:{service[0]}/rerank", json=body).status_code == status


def test_it_holds_under_load_and_stops_gracefully(service: "tuple[int, subprocess.Popen[bytes]]") -> None:
    """The load test's own run, small: every answer right; then SIGTERM ends it with no error."""
    port, process = service
    command = [
        sys.executable,
        "examples/service/load_test.py",
        "--port",
        str(port),
        "--clients",
        "8",
        "--requests",
        "40",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) in (0, -signal.SIGTERM)


def test_it_proves_the_model_at_its_first_start(copied: Copy, tmp_path: Path) -> None:
    """`--prove`: the record is in the cache when the service is ready, and `/ready` says so."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "ARTIFICER_MODEL": str(copied("onnx")), "ARTIFICER_CACHE": str(tmp_path / "cache")}
    command = [sys.executable, "examples/service/app.py", "--prove", "--port", str(port)]
    with subprocess.Popen(command, cwd=ROOT, env=environment) as process:
        try:
            for _ in range(1200):
                try:
                    ready = httpx.get(f"http://127.0.0.1:{port}/ready").json()
                    break
                except httpx.TransportError:
                    assert process.poll() is None
                time.sleep(0.05)
            assert "executions passed" in ready["own_proof"]
            assert len(list((tmp_path / "cache").glob("proofs/*/*.json"))) == 1
        finally:
            process.kill()
