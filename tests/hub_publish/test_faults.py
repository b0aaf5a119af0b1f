"""Publishing while things fail: the repo holds the old state or the new, whole, and a commit is never made twice."""

from pathlib import Path

import pytest

from stages.records.receipts import load_receipt
from tests.hub_publish import tiny
from tests.hub_publish.conftest import Command
from tests.hub_publish.harness import KINDS, run
from tests.hub_publish.test_publish import held, history
from tools.loopback_hub import Fault, Hub


@pytest.mark.parametrize("kind", KINDS)
def test_one_of_each_kind(hub: Hub, tmp_path: Path, kind: str) -> None:
    """Whatever fails, the repo is whole, the receipt true, and a rerun finishes what can be finished."""
    outcome = run(hub, tmp_path / "run", kind, seed=1)
    assert outcome.fired
    assert outcome.after in ("old", "new"), outcome.text
    refused = kind in ("412: our file changed", "corrupted upload, seen by nobody")
    assert outcome.rerun == "new" or (refused and outcome.rerun == "old"), outcome.text
    assert outcome.commits <= 1
    assert outcome.receipt_is_true


def test_retry_after_is_honoured(hub: Hub, project: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wait that the Hub asks for is the wait that it gets."""
    waits: list[float] = []
    monkeypatch.setattr("stages.hub.calls._sleep", waits.append)
    hub.faults.add(Fault("status", "commit", status=429, retry_after=11, times=2))
    code, text = command("publish", tiny.SLUG)
    assert code == 0, text
    assert waits == [11.0, 11.0]
    assert held(hub) == tiny.contents(project, tiny.build(project))


@pytest.mark.usefixtures("project")
def test_waiting_longer_than_allowed(hub: Hub, command: Command) -> None:
    """A wait beyond params.yaml's limit ends the publish at once, with the Hub's wish in the message."""
    hub.faults.add(Fault("status", "commit", status=429, retry_after=3600, times=None))
    code, text = command("publish", tiny.SLUG)
    assert code == 7
    assert "error: acme/tiny: the Hub limits requests (429). It asks to wait 3600 s. Run again later." in text
    assert len(hub.requests.matching("commit")) == 1


@pytest.mark.usefixtures("project")
def test_attempts_are_limited(hub: Hub, command: Command) -> None:
    """As many attempts as params.yaml says, then one clear message and no receipt."""
    hub.faults.add(Fault("status", "commit", status=503, times=None))
    code, text = command("publish", tiny.SLUG)
    assert code == 7
    assert "error: acme/tiny: the Hub keeps failing (503). Run again later." in text
    assert len(hub.requests.matching("commit")) == 6
    assert load_receipt(tiny.SLUG) is None


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("kind", ["status_after", "reset_after"])
def test_commit_landed_without_an_answer(hub: Hub, command: Command, kind: str) -> None:
    """A commit whose answer was lost is recognised by reading the repo, and not made again."""
    hub.faults.add(Fault(kind, "commit", status=500))  # type: ignore[arg-type]
    code, text = command("publish", tiny.SLUG)
    assert code == 0, text
    assert len(hub.requests.matching("commit")) == 1
    assert history(hub) == ["Artificer: variants of tiny"]


def test_head_moved(hub: Hub, project: Path, command: Command) -> None:
    """After somebody else's commit the plan is made again on top of it, and their file stays."""
    command("publish", tiny.SLUG)
    manifest = tiny.build(project, seeds={"onnx": 1})
    hub.faults.add(Fault("foreign_commit", "commit"))
    code, text = command("publish", tiny.SLUG)
    assert code == 0, text
    assert history(hub)[-2:] == ["Somebody else's commit", "Artificer: variants of tiny"]
    assert held(hub).keys() - tiny.contents(project, manifest).keys() == {"FOREIGN.md"}


def test_head_moved_with_our_file(hub: Hub, project: Path, command: Command) -> None:
    """When somebody changed a file of ours meanwhile, nothing is overwritten and the message names the file."""
    command("publish", tiny.SLUG)
    tiny.build(project, seeds={"onnx": 1})
    theirs = {"README.md": b"---\nlicense: mit\n---\ntheirs\n"}
    hub.faults.add(Fault("foreign_commit", "commit", hook=lambda store, target: store.commit(target.repo_id, theirs)))
    code, text = command("publish", tiny.SLUG)
    assert code == 7
    assert "somebody changed README.md" in text
    assert held(hub)["README.md"] == theirs["README.md"]


@pytest.mark.usefixtures("project")
def test_token_that_expires(hub: Hub, command: Command) -> None:
    """An expired token is not tried again; the message says what to do."""
    hub.faults.add(Fault("expired_token", "lfs_batch", times=None))
    code, text = command("publish", tiny.SLUG)
    assert code == 7
    assert "the Hub refused the token (401): it is wrong or has expired. Set HF_TOKEN to a valid one." in text
    assert len(hub.requests.matching("lfs_batch")) == 1
    assert held(hub) == {}


@pytest.mark.usefixtures("project")
def test_damage_that_nobody_notices(hub: Hub, command: Command) -> None:
    """Bytes that come back otherwise than they were sent undo the commit, and leave no receipt."""
    hub.faults.add(Fault("corrupt_upload", "lfs_upload", at_byte=9, detected_by="nobody"))
    code, text = command("publish", tiny.SLUG)
    assert code == 7
    assert "arrived damaged. The commit was undone: the repo holds what it held before." in text
    assert held(hub) == {}
    assert load_receipt(tiny.SLUG) is None


@pytest.mark.usefixtures("project")
def test_confirmation_that_fails(hub: Hub, command: Command) -> None:
    """Without a successful reading back there is no receipt, and the next run supplies it without a commit."""
    hub.faults.add(Fault("status", "download", status=503, times=None))
    code, _ = command("publish", tiny.SLUG)
    assert code == 7
    assert load_receipt(tiny.SLUG) is None
    hub.faults.clear()
    hub.requests.clear()
    code, text = command("publish", tiny.SLUG)
    assert code == 0, text
    assert load_receipt(tiny.SLUG) is not None
    assert not hub.requests.matching("commit")
    assert hub.requests.matching("download")
