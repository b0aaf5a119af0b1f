"""Tokens stay where they belong, and names from outside stay in their folder."""

import contextlib
import json
import logging
import os
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from stages.core.environment import prepare
from stages.hub import calls as stages_hub
from tests.hub_publish import tiny
from tests.hub_publish.conftest import Command, Project
from tools.loopback_hub import Fault, Hub

FAULTS = (
    Fault("status", "*", status=500, times=None),
    Fault("status", "lfs_upload", status=400, times=None),
    Fault("reset", "lfs_*", times=None),
    Fault("expired_token", "*", times=None),
    Fault("corrupt_upload", "lfs_upload", at_byte=3, detected_by="nobody"),
)


@pytest.mark.parametrize("fault", [None, Fault("status", "commit", status=403, times=None)])
def test_no_token_is_left_behind(hub: Hub, tmp_path: Path, project: Path, fault: Fault | None) -> None:
    """A publish in a process of its own, with all logging on: no token in what it prints or writes anywhere."""
    if fault is not None:
        hub.faults.add(fault)
    environment = {**os.environ, **hub.client_env(tmp_path / "home", hub.tokens.write), "ARTIFICER_VERBOSE": "1"}
    environment |= {"PYTHONPATH": str(tiny.REPOSITORY), "HF_HUB_VERBOSITY": "debug"}
    command = [sys.executable, "-m", "stages", "publish", tiny.SLUG]
    done = subprocess.run(command, env=environment, capture_output=True, cwd=project, check=False)
    assert (done.returncode == 0) == (fault is None), done.stderr
    secret = hub.tokens.write.value.encode()
    assert secret not in done.stdout + done.stderr
    assert b"signature=" not in done.stdout
    assert b"Traceback" not in done.stderr
    assert [path for folder in (project, tmp_path / "home") for path in _holding(secret, folder)] == []


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.kind}-{fault.route}")
def test_no_token_in_any_failure(
    hub: Hub, command: Command, project: Path, caplog: pytest.LogCaptureFixture, fault: Fault
) -> None:
    """However a publish fails: no token in what it prints, logs, or writes anywhere."""
    hub.faults.add(fault)
    for name in ("huggingface_hub", "urllib3", ""):
        caplog.set_level(logging.DEBUG, name)
    _, text = command("publish", tiny.SLUG)
    secret = hub.tokens.write.value
    assert secret not in text + caplog.text
    assert _holding(secret.encode(), project) + _holding(secret.encode(), project.parent / "home") == []


def test_messages_of_a_server_are_cleaned(hub: Hub, command: Command, make_project: Project) -> None:
    """A server that repeats the token in its refusal does not get it into ours, and addresses lose their query."""
    make_project()
    secret = hub.tokens.write.value
    hub.faults.add(Fault("status", "commit", status=403, message=f"token {secret} may not, see http://x/y?sig=abc"))
    code, text = command("publish", tiny.SLUG)
    assert code == 7
    assert "token … may not, see http://x/y?…" in text
    assert secret not in text


def test_stages_that_need_no_token_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs a toolchain on a model's files cannot read the token from its environment."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_DISABLE_IMPLICIT_TOKEN", "HF_HUB_OFFLINE"):
        monkeypatch.setenv(name, "hf_secretsecret")
    for name in ("DO_NOT_TRACK", "HF_DATASETS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY", "NNCF_CI"):
        monkeypatch.setenv(name, "")
    for name in ("TOKENIZERS_PARALLELISM", "TRANSFORMERS_VERBOSITY"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    monkeypatch.setitem(sys.modules, "openvino_telemetry", None)
    monkeypatch.setattr("warnings.filterwarnings", lambda *_, **__: None)
    prepare(online=False)
    assert "HF_TOKEN" not in os.environ
    assert "HUGGING_FACE_HUB_TOKEN" not in os.environ


@pytest.mark.parametrize("slug", ["../tiny", "tiny/../../x", "/etc", "a b", "..", "tiny\n"])
def test_slugs(hub: Hub, command: Command, make_project: Project, slug: str) -> None:
    """A slug that is none is refused before a path is made of it."""
    root = make_project(settings={"target": "folder", "index": {"folder": "dist"}})
    before = sorted(root.parent.rglob("*"))
    for name in ("publish", "promote", "rollback", "fetch", "update"):
        code, text = command(name, slug)
        assert code in (1, 2, 3)
        assert text.startswith("error: ")
    assert [path for path in sorted(root.parent.rglob("*")) if path not in before and "hub" not in path.parts] == []
    assert not hub.requests


def test_a_manifest_with_another_name(command: Command, make_project: Project) -> None:
    """A packed manifest whose name would leave the target folder is refused."""
    root = make_project(settings={"target": "folder"})
    path = root / "artifacts/packages/tiny/manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "name": "../../out"}))
    code, text = command("publish", tiny.SLUG)
    assert code == 7
    assert "name: expected like org/name, found '../../out'." in text
    assert not (root.parent / "out").exists()


@pytest.mark.parametrize("path", ["../x", "a/../../x", "/x", "a\\..\\x", "a\x00b"])
def test_locks(command: Command, make_project: Project, path: str) -> None:
    """A lock that names a file outside its folder is refused."""
    root = make_project()
    lock = {"location": "nowhere", "revision": None, "files": [{"path": path, "size": 0, "sha256": "0" * 64}]}
    (root / "registry/locks/tiny.json").write_text(json.dumps(lock))
    code, text = command("fetch", tiny.SLUG)
    assert code == 3
    assert "files[0].path" in text


def test_server_answers(hub: Hub, command: Command, project: Path) -> None:
    """Odd names in a Hub's repo are listed, and never become paths here."""
    command("publish", tiny.SLUG)
    hub.store.commit(tiny.REPO, {"../../evil": b"x", "/absolute": b"x"})
    tiny.build(project, variants=("onnx",))
    code, text = command("publish", tiny.SLUG)
    assert code == 0, text
    assert not list(project.parent.glob("**/evil"))


def test_redact() -> None:
    """What looks like a token, a bearer header or a signed query is cut out of a text."""
    text = "hf_AbCdEfGh123, Authorization: Bearer abc.def, https://s3/x?X-Amz-Signature=1&y=2 and more"
    assert stages_hub.redact(text) == "…, Authorization: Bearer … https://s3/x?… and more"
    assert logging.getLogger("artificer").name == "artificer"


def _holding(secret: bytes, folder: Path) -> list[Path]:
    found = []
    for path in folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            with contextlib.suppress(zlib.error):
                data += zlib.decompress(data)
            if secret in data:
                found.append(path)
    return found
