"""The loopback Hub against the real client: what the client may count on, and each fault that can be armed."""

import hashlib
import json
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationCopy,
    CommitOperationDelete,
    HfApi,
    constants,
    get_hf_file_metadata,
    hf_hub_url,
)
from huggingface_hub.errors import (
    BadRequestError,
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoFile, RepoFolder
from huggingface_hub.utils._runtime import is_xet_available

from tests.hub import Fault, Hub, Store, Target, Tokens, default_hub, loopback_only, running_hub

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / "registry" / "demo" / "reranker"


@pytest.fixture(autouse=True)
def _isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No test waits between retries, leaves this machine, or sees the user's cache, token or proxy."""
    no_wait = SimpleNamespace(sleep=lambda _: None)
    monkeypatch.setattr("huggingface_hub.utils._http.time", no_wait)
    monkeypatch.setattr("huggingface_hub.file_download.time", no_wait)
    for name in ("HF_HOME", "HF_HUB_CACHE", "HF_TOKEN_PATH", "HF_STORED_TOKENS_PATH"):
        monkeypatch.setattr(constants, name, str(tmp_path / "home" / name))
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with loopback_only():
        yield


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    """Run a Hub that takes uploads above 1 MB in parts."""
    with running_hub(tmp_path / "hub", multipart_threshold=1_000_000, part_size=400_000) as running:
        yield running


@pytest.fixture
def api(hub: Hub) -> HfApi:
    """Return a client that may write to acme."""
    return HfApi(endpoint=hub.endpoint, token=hub.tokens.write.value)


@pytest.fixture
def reader(hub: Hub) -> HfApi:
    """Return a client that may read what is acme's."""
    return HfApi(endpoint=hub.endpoint, token=hub.tokens.read.value)


@pytest.fixture
def stranger(hub: Hub) -> HfApi:
    """Return a client of a user outside acme, who may write to repos of their own."""
    return HfApi(endpoint=hub.endpoint, token=hub.tokens.add("stranger", "write").value)


@pytest.fixture
def anonymous(hub: Hub) -> HfApi:
    """Return a client without a token."""
    return HfApi(endpoint=hub.endpoint, token=False)


@pytest.fixture
def model(hub: Hub) -> str:
    """Create acme/model with a small and a large file."""
    hub.store.create_repo("acme/model")
    hub.store.commit("acme/model", {"config.json": b"{}\n", "onnx/model.onnx": noise(5_000)}, message="Add the model")
    return "acme/model"


def noise(size: int, seed: int = 0) -> bytes:
    """Return bytes that do not compress and are the same in every run."""
    return random.Random(seed).randbytes(size)


def sha256(data: bytes) -> str:
    """Return the hex sha256."""
    return hashlib.sha256(data).hexdigest()


def add(path: str, data: bytes) -> CommitOperationAdd:
    """Return an operation that adds a file."""
    return CommitOperationAdd(path, data)


def commit(api: HfApi, *operations: Any, **options: Any) -> Any:
    """Commit to acme/model, by default a new small file."""
    options = {"repo_id": "acme/model", "commit_message": "Publish", **options}
    return api.create_commit(operations=operations or [add("new.txt", b"new\n")], **options)


def response_to(error: HfHubHTTPError) -> requests.Response:
    """Return the response behind an error."""
    assert error.response is not None
    return error.response


def status_of(error: HfHubHTTPError) -> int:
    """Return the HTTP status behind an error."""
    return response_to(error).status_code


def contents(store: Store, revision: str = "main") -> dict[str, bytes]:
    """Return all files of acme/model but .gitattributes."""
    files = store.files("acme/model", revision)
    return {path: store.objects.read(entry) for path, entry in files.items() if path != ".gitattributes"}


def run_client(hub: Hub, home: Path, script: str, *arguments: str, token: bool = True) -> str:
    """Run a script in a process of its own that knows the Hub from its environment only."""
    environment = hub.client_env(home, hub.tokens.write if token else None)
    prelude = "from tests.hub import forbid_foreign_sockets\nforbid_foreign_sockets()\n"
    done = subprocess.run(
        [sys.executable, "-c", prelude + script, *arguments],
        cwd=ROOT,
        env={"PATH": "", "PYTHONPATH": str(ROOT), "HOME": str(home), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# Repos and rights


def test_create_repo(api: HfApi, hub: Hub) -> None:
    """A new repo is private if asked for, begins with .gitattributes, and is made once."""
    url = api.create_repo("acme/fresh", private=True)
    assert (url.repo_id, url.repo_type, str(url)) == ("acme/fresh", "model", f"{hub.endpoint}/acme/fresh")
    assert api.create_repo("acme/fresh", exist_ok=True).repo_id == "acme/fresh"
    with pytest.raises(HfHubHTTPError, match="You already created this model repo") as caught:
        api.create_repo("acme/fresh")
    assert status_of(caught.value) == 409
    assert api.model_info("acme/fresh").private is True
    assert api.list_repo_files("acme/fresh") == [".gitattributes"]
    assert api.create_repo("mine").repo_id == "publisher/mine"


def test_create_repo_in_a_foreign_namespace(api: HfApi, reader: HfApi) -> None:
    """Neither a token of somebody else nor one that may only read creates a repo."""
    for client, repo_id in ((api, "globex/model"), (reader, "acme/model")):
        with pytest.raises(HfHubHTTPError) as caught:
            client.create_repo(repo_id)
        assert status_of(caught.value) == 403


def test_whoami(api: HfApi, reader: HfApi, hub: Hub) -> None:
    """Whoami names the user and the token's role, and refuses a token that is unknown or revoked."""
    me = api.whoami()
    assert (me["name"], me["auth"]["accessToken"]["role"]) == ("publisher", "write")
    assert "acme" in [org["name"] for org in me["orgs"]]
    assert reader.whoami()["auth"]["accessToken"]["role"] == "read"
    hub.tokens.revoke(hub.tokens.read)
    with pytest.raises(requests.HTTPError, match="Invalid user token"):
        reader.whoami()


def test_repo_exists(api: HfApi, anonymous: HfApi, hub: Hub, model: str) -> None:
    """A private repo exists for its members only."""
    hub.store.create_repo("acme/private", private=True)
    assert api.repo_exists(model)
    assert anonymous.repo_exists(model)
    assert not api.repo_exists("acme/absent")
    assert not anonymous.repo_exists("acme/absent")
    assert api.repo_exists("acme/private")
    assert not anonymous.repo_exists("acme/private")


@pytest.mark.parametrize("as_stranger", [True, False])
def test_private_repo(hub: Hub, stranger: HfApi, anonymous: HfApi, tmp_path: Path, as_stranger: bool) -> None:
    """To those outside, a private repo is a repo that is not there, with a token (404) and without (401)."""
    hub.store.create_repo("acme/private", private=True)
    client = stranger if as_stranger else anonymous
    calls: list[Callable[[], object]] = [
        lambda: client.model_info("acme/private"),
        lambda: client.list_repo_files("acme/private"),
        lambda: client.list_repo_commits("acme/private"),
        lambda: client.hf_hub_download("acme/private", ".gitattributes", cache_dir=tmp_path),
    ]
    for call in calls:
        with pytest.raises(RepositoryNotFoundError) as caught:
            call()
        assert status_of(caught.value) == (404 if as_stranger else 401)


def test_gated_repo(hub: Hub, stranger: HfApi, anonymous: HfApi, api: HfApi, tmp_path: Path) -> None:
    """A gated repo shows its metadata to all and its files to its members and those on the list."""
    hub.store.create_repo("acme/gated", gated="manual")
    hub.store.commit("acme/gated", {"config.json": b"{}"})
    for client, status in ((stranger, 403), (anonymous, 401)):
        assert client.model_info("acme/gated").gated == "manual"
        with pytest.raises(GatedRepoError, match="Access to model acme/gated is restricted") as caught:
            client.hf_hub_download("acme/gated", "config.json", cache_dir=tmp_path / "none")
        assert status_of(caught.value) == status
        with pytest.raises(GatedRepoError):
            client.auth_check("acme/gated")
    hub.store.grant_access("acme/gated", "stranger")
    for client in (stranger, api):
        path = client.hf_hub_download("acme/gated", "config.json", cache_dir=tmp_path / str(id(client)))
        assert Path(path).read_bytes() == b"{}"
    api.update_repo_settings("acme/gated", gated=False)
    assert anonymous.file_exists("acme/gated", "config.json")


def test_read_token_cannot_write(reader: HfApi, hub: Hub, model: str) -> None:
    """A token with the right to read changes nothing, whatever it tries."""
    before = hub.store.repo(model)
    calls: list[Callable[[], object]] = [
        lambda: commit(reader),
        lambda: commit(reader, create_pr=True),
        lambda: reader.create_branch(model, branch="mine"),
        lambda: reader.create_tag(model, tag="v1"),
        lambda: reader.create_pull_request(model, title="Mine"),
        lambda: reader.delete_repo(model),
        lambda: reader.move_repo(model, "acme/moved"),
        lambda: reader.update_repo_settings(model, private=True),
    ]
    for call in calls:
        with pytest.raises(HfHubHTTPError) as caught:
            call()
        assert status_of(caught.value) == 403
    assert hub.store.repo(model) == before


def test_renamed_repo(api: HfApi, hub: Hub, model: str, tmp_path: Path) -> None:
    """Requests for the old name of a repo are redirected: reads, downloads and commits."""
    api.move_repo(model, "acme/renamed")
    assert api.model_info(model).id == "acme/renamed"
    assert [row.title for row in api.list_repo_commits(model)] == ["Add the model", "initial commit"]
    assert Path(api.hf_hub_download(model, "config.json", cache_dir=tmp_path)).read_bytes() == b"{}\n"
    assert Path(api.hf_hub_download(model, "onnx/model.onnx", cache_dir=tmp_path)).read_bytes() == noise(5_000)
    commit(api, add("more.onnx", noise(100, seed=1)))
    assert hub.store.read("acme/renamed", "more.onnx") == noise(100, seed=1)
    assert 307 in [record.status for record in hub.requests]
    api.delete_repo("acme/renamed")
    assert not api.repo_exists("acme/renamed")


# Looking at history


def test_files_metadata(api: HfApi, hub: Hub, model: str) -> None:
    """Repo info lists sizes, git blob ids, and the sha256 of large files."""
    info = api.repo_info(model, files_metadata=True)
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


# Downloads


def test_download(api: HfApi, hub: Hub, model: str, tmp_path: Path) -> None:
    """A small file is named by its blob id, a large one by its sha256 and served from storage; both are cached."""
    for path, etag in (("config.json", "0967ef424bce6791893e9a57bb952f80fd536e93"), ("onnx/model.onnx", "")):
        local = Path(api.hf_hub_download(model, path, cache_dir=tmp_path))
        assert local.read_bytes() == contents(hub.store)[path]
        assert local.resolve().name == (etag or sha256(noise(5_000)))
        assert local.parts[-2 - path.count("/")] == hub.store.head(model)
    assert len(hub.requests.matching("download")) == 1
    hub.requests.clear()
    api.hf_hub_download(model, "onnx/model.onnx", cache_dir=tmp_path)
    assert [(record.route, record.method) for record in hub.requests] == [("resolve", "HEAD")]


def test_download_errors(api: HfApi, model: str, tmp_path: Path) -> None:
    """A missing file, revision and repo are told apart."""
    for repo, path, revision, error in (
        (model, "absent.json", None, EntryNotFoundError),
        (model, "config.json", "absent", RevisionNotFoundError),
        (model, "config.json", "f" * 40, RevisionNotFoundError),
        ("acme/absent", "config.json", None, RepositoryNotFoundError),
    ):
        with pytest.raises(error):
            api.hf_hub_download(repo, path, revision=revision, cache_dir=tmp_path)
    assert api.file_exists(model, "config.json")
    assert not api.file_exists(model, "absent.json")
    assert not api.file_exists("acme/absent", "config.json")


def test_file_metadata(hub: Hub, model: str) -> None:
    """The headers name the commit, the size and the hash, and nothing that would lead the client to Xet."""
    url = hf_hub_url(model, "onnx/model.onnx", endpoint=hub.endpoint)
    metadata = get_hf_file_metadata(url)
    assert (metadata.commit_hash, metadata.etag) == (hub.store.head(model), sha256(noise(5_000)))
    assert (metadata.size, metadata.xet_file_data) == (5_000, None)
    assert metadata.location.startswith(f"{hub.endpoint}/_storage/objects/")
    assert requests.get(metadata.location.split("?")[0], timeout=5).status_code == 403


def test_snapshot(api: HfApi, hub: Hub, model: str, tmp_path: Path) -> None:
    """A snapshot holds the files of the revision it was asked for, and of that only."""
    old = hub.store.head(model)
    hub.store.commit(model, {"config.json": b'{"new": 1}\n'})
    folder = Path(api.snapshot_download(model, revision=old, cache_dir=tmp_path, allow_patterns=["*.json", "onnx/*"]))
    assert folder.name == old
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} == {
        "config.json",
        "onnx/model.onnx",
    }
    assert (folder / "config.json").read_bytes() == b"{}\n"


@pytest.mark.parametrize("path", ["config.json", "onnx/model.onnx"])
def test_ranges(hub: Hub, model: str, path: str) -> None:
    """A part of a file is served as 206, a part beyond its end refused as 416."""
    url = hf_hub_url(model, path, endpoint=hub.endpoint)
    data = contents(hub.store)[path]
    part = requests.get(url, headers={"Range": "bytes=1-"}, timeout=5)
    assert (part.status_code, part.content) == (206, data[1:])
    assert part.headers["Content-Range"] == f"bytes 1-{len(data) - 1}/{len(data)}"
    beyond = requests.get(url, headers={"Range": f"bytes={len(data)}-"}, timeout=5)
    assert (beyond.status_code, beyond.headers["Content-Range"]) == (416, f"bytes */{len(data)}")


# Commits


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
    """A commit without changes returns the head and, even where one was asked for, no pull request."""
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
    """A file above the threshold of the Hub arrives in parts, each byte once, without Xet being switched off."""
    data = noise(11_000_000)
    path = tmp_path / "model.onnx"
    path.write_bytes(data)
    with running_hub(tmp_path / "hub") as hub:
        hub.store.create_repo("acme/model")
        api = HfApi(endpoint=hub.endpoint, token=hub.tokens.write.value)
        assert is_xet_available()
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


# Pull requests


def test_pull_request(api: HfApi, hub: Hub, model: str, tmp_path: Path) -> None:
    """A commit opens a pull request, its ref takes more commits, and a merge brings all of it to main as one."""
    head = hub.store.head(model)
    done = commit(api, add("new.txt", b"new\n"), commit_description="The figures", create_pr=True)
    assert (done.pr_num, done.pr_revision) == (1, "refs/pr/1")
    assert done.pr_url == f"{hub.endpoint}/acme/model/discussions/1"
    assert hub.store.head(model) == head
    more = commit(api, add("more.onnx", noise(50)), revision="refs/pr/1", parent_commit=done.oid)
    assert more.pr_url is None
    with pytest.raises(HfHubHTTPError, match="A commit has happened since"):
        commit(api, add("late.txt", b"late"), revision="refs/pr/1", parent_commit=done.oid)
    local = api.hf_hub_download(model, "more.onnx", revision="refs/pr/1", cache_dir=tmp_path)
    assert Path(local).read_bytes() == noise(50)

    details = api.get_discussion_details(model, 1)
    assert (details.title, details.status, details.author) == ("Publish", "open", "publisher")
    assert (details.target_branch, details.conflicting_files, details.merge_commit_oid) == ("refs/heads/main", [], None)
    assert details.diff is not None
    assert "+++ b/new.txt\n@@ -0,0 +1 @@\n+new\n" in details.diff
    assert f"+oid sha256:{sha256(noise(50))}\n" in details.diff
    assert [event.type for event in details.events] == ["comment", "commit", "commit"]
    assert vars(details.events[0])["content"] == "The figures"

    assert api.comment_discussion(model, 1, "Looks right").content == "Looks right"
    assert api.rename_discussion(model, 1, "Fast variants").new_title == "Fast variants"
    api.merge_pull_request(model, 1, comment="Thanks")
    assert api.get_discussion_details(model, 1).status == "merged"
    assert api.get_discussion_details(model, 1).merge_commit_oid == hub.store.head(model)
    assert [row.title for row in api.list_repo_commits(model)][:2] == ["Fast variants (#1)", "Add the model"]
    assert contents(hub.store)["more.onnx"] == noise(50)
    with pytest.raises(HfHubHTTPError, match="This pull request is merged"):
        commit(api, revision="refs/pr/1")


def test_draft_pull_request(api: HfApi, hub: Hub, model: str) -> None:
    """A pull request opened without changes is a draft that takes commits and is merged once it is open."""
    draft = api.create_pull_request(model, title="Draft", description="Soon")
    assert (draft.status, draft.git_reference, draft.diff) == ("draft", "refs/pr/1", "")
    commit(api, revision="refs/pr/1")
    with pytest.raises(BadRequestError, match="it is draft"):
        api.merge_pull_request(model, 1)
    assert api.change_discussion_status(model, 1, "open", comment="Ready").new_status == "open"
    api.merge_pull_request(model, 1)
    assert contents(hub.store)["new.txt"] == b"new\n"


def test_pull_request_to_a_foreign_repo(stranger: HfApi, api: HfApi, hub: Hub, model: str) -> None:
    """Somebody without rights proposes changes and updates them, and only the owner brings them in."""
    with pytest.raises(HfHubHTTPError, match="You don't have the rights"):
        commit(stranger)
    done = commit(stranger, add("fast.onnx", noise(60)), create_pr=True)
    commit(stranger, add("faster.onnx", noise(70)), revision=done.pr_revision)
    with pytest.raises(HfHubHTTPError, match="You don't have the rights"):
        stranger.merge_pull_request(model, done.pr_num)
    assert stranger.comment_discussion(model, done.pr_num, "Please look").author == "stranger"
    api.merge_pull_request(model, done.pr_num)
    assert {"fast.onnx", "faster.onnx"} <= set(contents(hub.store))


def test_merge_beside_other_changes(api: HfApi, hub: Hub, model: str) -> None:
    """A merge keeps what main got meanwhile, and is refused where both changed the same file."""
    commit(api, add("mine.txt", b"mine"), create_pr=True)
    commit(api, add("config.json", b"[1]"), CommitOperationDelete("onnx/model.onnx"), create_pr=True)
    hub.store.commit(model, {"config.json": b"[2]"})
    api.merge_pull_request(model, 1)
    assert contents(hub.store)["config.json"] == b"[2]"
    assert api.get_discussion_details(model, 2).conflicting_files == ["config.json"]
    with pytest.raises(HfHubHTTPError, match=r"Merge conflict: config\.json"):
        api.merge_pull_request(model, 2)
    assert "onnx/model.onnx" in contents(hub.store)


def test_pull_request_on_a_known_parent(api: HfApi, hub: Hub, model: str) -> None:
    """A pull request starts from the parent it names, though main has moved on."""
    parent = hub.store.head(model)
    hub.store.commit(model, {"theirs.txt": b"theirs"})
    done = commit(api, parent_commit=parent, create_pr=True)
    assert set(contents(hub.store, done.pr_revision)) == {"config.json", "new.txt", "onnx/model.onnx"}


def test_list_discussions(api: HfApi, stranger: HfApi, model: str) -> None:
    """Discussions and pull requests are listed over pages, by kind, status and author."""
    for number in range(12):
        api.create_discussion(model, title=f"Question {number}")
    commit(stranger, create_pr=True)
    api.change_discussion_status(model, 3, "closed")
    assert [row.num for row in api.get_repo_discussions(model)] == list(range(13, 0, -1))
    assert [row.num for row in api.get_repo_discussions(model, discussion_status="closed")] == [3]
    assert [row.num for row in api.get_repo_discussions(model, discussion_type="pull_request")] == [13]
    assert [row.num for row in api.get_repo_discussions(model, author="stranger")] == [13]


# Faults


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
        (Fault("reset", "commit"), requests.ConnectionError),
        (Fault("status", "preupload", status=500), HfHubHTTPError),
        (Fault("status", "lfs_batch", status=503), HfHubHTTPError),
        (Fault("status", "lfs_verify", status=500), RuntimeError),
        (Fault("status", "lfs_complete", status=500), RuntimeError),
    ],
)
def test_failure_before_the_commit(api: HfApi, hub: Hub, model: str, fault: Fault, error: type[Exception]) -> None:
    """A failure before the action leaves the repo as it was."""
    head = hub.store.head(model)
    hub.faults.add(fault)
    with pytest.raises(error):
        commit(api, add("new.onnx", noise(1_000_001)))
    assert fault.fired == 1
    assert hub.store.head(model) == head


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault("status_after", "commit", status=500), HfHubHTTPError),
        (Fault("reset_after", "commit"), requests.ConnectionError),
    ],
)
@pytest.mark.parametrize("create_pr", [True, False])
@pytest.mark.usefixtures("model")
def test_failure_after_the_commit(api: HfApi, hub: Hub, fault: Fault, error: type[Exception], create_pr: bool) -> None:
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


@pytest.mark.parametrize(("route", "size"), [("lfs_upload", 900_000), ("lfs_part", 1_100_000)])
@pytest.mark.usefixtures("model")
def test_cut_upload(api: HfApi, hub: Hub, route: str, size: int) -> None:
    """An upload that is cut leaves nothing behind, and the client sends it again."""
    fault = hub.faults.add(Fault("cut_upload", route, after=int(route == "lfs_part")))
    commit(api, add("new.onnx", noise(size)))
    cut = [record for record in hub.requests.uploads if record.fault]
    assert fault.fired == len(cut) == 1
    assert (cut[0].status, cut[0].bytes_received >= 200_000) == (None, True)
    assert hub.requests.uploaded_bytes == size + cut[0].bytes_received
    assert contents(hub.store)["new.onnx"] == noise(size)
    assert list((hub.store.root / "uploads").iterdir()) == []


@pytest.mark.parametrize(("route", "size"), [("lfs_upload", 900_000), ("lfs_part", 1_100_000)])
@pytest.mark.parametrize("detected_by", ["storage", "verify"])
@pytest.mark.usefixtures("model")
def test_corrupted_upload_that_is_noticed(api: HfApi, hub: Hub, route: str, size: int, detected_by: Any) -> None:
    """A damaged upload is refused by the storage or by the verify action, and a second try succeeds."""
    hub.faults.add(Fault("corrupt_upload", route, detected_by=detected_by, at_byte=100))
    with pytest.raises(RuntimeError, match=r"Error while uploading 'new\.onnx' to the Hub") as caught:
        commit(api, add("new.onnx", noise(size)))
    assert ("BadDigest" if detected_by == "storage" else "was not uploaded") in str(caught.value.__cause__)
    assert "new.onnx" not in contents(hub.store)
    commit(api, add("new.onnx", noise(size)))
    assert contents(hub.store)["new.onnx"] == noise(size)


@pytest.mark.parametrize(("route", "size"), [("lfs_upload", 900_000), ("lfs_part", 1_100_000)])
def test_corrupted_upload_that_nobody_notices(
    api: HfApi, hub: Hub, model: str, route: str, size: int, tmp_path: Path
) -> None:
    """The Hub can acknowledge damaged bytes: they are served under the hash that was announced."""
    hub.faults.add(Fault("corrupt_upload", route, detected_by="nobody", at_byte=100))
    commit(api, add("new.onnx", noise(size)))
    data = Path(api.hf_hub_download(model, "new.onnx", cache_dir=tmp_path)).read_bytes()
    assert [index for index, pair in enumerate(zip(data, noise(size), strict=True)) if len(set(pair)) == 2] == [100]
    assert hub.store.files(model)["new.onnx"].lfs == sha256(noise(size))


def test_cut_download(api: HfApi, hub: Hub, model: str, tmp_path: Path) -> None:
    """A download that is cut is an error, and the next one asks for the rest only."""
    data = noise(11_000_000)
    hub.store.commit(model, {"big.onnx": data})
    hub.faults.add(Fault("cut_download", "download", at_byte=10_900_000))
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        api.hf_hub_download(model, "big.onnx", cache_dir=tmp_path)
    assert Path(api.hf_hub_download(model, "big.onnx", cache_dir=tmp_path)).read_bytes() == data
    first, second = hub.requests.matching("download")
    assert (first.range, first.bytes_sent) == (None, 10_900_000)
    # the client keeps whole blocks of 10 MiB
    assert (second.range, second.status, second.bytes_sent) == ("bytes=10485760-", 206, 514_240)


def test_stalled_download(api: HfApi, hub: Hub, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A download that stalls is given up after the client's timeout and resumed in the same call."""
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.3)
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1_000)
    hub.faults.add(Fault("stall_download", "download", at_byte=2_500))
    path = api.hf_hub_download(model, "onnx/model.onnx", cache_dir=tmp_path)
    assert Path(path).read_bytes() == noise(5_000)
    assert [record.range for record in hub.requests.matching("download")] == [None, "bytes=2000-"]


def test_corrupted_download(api: HfApi, hub: Hub, model: str, tmp_path: Path) -> None:
    """The client takes bytes that were damaged on the way: whoever relies on them must check the hash."""
    hub.faults.add(Fault("corrupt_download", "download", at_byte=10))
    data = Path(api.hf_hub_download(model, "onnx/model.onnx", cache_dir=tmp_path)).read_bytes()
    assert (len(data), data[10] ^ noise(5_000)[10], data[11:]) == (5_000, 1, noise(5_000)[11:])


def test_tampered_file(api: HfApi, hub: Hub, model: str, tmp_path: Path) -> None:
    """Stored bytes can change behind a commit: its id and every hash stay the same."""
    before = api.model_info(model, files_metadata=True)
    hub.store.tamper(model, "onnx/model.onnx", noise(5_000, seed=9))
    assert api.model_info(model, files_metadata=True) == before
    path = api.hf_hub_download(model, "onnx/model.onnx", revision=before.sha, cache_dir=tmp_path)
    assert Path(path).read_bytes() == noise(5_000, seed=9)


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
def test_status_of_choice(
    api: HfApi, hub: Hub, model: str, status: int, code: str | None, error: type[Exception]
) -> None:
    """Any route answers any status with any error code, which the client turns into its own types."""
    hub.faults.add(Fault("status", "info", status=status, error_code=code, message="On purpose"))
    with pytest.raises(error, match="On purpose") as caught:
        api.model_info(model)
    assert type(caught.value) is error


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
    with pytest.raises(requests.ReadTimeout):
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


# Processes


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
    command = [sys.executable, "-m", "tests.hub", "--root", str(tmp_path)]
    tokens = []
    for run in range(2):
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                lines = [process.stdout.readline() for _ in range(4)]
                endpoint, token = (line.split("=")[1].strip() for line in lines[:2])
                assert "acme" in lines[2]
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
            with pytest.raises(HfHubHTTPError, match="500 Server Error"):
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
