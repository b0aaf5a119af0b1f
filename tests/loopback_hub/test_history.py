"""The history of a repository on the loopback Hub: files, trees, commits, branches and tags."""

import hashlib
import subprocess
from pathlib import Path

import pytest
from huggingface_hub import HfApi, ModelInfo
from huggingface_hub.errors import (
    BadRequestError,
    EntryNotFoundError,
    HfHubHTTPError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoFile, RepoFolder

from tests.loopback_hub.client import commit, noise, sha256
from tools.loopback_hub import Hub


def test_files_metadata(api: HfApi, hub: Hub, model: str) -> None:
    """Repo info lists sizes, git blob ids, and the sha256 of large files."""
    info = api.repo_info(model, files_metadata=True)
    assert isinstance(info, ModelInfo)
    files = {file.rfilename: file for file in info.siblings or []}
    assert info.sha == hub.store.head(model)
    assert files["config.json"].size == 3
    assert files["config.json"].blob_id == hashlib.sha1(b"blob 3\0{}\n").hexdigest()
    assert files["config.json"].lfs is None
    large = files["onnx/model.onnx"]
    assert large.lfs is not None
    assert (large.size, large.lfs.size, large.lfs.sha256) == (5_000, 5_000, sha256(noise(5_000)))
    assert all(file.size is None for file in api.model_info(model).siblings or [])
    assert set(vars(api.model_info(model, expand=["sha"]))) >= {"sha"}


def test_object_ids_are_those_of_git(api: HfApi, model: str, hub: Hub, tmp_path: Path) -> None:
    """Blob and tree ids are what git computes for the same files."""
    files = {"a.txt": b"a\n", "a/b.txt": b"b\n", "a/c/d.txt": b"d\n", "a.b/e.txt": b"e\n"}
    hub.store.commit(model, files, delete=["config.json", "onnx/model.onnx", ".gitattributes"])
    for path, data in files.items():
        (tmp_path / "git" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "git" / path).write_bytes(data)

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", "-c", "core.autocrlf=false", *arguments],
            cwd=tmp_path / "git",
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    git("init", "--quiet")
    git("add", ".")
    assert hub.store.commit_at(hub.store.repo(model), hub.store.head(model)).tree == git("write-tree")
    theirs = dict(line.split("\t")[::-1] for line in git("ls-tree", "-r", "-t", git("write-tree")).splitlines())
    ours = {
        row.path: f"100644 blob {row.blob_id}" if isinstance(row, RepoFile) else f"040000 tree {row.tree_id}"
        for row in api.list_repo_tree(model, recursive=True)
    }
    assert ours == theirs


def test_list_repo_tree(api: HfApi, hub: Hub, model: str) -> None:
    """A tree is listed flat or in depth, whole or from a folder, and with the last commit of each path."""
    hub.store.commit(model, {"onnx/deep/x.txt": b"x"}, message="Add x")
    assert [row.path for row in api.list_repo_tree(model)] == [".gitattributes", "config.json", "onnx"]
    below = list(api.list_repo_tree(model, "onnx", recursive=True, expand=True))
    assert [(type(row), row.path) for row in below] == [
        (RepoFolder, "onnx/deep"),
        (RepoFile, "onnx/deep/x.txt"),
        (RepoFile, "onnx/model.onnx"),
    ]
    assert [row.last_commit.title for row in below if row.last_commit] == ["Add x", "Add x", "Add the model"]
    with pytest.raises(EntryNotFoundError):
        list(api.list_repo_tree(model, "absent"))
    with pytest.raises(RevisionNotFoundError):
        list(api.list_repo_tree(model, revision="absent"))


def test_get_paths_info(api: HfApi, model: str) -> None:
    """Paths are described one by one, and missing ones are left out."""
    rows = api.get_paths_info(model, ["onnx", "onnx/model.onnx", "absent"], expand=True)
    assert [(type(row), row.path) for row in rows] == [(RepoFolder, "onnx"), (RepoFile, "onnx/model.onnx")]
    assert isinstance(rows[1], RepoFile)
    assert rows[1].lfs is not None
    assert rows[1].lfs.sha256 == sha256(noise(5_000))


def test_list_repo_commits(api: HfApi, hub: Hub, model: str) -> None:
    """Commits come newest first, over as many pages as it takes."""
    oids = [hub.store.commit(model, {"n.txt": f"{n}".encode()}, message=f"Commit {n}\n\nBody") for n in range(60)]
    rows = api.list_repo_commits(model)
    assert [row.commit_id for row in rows[:60]] == oids[::-1]
    assert (rows[0].title, rows[0].message, rows[0].authors) == ("Commit 59", "Body", ["somebody-else"])
    assert [row.title for row in rows[60:]] == ["Add the model", "initial commit"]
    assert len(hub.requests.matching("commits")) == 2


def test_branches_and_tags(api: HfApi, hub: Hub, model: str) -> None:
    """Branches and tags are created at a revision, listed and deleted."""
    first = api.list_repo_commits(model)[-1].commit_id
    head = hub.store.head(model)
    api.create_branch(model, branch="feature/x", revision=first)
    api.create_branch(model, branch="feature/x", exist_ok=True)
    with pytest.raises(HfHubHTTPError, match="Reference already exists"):
        api.create_branch(model, branch="feature/x")
    with pytest.raises(BadRequestError, match="Invalid reference for a branch"):
        api.create_branch(model, branch="refs/pr/5")
    api.create_tag(model, tag="v1", revision="feature/x")
    api.create_tag(model, tag="v2", revision=head[:7])
    api.create_tag(model, tag="v2", exist_ok=True)
    commit(api, revision="feature/x")
    commit(api, create_pr=True)
    refs = api.list_repo_refs(model, include_pull_requests=True)
    assert {ref.name for ref in refs.branches} == {"main", "feature/x"}
    assert {ref.name: ref.target_commit for ref in refs.tags} == {"v1": first, "v2": head}
    assert [ref.ref for ref in refs.pull_requests or []] == ["refs/pr/1"]
    assert api.list_repo_refs(model).pull_requests is None
    assert api.model_info(model, revision="feature/x").sha != first
    api.delete_branch(model, branch="feature/x")
    api.delete_tag(model, tag="v1")
    with pytest.raises(RevisionNotFoundError):
        api.model_info(model, revision="feature/x")
    with pytest.raises(RevisionNotFoundError):
        api.delete_tag(model, tag="v1")
    hub.store.set_ref(model, "refs/tags/v2", first)
    assert api.model_info(model, revision="v2").sha == first
