"""Commits and uploads to the loopback Hub with the real client."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationCopy,
    CommitOperationDelete,
    HfApi,
    constants,
)
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError
from huggingface_hub.utils._runtime import is_xet_available

from tests.loopback_hub.client import add, commit, contents, noise, status_of
from tools.loopback_hub import Hub, default_hub, running_hub


def test_commit(api: HfApi, hub: Hub, model: str) -> None:
    """One commit adds, replaces and deletes small and large files on top of the head."""
    parent = hub.store.head(model)
    hub.requests.clear()
    done = commit(
        api,
        add("config.json", b'{"a": 1}\n'),
        add("README.md", b"---\nlicense: apache-2.0\ntags: [x]\n---\n# Card\n"),
        add("onnx/other.onnx", noise(3_000, seed=1)),
        CommitOperationDelete("onnx/model.onnx"),
        commit_message="Publish",
        commit_description="All of it",
        parent_commit=parent,
    )
    assert done.oid == hub.store.head(model)
    assert done.repo_url.repo_id == model
    assert contents(hub.store) == {
        "config.json": b'{"a": 1}\n',
        "README.md": b"---\nlicense: apache-2.0\ntags: [x]\n---\n# Card\n",
        "onnx/other.onnx": noise(3_000, seed=1),
    }
    assert [row.commit_id for row in api.list_repo_commits(model)][:2] == [done.oid, parent]
    row = api.list_repo_commits(model)[0]
    assert (row.title, row.message, row.authors) == ("Publish", "All of it", ["publisher"])
    assert hub.requests.uploaded_bytes == 3_000
    assert api.model_info(model).tags == ["x"]


def test_upload_folder(api: HfApi, hub: Hub, model: str, tmp_path: Path) -> None:
    """A folder is uploaded in one commit, which deletes what the folder no longer has."""
    (tmp_path / "folder" / "onnx").mkdir(parents=True)
    (tmp_path / "folder" / "onnx" / "model_O1.onnx").write_bytes(noise(200))
    (tmp_path / "folder" / "config.json").write_bytes(b"{}\n")
    api.upload_folder(repo_id=model, folder_path=tmp_path / "folder", delete_patterns="onnx/*", commit_message="All")
    assert contents(hub.store) == {"config.json": b"{}\n", "onnx/model_O1.onnx": noise(200)}
    assert [row.title for row in api.list_repo_commits(model)][:2] == ["All", "Add the model"]


@pytest.mark.usefixtures("model")
def test_delete_folder(api: HfApi, hub: Hub) -> None:
    """A folder is deleted whole, and a path that is not there is an error."""
    commit(api, CommitOperationDelete("onnx/"))
    assert set(contents(hub.store)) == {"config.json"}
    with pytest.raises(EntryNotFoundError, match="A file with this name doesn't exist"):
        commit(api, CommitOperationDelete("onnx"))
    with pytest.raises(EntryNotFoundError, match="A folder with this name doesn't exist"):
        commit(api, CommitOperationDelete("onnx/"))


@pytest.mark.usefixtures("model")
def test_copy(api: HfApi, hub: Hub) -> None:
    """A large file is copied without an upload."""
    commit(api, CommitOperationCopy("onnx/model.onnx", "onnx/copy.onnx"))
    assert contents(hub.store)["onnx/copy.onnx"] == noise(5_000)
    assert hub.requests.uploads == []


def test_parent_commit(api: HfApi, hub: Hub, model: str) -> None:
    """A commit whose parent is not the head is refused with the Hub's words, and nothing lands."""
    parent = hub.store.head(model)
    theirs = hub.store.commit(model, {"theirs.txt": b"theirs"})
    with pytest.raises(HfHubHTTPError, match=r"A commit has happened since\. Please refresh and try again\.") as caught:
        commit(api, parent_commit=parent)
    assert status_of(caught.value) == 412
    assert hub.store.head(model) == theirs


def test_no_change(api: HfApi, hub: Hub, model: str, tmp_path: Path) -> None:
    """A commit without changes returns the head and, even where one was requested, no pull request."""
    head = hub.store.head(model)
    hub.requests.clear()
    with default_hub(hub, tmp_path / "home"):
        done = commit(api, add("config.json", b"{}\n"), add("onnx/model.onnx", noise(5_000)), create_pr=True)
    assert (done.oid, done.pr_url, done.pr_num) == (head, None, None)
    assert hub.store.repo(model).discussions == []
    assert hub.requests.matching("commit") == []
    assert hub.requests.uploads == []


def test_unchanged_large_file_is_not_uploaded_again(api: HfApi, hub: Hub, model: str) -> None:
    """What storage holds already is not asked for, though it stands in the commit."""
    done = commit(api, add("onnx/model.onnx", noise(5_000)), add("onnx/again.onnx", noise(5_000)), add("a.txt", b"a"))
    assert done.oid == hub.store.head(model)
    assert hub.requests.uploads == []
    assert contents(hub.store)["onnx/again.onnx"] == noise(5_000)


def test_multipart_upload(tmp_path: Path) -> None:
    """A file above the threshold of the Hub arrives in parts, each byte once; clients 0.x need no switch for that."""
    data = noise(11_000_000)
    path = tmp_path / "model.onnx"
    path.write_bytes(data)
    with running_hub(tmp_path / "hub") as hub:
        hub.store.create_repo("acme/model")
        api = HfApi(endpoint=hub.endpoint, token=hub.tokens.write.value)
        assert is_xet_available() or constants.HF_HUB_DISABLE_XET
        commit(api, CommitOperationAdd("model.onnx", path), add("small.onnx", noise(100)))
        assert contents(hub.store) == {"model.onnx": data, "small.onnx": noise(100)}
        assert [record.bytes_received for record in hub.requests.matching("lfs_part")] == [5242880, 5242880, 514240]
        assert hub.requests.uploaded_bytes == len(data) + 100
        assert len(hub.requests.matching("lfs_complete")) == 1
        assert len(hub.requests.matching("lfs_verify")) == 2


def test_upload_rules(api: HfApi, hub: Hub, model: str) -> None:
    """Binary and large files go to storage and get a line in .gitattributes if none covers them; others do not."""
    commit(
        api,
        add("weights.custom", b"\0\1\2"),
        add("big.txt", b"x" * (10 * 1024 * 1024 + 1)),
        add("notes.txt", "naïve".encode()),
        add("model.bin", b"plain text"),
        add("empty.bin", b""),
    )
    large = {path for path, entry in hub.store.files(model).items() if entry.lfs}
    assert large == {"weights.custom", "big.txt", "model.bin", "onnx/model.onnx"}
    added = hub.store.read(model, ".gitattributes").decode().splitlines()[-2:]
    assert added == [f"{path} filter=lfs diff=lfs merge=lfs -text" for path in ("weights.custom", "big.txt")]


@pytest.mark.usefixtures("model")
def test_gitignore(api: HfApi, hub: Hub) -> None:
    """Files that .gitignore excludes stay out of the commit, the file being committed or in the repo."""
    commit(api, add(".gitignore", b"*.log\n"), add("a.log", b"a"), add("a.txt", b"a"))
    commit(api, add("b.log", b"b"), add("b.txt", b"b"))
    assert {path for path in contents(hub.store) if path[0] in "ab"} == {"a.txt", "b.txt"}


@pytest.mark.usefixtures("model")
def test_invalid_card(api: HfApi, hub: Hub) -> None:
    """A README.md with broken metadata is refused before anything is uploaded."""
    hub.requests.clear()
    with pytest.raises(ValueError, match=r"Invalid metadata in README\.md"):
        commit(api, add("README.md", b"---\na: [\n---\n"), add("new.onnx", noise(10)))
    assert [record.route for record in hub.requests] == ["validate_yaml"]
    with pytest.warns(UserWarning, match="empty or missing yaml metadata"):
        commit(api, add("README.md", b"# Card\n"))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"key": "file", "value": {"path": "../up", "content": ""}}, "Invalid path"),
        ({"key": "file", "value": {"path": "a/.git/config", "content": ""}}, "Invalid path"),
        ({"key": "lfsFile", "value": {"path": "a.onnx", "oid": "0" * 64}}, "LFS pointer pointed to a file that does"),
        ({"key": "unheard-of", "value": {}}, "Invalid commit"),
    ],
)
def test_bad_commit(hub: Hub, model: str, line: dict[str, Any], message: str) -> None:
    """A commit that no client would send is refused and leaves the head where it was."""
    head = hub.store.head(model)
    body = "\n".join(json.dumps(row) for row in ({"key": "header", "value": {"summary": "Bad"}}, line))
    refused = requests.post(
        f"{hub.endpoint}/api/models/{model}/commit/main",
        data=body,
        headers={"Authorization": f"Bearer {hub.tokens.write.value}"},
        timeout=5,
    )
    assert refused.status_code == 400
    assert message in refused.headers["X-Error-Message"]
    assert hub.store.head(model) == head


def test_commits_at_the_same_time(api: HfApi, hub: Hub, model: str) -> None:
    """Of many commits at once, each lands, on top of one another."""
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda n: commit(api, add(f"{n}.txt", f"{n}".encode())).oid, range(12)))
    assert {row.commit_id for row in api.list_repo_commits(model)[:12]} == set(done)
    assert {f"{n}.txt" for n in range(12)} <= set(contents(hub.store))


def test_dataset_repo(api: HfApi, hub: Hub, model: str, tmp_path: Path) -> None:
    """A dataset repo is a repo of its own, with the same protocol."""
    url = api.create_repo(model, repo_type="dataset", private=True)
    assert (url.repo_type, url.repo_id) == ("dataset", model)
    done = commit(api, add("index.json", b"{}"), add("data.bin", noise(100)), repo_type="dataset", parent_commit=None)
    assert (done.repo_url.repo_type, done.repo_url.repo_id) == ("dataset", model)
    assert api.dataset_info(model).sha == hub.store.head(model, repo_type="dataset") == done.oid
    assert sorted(api.list_repo_files(model, repo_type="dataset")) == [".gitattributes", "data.bin", "index.json"]
    folder = Path(api.snapshot_download(model, repo_type="dataset", cache_dir=tmp_path))
    assert (folder / "data.bin").read_bytes() == noise(100)
    pull_request = commit(api, repo_type="dataset", create_pr=True)
    assert api.get_discussion_details(model, pull_request.pr_num, repo_type="dataset").repo_type == "dataset"
    assert hub.store.repo(model).discussions == []
    api.move_repo(model, "acme/index", repo_type="dataset")
    assert api.dataset_info(model).id == "acme/index"
    assert hub.store.head(model)
