"""Graph and sidecar are one unit on the Hub: they go up, change, load and go away together."""

from pathlib import Path

import numpy as np
import pytest

import artificer
from artificer.inference.activations import activate
from tests.hub_publish import tiny
from tests.hub_publish.conftest import Command
from tests.hub_publish.test_publish import held, history
from tools.loopback_hub import Hub

GRAPHS = ("onnx/model.onnx", "onnx/model_O3.onnx")
SIDECARS = tuple(f"{graph}_data" for graph in GRAPHS)


@pytest.mark.parametrize("variant", ["onnx", "onnx-O3"])
def test_published_sidecars_load_from_the_hub(
    hub: Hub, project: Path, command: Command, tmp_path: Path, variant: str
) -> None:
    """In one commit with their graphs; the cache holds plain files of that variant alone, and the scores are right."""
    manifest = tiny.build(project, sidecars=True)
    code, text = command("publish", tiny.SLUG)
    assert code == 0, text
    assert held(hub) == tiny.contents(project, manifest)
    assert set(GRAPHS + SIDECARS) <= held(hub).keys()
    assert len(history(hub)) == 1
    expected = activate(np.array([tiny.logit(0)], dtype=np.float32), "sigmoid")
    with artificer.load(tiny.REPO, variant=variant, cache=tmp_path / "cache") as model:
        np.testing.assert_allclose(model.predict([tiny.PAIR]), expected, rtol=1e-6)
        folder = Path(model.explain().folder)
    fetched = {path.relative_to(folder).as_posix() for path in (folder / "onnx").iterdir()}
    assert fetched == {entry.path for entry in manifest.variant(variant).files}
    assert not any(path.is_symlink() for path in folder.rglob("*"))
    with artificer.load(tiny.REPO, variant=variant, cache=tmp_path / "cache", offline=True) as model:
        np.testing.assert_allclose(model.predict([tiny.PAIR]), expected, rtol=1e-6)


def test_changed_weights_change_the_sidecar_alone(hub: Hub, project: Path, command: Command) -> None:
    """The graph's bytes stay, and stay in the repo; a variant that is dropped takes its sidecar with it."""
    tiny.build(project, sidecars=True)
    command("publish", tiny.SLUG)
    before = held(hub)
    manifest = tiny.build(project, sidecars=True, seeds={"onnx-O3": 1})
    assert command("publish", tiny.SLUG)[0] == 0
    after = held(hub)
    assert after == tiny.contents(project, manifest)
    changed = {path for path in before if before[path] != after[path]}
    assert "onnx/model_O3.onnx_data" in changed
    assert changed.isdisjoint({"onnx/model_O3.onnx", *GRAPHS[:1], *SIDECARS[:1]})
    tiny.build(project, sidecars=True, variants=("onnx", "openvino"))
    assert command("publish", tiny.SLUG)[0] == 0
    assert {path for path in held(hub) if path.startswith("onnx/")} == {GRAPHS[0], SIDECARS[0]}


@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_damaged_sidecar_is_not_published(hub: Hub, project: Path, command: Command, damage: str) -> None:
    """Nothing is sent when one file of a unit is not what was proven."""
    tiny.build(project, sidecars=True)
    (path,) = (project / "artifacts/models/tiny").rglob("model_O3.onnx_data")
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-1])
    else:
        path.unlink()
    code, text = command("publish", tiny.SLUG)
    assert code == 7
    assert "model_O3.onnx_data" in text
    assert not hub.requests.matching("commit", "lfs_*")
