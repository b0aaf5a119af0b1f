"""Proposing instead of committing: opening one pull request, finding it again, updating it, respecting its end."""

from pathlib import Path

import pytest
from huggingface_hub import HfApi

from stages.records.receipts import load_receipt
from tests.hub_publish import tiny
from tests.hub_publish.conftest import Command, Project
from tests.hub_publish.test_publish import held, history
from tools.loopback_hub import Fault, Hub


@pytest.fixture
def theirs(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> str:
    """A public repo of an organisation that this token cannot write to."""
    hub.store.create_repo("others/model")
    hub.store.commit("others/model", {"README.md": b"theirs\n", "config.json": b"{}\n", "onnx/model.onnx": b"\0old"})
    monkeypatch.setenv("HF_TOKEN", hub.tokens.add("outsider", "write").value)
    return "others/model"


def test_somebody_elses_repo(hub: Hub, command: Command, make_project: Project, theirs: str) -> None:
    """Only variants go there, under that repo's names, in a pull request with a table and a snippet."""
    names = {"onnx/model.onnx": "onnx/model_fast.onnx"}
    root = make_project(repo=theirs, pull_request=True, contents="variants", names=names)
    manifest = tiny.build(root, repo=theirs)
    before = held(hub, repo=theirs)
    code, text = command("publish", tiny.SLUG)
    assert code == 0, text
    ours = tiny.contents(root, manifest)
    variants = {names.get(f.path, f.path): ours[f.path] for v in manifest.variants for f in v.files}
    assert held(hub, repo=theirs) == before
    assert held(hub, "refs/pr/1", theirs) == before | variants
    talk = HfApi().get_discussion_details(theirs, 1)
    body = talk.events[0].content  # type: ignore[attr-defined]
    assert "| onnx-O3 | passed |" in body
    assert '    "others/model",\n    revision="refs/pr/1",\n    backend="openvino",\n' in body
    assert '`backend="onnx"` and a `file_name` such as `"onnx/model_fast.onnx"`' in body
    receipt = load_receipt(tiny.SLUG)
    assert receipt is not None
    assert receipt.pull_request == 1
    assert {entry.path for entry in receipt.offered} == variants.keys()


def test_updating(hub: Hub, command: Command, make_project: Project, theirs: str) -> None:
    """Another build goes to the open pull request; a file that is no longer offered goes, or comes back as it was."""
    root = make_project(repo=theirs, pull_request=True, contents="variants")
    tiny.build(root, repo=theirs)
    command("publish", tiny.SLUG)
    manifest = tiny.build(root, repo=theirs, variants=("onnx-O3",), seeds={"onnx-O3": 3})
    code, text = command("publish", tiny.SLUG)
    assert code == 0, text
    after = held(hub, "refs/pr/1", theirs)
    assert after["onnx/model_O3.onnx"] == tiny.contents(root, manifest)["onnx/model_O3.onnx"]
    assert after["onnx/model.onnx"] == b"\0old"
    assert "openvino/openvino_model.xml" not in after
    assert len(hub.store.repo(theirs).discussions) == 1
    hub.requests.clear()
    code, text = command("publish", tiny.SLUG)
    assert (code, len(hub.requests.matching("commit"))) == (0, 0), text


@pytest.mark.parametrize("kind", ["status_after", "reset_after"])
def test_opened_without_an_answer(hub: Hub, command: Command, make_project: Project, theirs: str, kind: str) -> None:
    """A pull request whose answer was lost is found again by its author and title, and not opened twice."""
    root = make_project(repo=theirs, pull_request=True, contents="variants")
    tiny.build(root, repo=theirs)
    hub.faults.add(Fault(kind, "commit", status=502))  # type: ignore[arg-type]
    code, text = command("publish", tiny.SLUG)
    assert code == 0, text
    assert len(hub.store.repo(theirs).discussions) == 1
    receipt = load_receipt(tiny.SLUG)
    assert receipt is not None
    assert receipt.pull_request == 1


def test_whole_package(hub: Hub, command: Command, make_project: Project) -> None:
    """A whole package can be proposed too; once merged, another publish of the same bytes does nothing."""
    root = make_project(pull_request=True)
    hub.store.create_repo(tiny.REPO, private=True)
    code, text = command("publish", tiny.SLUG)
    assert code == 0, text
    assert held(hub) == {}
    assert held(hub, "refs/pr/1") == tiny.contents(root, tiny.build(root))
    HfApi().merge_pull_request(tiny.REPO, 1)
    head = hub.store.head(tiny.REPO)
    code, text = command("publish", tiny.SLUG)
    assert (code, hub.store.head(tiny.REPO)) == (0, head), text
    receipt = load_receipt(tiny.SLUG)
    assert receipt is not None
    assert (receipt.commit, receipt.pull_request) == (head, None)


@pytest.mark.usefixtures("hub")
def test_closed(command: Command, make_project: Project, hub: Hub) -> None:
    """What the maintainers turned down is not proposed again by itself."""
    make_project(pull_request=True)
    hub.store.create_repo(tiny.REPO, private=True)
    command("publish", tiny.SLUG)
    HfApi().change_discussion_status(tiny.REPO, 1, "closed")
    code, text = command("publish", tiny.SLUG)
    assert code == 7
    assert "acme/tiny: pull request 1 with these files was closed. Nothing was sent." in text
    assert len(hub.store.repo(tiny.REPO).discussions) == 1


def test_number_that_was_taken(hub: Hub, command: Command, make_project: Project) -> None:
    """When somebody else's discussion takes the number first, a comment corrects the snippet."""
    make_project(pull_request=True)
    hub.store.create_repo(tiny.REPO, private=True)
    api = HfApi()
    hub.faults.add(Fault("call", "commit", action=lambda: api.create_discussion(tiny.REPO, "Faster than you")))
    code, text = command("publish", tiny.SLUG)
    assert code == 0, text
    texts = [getattr(event, "content", "") for event in api.get_discussion_details(tiny.REPO, 2).events]
    assert 'revision="refs/pr/2"' in texts[-1]
    assert history(hub, "refs/pr/2") == ["Artificer: variants of tiny"]


def test_missing_repo(hub: Hub, command: Command, make_project: Project, tmp_path: Path) -> None:
    """A pull request to a repo that is not there is an error, and makes no repo."""
    make_project(pull_request=True)
    code, text = command("publish", tiny.SLUG, "--dry-run")
    assert code == 7
    assert "acme/tiny: no such repo to open a pull request on" in text
    assert not hub.requests.matching("create_repo")
    assert tmp_path.is_dir()
