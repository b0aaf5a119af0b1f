"""Commands of the builder that read the Hub."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from huggingface_hub import constants

from tests.stages import project
from tests.stages.checkpoints import edit_config, tiny_bert
from tests.stages.conftest import Stages
from tests.stages.fabricated import SLUG
from tests.stages.project import read_json, read_yaml
from tools.loopback_hub import Hub, close_sessions, default_hub, loopback_only, running_hub

REGISTRY = Path("registry/models.yaml")
FOLDER = f"checkpoints/{SLUG}"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A Hub on loopback that the commands talk to."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    close_sessions()
    with loopback_only(), running_hub(tmp_path / "hub") as running, default_hub(running, tmp_path / "home"):
        yield running
    close_sessions()


def upload(hub: Hub, repo: str, folder: Path, **more: bytes) -> str:
    """Commit a checkpoint to a repo of the Hub; the commit."""
    hub.store.create_repo(repo)
    files = {**project.snapshot(folder), **{name.replace("__", "."): data for name, data in more.items()}}
    return str(hub.store.commit(repo, files, message="A model"))


@pytest.mark.toolchain
def test_add_takes_an_entry_of_the_catalog(root: Path, hub: Hub, stages: Stages) -> None:
    """The catalog's entry is copied, the branch stays written, and the lock holds the commit and every hash."""
    checkpoint = tiny_bert(root / "hub-model", max_position_embeddings=514)
    edit_config(checkpoint, "tokenizer_config.json", model_max_length=512)
    commit = upload(hub, "BAAI/bge-reranker-base", checkpoint)
    code, _, err = stages("add", "bge-reranker-base")
    assert (code, err) == (0, "")
    expected = yaml.safe_load((project.REPOSITORY / "registry/catalog.yaml").read_text())["models"]["bge-reranker-base"]
    assert read_yaml(REGISTRY)["models"] == {"bge-reranker-base": expected}
    lock = read_json(root / "registry/locks/bge-reranker-base.json")
    assert (lock["location"], lock["revision"]) == ("BAAI/bge-reranker-base", commit)
    assert stages("fetch", "bge-reranker-base")[0] == 0
    source = root / "artifacts/models/bge-reranker-base/source"
    assert project.snapshot(source) == project.snapshot(checkpoint)
    assert read_json(source.parent / "spec.json")["source"]["revision"] == commit


@pytest.mark.usefixtures("root")
def test_add_takes_the_address_of_a_repo(tiny: Path, hub: Hub, stages: Stages) -> None:
    """As a browser shows it; it is the way to a repository whose owner is also a folder here."""
    upload(hub, "registry/reranker", tiny)
    assert "the folder registry/reranker does not exist" in stages("add", "registry/reranker", "--license", "mit")[2]
    assert stages("add", "https://huggingface.co/registry/reranker", "--license", "mit")[0] == 0
    assert read_yaml(REGISTRY)["models"]["reranker"]["source"] == {"repo": "registry/reranker", "revision": "main"}


@pytest.mark.usefixtures("root")
def test_add_of_a_repo_reads_the_license_of_its_card(tiny: Path, hub: Hub, stages: Stages) -> None:
    """A repo id is enough; a moved branch does not move the pin."""
    commit = upload(hub, "acme/reranker", tiny, README__md=b"---\nlicense: bsd-3-clause\n---\n# Reranker\n")
    assert stages("add", "acme/reranker")[0] == 0
    entry = read_yaml(REGISTRY)["models"]["reranker"]
    assert entry["source"] == {"repo": "acme/reranker", "revision": "main"}
    assert entry["license"] == "bsd-3-clause"
    hub.store.commit("acme/reranker", {"config.json": b"{}"}, message="Break it")
    assert stages("fetch", "reranker")[0] == 0
    assert read_json(Path("artifacts/models/reranker/spec.json"))["source"]["revision"] == commit


def test_a_repo_of_pickles_is_refused(root: Path, tiny: Path, hub: Hub, stages: Stages) -> None:
    """The list of files is enough to refuse it: no weight is downloaded."""
    folder = root / "pickled"
    shutil.copytree(tiny, folder)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    upload(hub, "acme/pickled", folder)
    code, _, err = stages("add", "acme/pickled", "--license", "mit")
    assert code == 4
    assert "found only pickled weights (pytorch_model.bin)" in err
    assert read_yaml(REGISTRY) == {"models": {}}
    assert not any("pytorch_model.bin" in record.path for record in hub.requests)


@pytest.mark.usefixtures("root", "hub")
def test_a_repo_that_does_not_exist_is_one_line(stages: Stages) -> None:
    """Name or rights: the Hub does not tell one from the other, and the message says so."""
    code, _, err = stages("add", "acme/none-such", "--license", "mit")
    assert code == 4
    assert len(err.splitlines()) == 1
    assert "acme/none-such" in err
