"""Who may ask the server, and what a job is."""

import re
import sys
import time
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from stages.core.errors import UsageError
from stages.ui.app import make_app
from stages.ui.guard import TOKEN_HEADER
from stages.ui.jobs import Job, Jobs, shown
from tests.stages import project


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    """A browser on this machine, in a project without models."""
    project.make_registry(tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    return TestClient(make_app(frozenset({"127.0.0.1"})), base_url="http://127.0.0.1:8765")


@pytest.fixture(autouse=True)
def _registry_folder(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()


def token_of(client: TestClient) -> dict[str, str]:
    """The token that a served page holds."""
    found = re.search(r'name="artificer-token" content="([^"]+)"', client.get("/add").text)
    assert found is not None
    return {TOKEN_HEADER: found[1]}


def finished(job: Job) -> Job:
    """The job once it ended."""
    end = time.monotonic() + 30
    while job.state == "running" and time.monotonic() < end:
        time.sleep(0.02)
    return job


def python(code: str) -> list[str]:
    """A command that runs this."""
    return [sys.executable, "-c", code]


def test_another_host_name_is_refused(client: TestClient) -> None:
    """A page elsewhere could make its own name lead to this machine."""
    for name in ("evil.example", "evil.example:8765", "127.0.0.1.evil.example"):
        assert client.get("/", headers={"host": name}).status_code == 421


@pytest.mark.parametrize("path", ["/api/build", "/api/inspect", "/api/publish", "/api/try", "/api/cancel"])
def test_a_post_without_the_token_is_refused(client: TestClient, path: str) -> None:
    """Another page of the same browser can post, and cannot read the token."""
    assert client.post(path, json={}).status_code == 403
    assert client.post(path, json={}, headers={TOKEN_HEADER: "guessed"}).status_code == 403


def test_pages_have_a_strict_policy(client: TestClient) -> None:
    """Nothing inline, nothing from elsewhere, and no frame around it."""
    for path in ("/", "/add", "/publish"):
        answer = client.get(path)
        assert answer.status_code == 200
        assert "default-src 'none'; script-src 'self'" in answer.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert not re.search(r"<script(?![^>]*\bsrc=)|\sstyle=|\son[a-z]+=", answer.text)


def test_a_source_is_never_an_option(client: TestClient) -> None:
    """What a person typed stands after `--`."""
    answer = client.post("/api/inspect", json={"source": "--help"}, headers=token_of(client))
    assert answer.json()["command"].endswith("add --dry-run -- --help")
    assert answer.json()["error"]


def test_a_model_that_is_not_listed_is_refused(client: TestClient) -> None:
    """No name leads out of the target's folder."""
    asked = {"model": "../../etc", "a": "onnx", "b": "onnx", "query": "q", "documents": ["d"]}
    answer = client.post("/api/try", json=asked, headers=token_of(client))
    assert (answer.status_code, answer.json()) == (400, {"error": "dist has no published model '../../etc'."})


def test_publishing_an_unknown_model_is_refused(client: TestClient) -> None:
    """Before a command is started."""
    answer = client.post("/api/publish", json={"slug": "--x", "action": "publish"}, headers=token_of(client))
    assert answer.status_code == 400


def test_there_is_no_job_at_first(client: TestClient) -> None:
    """The stream of events says so and ends."""
    answer = client.get("/api/job")
    assert answer.text == "data: null\n\n"


def test_a_job_runs_its_commands_in_order() -> None:
    """With each command and its output in the log, and the stages of DVC by name."""
    job = finished(Jobs().start("two", [python("print('one')"), python("print(\"Running stage 'fetch@tiny':\")")]))
    assert job.state == "done"
    assert [line for line in job.lines if not line.startswith("$")] == ["one", "Running stage 'fetch@tiny':"]
    assert job.stages == ["fetch@tiny"]


def test_a_failure_has_one_line_as_its_reason_and_ends_the_job() -> None:
    """The first line that names an error, not the last that a wrapper printed."""
    code = "import sys; print('error: no room'); print('ERROR: failed to reproduce'); sys.exit(9)"
    job = finished(Jobs().start("fails", [python(code), python("print('never')")]))
    assert (job.state, job.reason) == ("failed", "no room")
    assert "never" not in job.lines


def test_a_job_is_cancelled_with_what_it_started() -> None:
    """DVC starts stages, which must not outlive it."""
    jobs = Jobs()
    inner = "import time; print('inner', flush=True); time.sleep(60)"
    job = jobs.start("long", [python(f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}])")])
    while "inner" not in job.lines:
        time.sleep(0.02)
    jobs.cancel()
    assert job.state == "cancelled"
    assert job.process is not None
    assert job.process.wait(10) != 0


def test_one_job_at_a_time() -> None:
    """Two builds would share dvc.lock."""
    jobs = Jobs()
    jobs.start("first", [python("import time; time.sleep(60)")])
    with pytest.raises(UsageError, match="first is still running"):
        jobs.start("second", [python("pass")])
    jobs.cancel()


def test_a_command_is_shown_as_a_person_types_it() -> None:
    """So that the command line can be learned from the page."""
    assert shown([sys.executable, "-m", "stages", "add", "--", "my folder"]) == "python -m stages add -- 'my folder'"
    assert shown([sys.executable, "-m", "dvc", "repro", "publish@a"]) == "dvc repro publish@a"
