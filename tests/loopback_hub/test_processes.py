"""The loopback Hub across processes: restarts, the command line, clients of their own."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest
import requests
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError

from tests.loopback_hub.client import ROOT, add, commit, noise, run_client, sha256
from tools.loopback_hub import Fault, Hub, Tokens, running_hub

DEMO = ROOT / "registry/demo/reranker"


def test_restart(tmp_path: Path) -> None:
    """A Hub that is started again on its folder has all repos, refs and pull requests."""
    tokens = Tokens()
    with running_hub(tmp_path, tokens=tokens) as hub:
        api = HfApi(endpoint=hub.endpoint, token=tokens.write.value)
        api.create_repo("acme/model", private=True)
        commit(api, add("a.onnx", noise(10)))
        commit(api, create_pr=True)
        before = hub.store.repo("acme/model")
    with running_hub(tmp_path, tokens=tokens) as hub:
        api = HfApi(endpoint=hub.endpoint, token=tokens.write.value)
        assert hub.store.repo("acme/model") == before
        assert api.get_discussion_details("acme/model", 1).status == "open"
        assert api.model_info("acme/model").private is True
        with pytest.raises(RuntimeError, match="another Hub is serving"), running_hub(tmp_path):
            pass


@pytest.mark.usefixtures("model")
def test_second_process(hub: Hub, tmp_path: Path) -> None:
    """A client process that knows the Hub from HF_ENDPOINT publishes, repeats itself without effect, and downloads."""
    script = """
import sys
from huggingface_hub import CommitOperationAdd, create_commit, model_info, snapshot_download
def publish(**options):
    operations = [CommitOperationAdd("a.txt", b"a"), CommitOperationAdd("a.onnx", b"0" * 2_000_000)]
    return create_commit("acme/model", operations, commit_message="From afar", **options)
first, second = publish(), publish(create_pr=True)
assert first.oid == second.oid == model_info("acme/model").sha and second.pr_url is None
print(first.repo_url, snapshot_download("acme/model", revision=first.oid), "hf_xet" in sys.modules)
"""
    url, folder, xet = run_client(hub, tmp_path / "home", script).split()
    assert (url, xet) == (f"{hub.endpoint}/acme/model", "False")
    assert Path(folder).is_relative_to(tmp_path / "home" / "hub")
    assert (Path(folder) / "a.onnx").read_bytes() == b"0" * 2_000_000
    assert hub.requests.uploaded_bytes == 2_000_000


def test_by_hand(tmp_path: Path) -> None:
    """Started from the command line, the Hub prints its address and tokens, and keeps both repos and tokens."""
    command = [sys.executable, "-m", "tools.loopback_hub", "--root", str(tmp_path)]
    tokens = []
    for run in range(2):
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                lines = [process.stdout.readline() for _ in range(5)]
                endpoint, token = (line.split("=")[1].strip() for line in lines[:2])
                assert "acme" in lines[3]
                api = HfApi(endpoint=endpoint, token=token)
                assert api.repo_exists("acme/model") == bool(run)
                api.create_repo("acme/model", private=True, exist_ok=True)
                tokens.append(token)
            finally:
                process.terminate()
    assert tokens[0] == tokens[1]
    assert (tmp_path / "tokens.json").stat().st_mode & 0o077 == 0


def test_internal_error_fails_the_test(tmp_path: Path) -> None:
    """An error in the Hub itself is not mistaken for an answer of the Hub."""

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    def use() -> None:
        with running_hub(tmp_path) as hub:
            hub.store.create_repo("acme/model")
            hub.faults.add(Fault("foreign_commit", "commit", hook=broken))
            with pytest.raises(HfHubHTTPError, match=r"500 (Internal )?Server Error"):
                commit(HfApi(endpoint=hub.endpoint, token=hub.tokens.write.value))

    with pytest.raises(ExceptionGroup) as caught:
        use()
    assert caught.group_contains(ZeroDivisionError)


def test_guard(hub: Hub) -> None:
    """A test that reaches out to another machine fails, and a thread of it too."""
    with pytest.raises(RuntimeError, match="reached out"):
        requests.get("http://192.0.2.1/", timeout=1)
    errors: list[Exception] = []

    def reach_out() -> None:
        try:
            requests.get("http://example.invalid/", timeout=1)
        except RuntimeError as error:
            errors.append(error)

    thread = threading.Thread(target=reach_out)
    thread.start()
    thread.join()
    assert len(errors) == 1
    assert requests.get(f"{hub.endpoint}/api/whoami-v2", timeout=5).status_code == 401


@pytest.mark.toolchain
@pytest.mark.skipif(not (DEMO / "config.json").exists(), reason="registry/demo/reranker is not there")
def test_sentence_transformers_loads_by_repo_id(hub: Hub, tmp_path: Path) -> None:
    """A cross-encoder is loaded by repo id and revision, and scores as it does from its folder."""
    hub.store.create_repo("acme/demo", private=True)
    revision = hub.store.commit("acme/demo", {path.name: path for path in DEMO.iterdir() if path.is_file()})
    hub.store.commit("acme/demo", delete=["config.json"])
    script = """
import sys
from sentence_transformers import CrossEncoder
pairs = [("What is a cat?", "A cat is a small animal."), ("What is a cat?", "The train is late.")]
remote = CrossEncoder("acme/demo", revision=sys.argv[1], device="cpu").predict(pairs)
local = CrossEncoder(sys.argv[2], device="cpu").predict(pairs)
print((remote == local).all(), len(remote))
"""
    assert run_client(hub, tmp_path / "home", script, revision, str(DEMO)).split() == ["True", "2"]
    assert [record.path.rpartition("/")[2] for record in hub.requests.matching("download")] == [
        sha256((DEMO / "model.safetensors").read_bytes())
    ]
