"""Faults that strike a request to the loopback Hub as a whole."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from tests.loopback_hub.client import (
    LOST,
    ROOT,
    TRIES_AGAIN,
    add,
    commit,
    contents,
    noise,
    response_to,
    run_client,
    status_of,
)
from tools.loopback_hub import Fault, Hub, Store, Target


def test_rate_limit(api: HfApi, hub: Hub, model: str) -> None:
    """A 429 comes with Retry-After or without, as often as told, and nothing lands."""
    hub.faults.add(Fault("status", "commit", status=429, retry_after=7))
    hub.faults.add(Fault("status", "commit", status=429))
    head = hub.store.head(model)
    for expected in ("7", None):
        with pytest.raises(HfHubHTTPError, match="Too Many Requests") as caught:
            commit(api)
        assert status_of(caught.value) == 429
        assert response_to(caught.value).headers.get("Retry-After") == expected
    assert hub.store.head(model) == head
    assert commit(api).oid == hub.store.head(model)
    assert hub.faults.armed == []


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault("status", "commit", status=502), HfHubHTTPError),
        (Fault("reset", "commit"), LOST),
        (Fault("status", "preupload", status=500), HfHubHTTPError),
        (Fault("status", "lfs_batch", status=503), HfHubHTTPError),
        (Fault("status", "lfs_verify", status=500), RuntimeError),
        (Fault("status", "lfs_complete", status=500), RuntimeError),
    ],
)
def test_failure_before_the_commit(api: HfApi, hub: Hub, model: str, fault: Fault, error: Any) -> None:
    """A failure before the action leaves the repo as it was."""
    head = hub.store.head(model)
    fault.times = None if TRIES_AGAIN else 1
    hub.faults.add(fault)
    with pytest.raises(error):
        commit(api, add("new.onnx", noise(1_000_001)))
    assert fault.fired == 1 or TRIES_AGAIN
    assert hub.store.head(model) == head


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault("status_after", "commit", status=500), HfHubHTTPError),
        (Fault("reset_after", "commit"), LOST),
    ],
)
@pytest.mark.parametrize("create_pr", [True, False])
@pytest.mark.usefixtures("model")
def test_failure_after_the_commit(api: HfApi, hub: Hub, fault: Fault, error: Any, create_pr: bool) -> None:
    """A failure after the action is an error to the client, though the commit is there."""
    hub.faults.add(Fault(fault.kind, fault.route, status=fault.status))
    with pytest.raises(error):
        commit(api, create_pr=create_pr)
    assert hub.requests[-1].fault == fault.kind
    assert contents(hub.store, "refs/pr/1" if create_pr else "main")["new.txt"] == b"new\n"


def test_foreign_commit(api: HfApi, hub: Hub, model: str) -> None:
    """Somebody else's commit lands just before ours: 412 with a parent, both without."""
    hub.faults.add(Fault("foreign_commit", "commit", times=2))
    with pytest.raises(HfHubHTTPError, match="A commit has happened since"):
        commit(api, parent_commit=hub.store.head(model))
    assert "FOREIGN.md" in contents(hub.store)
    commit(api)
    assert [row.title for row in api.list_repo_commits(model)][:3] == ["Publish"] + ["Somebody else's commit"] * 2


def test_foreign_commit_of_choice(api: HfApi, hub: Hub, model: str) -> None:
    """A hook decides what somebody else changes, and where."""
    seen: list[Target] = []

    def overwrite(store: Store, target: Target) -> None:
        seen.append(target)
        store.commit(target.repo_id, {"new.txt": b"theirs\n"}, revision=target.revision)

    commit(api, create_pr=True)
    head = hub.store.head(model, "refs/pr/1")
    hub.faults.add(Fault("foreign_commit", "commit", hook=overwrite))
    with pytest.raises(HfHubHTTPError, match="A commit has happened since"):
        commit(api, add("more.txt", b"more"), revision="refs/pr/1", parent_commit=head)
    assert seen == [Target("acme/model", "model", "refs/pr/1")]
    assert contents(hub.store, "refs/pr/1")["new.txt"] == b"theirs\n"


def test_token_expires_in_the_middle(api: HfApi, hub: Hub, model: str) -> None:
    """A token that expires after some requests fails the publish there, and nothing lands."""
    head = hub.store.head(model)
    hub.requests.clear()
    hub.faults.add(Fault("expired_token", after=2, times=None))
    with pytest.raises(RuntimeError, match="Error while uploading") as caught:
        commit(api, add("new.onnx", noise(100)))
    assert isinstance(caught.value.__cause__, HfHubHTTPError)
    assert status_of(caught.value.__cause__) == 401
    assert "Invalid credentials in Authorization header" in str(caught.value.__cause__)
    routes = [(record.route, record.status) for record in hub.requests]
    assert routes == [("preupload", 200), ("lfs_batch", 200), ("lfs_upload", 200), ("lfs_verify", 401)]
    assert hub.store.head(model) == head
    with pytest.raises(HfHubHTTPError):
        api.model_info(model)
    assert HfApi(endpoint=hub.endpoint, token=False).model_info(model).sha == head


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (401, None, HfHubHTTPError),
        (401, "RepoNotFound", RepositoryNotFoundError),
        (403, None, HfHubHTTPError),
        (403, "GatedRepo", GatedRepoError),
        (404, "RepoNotFound", RepositoryNotFoundError),
        (404, "RevisionNotFound", RevisionNotFoundError),
    ],
)
def test_status_of_choice(api: HfApi, hub: Hub, model: str, status: int, code: str | None, error: Any) -> None:
    """Any route answers any status with any error code, which the client turns into its own types."""
    hub.faults.add(Fault("status", "info", status=status, error_code=code, message="On purpose"))
    with pytest.raises(error, match="On purpose") as caught:
        api.model_info(model)
    assert type(caught.value) is error


@pytest.mark.skipif(TRIES_AGAIN, reason="clients since 1.0 raise after a reset, whatever their cache holds")
def test_unreachable_hub(api: HfApi, hub: Hub, model: str, tmp_path: Path) -> None:
    """With every request failing the client works from its cache, and says so where it has nothing."""
    path = api.hf_hub_download(model, "config.json", cache_dir=tmp_path)
    hub.faults.add(Fault("reset", times=None))
    assert api.hf_hub_download(model, "config.json", cache_dir=tmp_path) == path
    with pytest.raises(LocalEntryNotFoundError):
        api.hf_hub_download(model, "onnx/model.onnx", cache_dir=tmp_path)


def test_slow_answer(api: HfApi, hub: Hub, model: str) -> None:
    """An answer can come later than the client waits for."""
    hub.faults.add(Fault("slow", "info", delay=0.5))
    with pytest.raises(LOST):
        api.model_info(model, timeout=0.1)
    assert api.model_info(model, timeout=5).id == model


@pytest.mark.parametrize(
    ("kind", "route", "may_land"),
    [("call", "lfs_part", False), ("call", "commit", True), ("call_after", "commit", True)],
)
@pytest.mark.usefixtures("model")
def test_client_killed_at_a_point_of_choice(hub: Hub, tmp_path: Path, kind: Any, route: str, may_land: bool) -> None:
    """A client killed while its request is served leaves the old state or the new, and a second run completes it."""
    script = """
from huggingface_hub import CommitOperationAdd, create_commit
operations = [CommitOperationAdd("a.onnx", b"0" * 1_500_000), CommitOperationAdd("b.txt", b"b")]
create_commit("acme/model", operations, commit_message="From afar")
"""
    before = contents(hub.store)
    after = before | {"a.onnx": b"0" * 1_500_000, "b.txt": b"b"}
    environment = {"PYTHONPATH": str(ROOT), **hub.client_env(tmp_path / "home", hub.tokens.write)}
    with subprocess.Popen([sys.executable, "-c", script], env=environment, stderr=subprocess.DEVNULL) as client:
        fault = hub.faults.add(Fault(kind, route, action=client.kill))
        client.wait()
    assert (client.returncode, fault.fired) == (-9, 1)
    assert contents(hub.store) in ([before, after] if may_land else [before])
    run_client(hub, tmp_path / "home", script)
    assert contents(hub.store) == after


def test_request_ids(api: HfApi, hub: Hub) -> None:
    """Every answer carries a request id, which the client puts into its errors."""
    with pytest.raises(RepositoryNotFoundError) as caught:
        api.model_info("acme/absent")
    assert caught.value.request_id == f"loopback-{len(hub.requests)}"


def test_which_requests_a_fault_strikes(api: HfApi, hub: Hub, model: str) -> None:
    """A fault strikes the requests that match its route, method and path, after some and so many times."""
    fault = hub.faults.add(Fault("status", "i*", method="GET", path="*/model", after=1, times=2))
    outcomes = []
    for _ in range(5):
        try:
            api.model_info(model)
            outcomes.append("served")
        except HfHubHTTPError:
            outcomes.append("failed")
    api.model_info(model, revision="main")
    assert outcomes == ["served", "failed", "failed", "served", "served"]
    assert (fault.seen, fault.fired, fault.spent) == (5, 2, True)
    hub.faults.clear()


def test_fault_that_could_not_strike(hub: Hub) -> None:
    """A fault with an unknown kind or a route that is not served is an error in the test that arms it."""
    with pytest.raises(ValueError, match="no route matches 'comit', known are auth_check, "):
        hub.faults.add(Fault("status", "comit"))
    kind: Any = "explode"
    with pytest.raises(ValueError, match="unknown fault 'explode', known are status, "):
        hub.faults.add(Fault(kind))
