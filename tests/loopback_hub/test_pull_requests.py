"""Pull requests on the loopback Hub."""

from pathlib import Path

import pytest
from huggingface_hub import CommitOperationDelete, HfApi
from huggingface_hub.errors import BadRequestError, HfHubHTTPError

from tests.loopback_hub.client import add, commit, contents, noise, sha256
from tools.loopback_hub import Hub


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
