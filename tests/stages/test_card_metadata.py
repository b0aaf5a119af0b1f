"""The model card's front matter, read and validated by the Hub's own client, and the command that a card states."""

import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import pytest
from huggingface_hub import ModelCard, set_client_factory
from huggingface_hub.repocard_data import ModelCardData, eval_results_to_model_index
from huggingface_hub.utils._http import default_client_factory

from artificer.manifest import Manifest, Source
from stages.core import paths
from stages.packaging.front_matter import front_matter
from stages.packaging.install_line import install_line
from stages.records.quality_report import QualityReport, load_quality
from tests.stages.conftest import Stages
from tests.stages.fabricated import SLUG, Fabricated, tighten
from tests.stages.project import edited
from tests.test_package import copy_of_the_sources
from tools.loopback_hub import running_hub

CARD = Path("artifacts/packages", SLUG, "README.md")


@pytest.fixture
def packed(root: Path, tiny: Path, stages: Stages) -> Manifest:
    """A packed model whose avx2 variant failed."""
    tighten(root, "int8", score_max_abs=0.1)
    Fabricated(figures={"onnx-quint8-avx2": {"score_max_abs": 0.5}}, ratios={"openvino-qint8": 0.985}).write(root, tiny)
    assert stages("pack", SLUG)[0] == 0
    return Manifest.from_json((root / CARD.parent / "manifest.json").read_bytes())


def of_the_hub(manifest: Manifest) -> Manifest:
    """The same model, fetched from a repository."""
    source = Source(kind="hub", location="acme/base", revision="0" * 40, license="mit", files=manifest.source.files)
    return msgspec.structs.replace(manifest, source=source)


def data_of(manifest: Manifest, quality: QualityReport) -> ModelCardData:
    """The front matter as the Hub's client parses it."""
    return parsed(f"---\n{front_matter(manifest, quality)}\n---\n\n# text\n")


def parsed(text: str) -> ModelCardData:
    """A card's metadata; it has tags and results."""
    data = ModelCard(text).data
    assert isinstance(data, ModelCardData)
    assert data.tags
    assert data.eval_results
    return data


def test_the_client_of_the_hub_reads_back_what_the_card_states(packed: Manifest) -> None:
    """Parsed, and written again from the parsed results, the model index is the same."""
    data = parsed(CARD.read_text(encoding="utf-8"))
    results = data.eval_results or []
    assert data.model_name == packed.name
    found = {result.metric_name: result.metric_value for result in results}
    assert found["ndcg@10 (source model, torch float32)"] == 0.8
    assert found["ndcg@10 (openvino-qint8)"] == 0.788
    assert found["Spearman's rho with the source model (onnx)"] == 1.0
    assert {(result.task_type, result.dataset_type) for result in results} == {("text-ranking", "pairs")}
    assert results[0].dataset_args == {"rows": 12, "sha256": packed.evaluation.sha256}
    written = eval_results_to_model_index(packed.name, results)
    assert written[0]["results"][0]["metrics"] == [
        {"type": each.metric_type, "value": each.metric_value, "name": each.metric_name} for each in results
    ]


def test_a_variant_that_failed_has_no_figures_in_the_model_index(packed: Manifest) -> None:
    """What is not published is not advertised."""
    assert packed.variant("onnx-quint8-avx2").status == "failed"
    assert "quint8" not in front_matter(packed, load_quality(SLUG))


def test_a_source_on_the_hub_is_the_base_model_that_was_quantized(packed: Manifest) -> None:
    """The Hub shows the model among the quantizations of its base; a local source has no page to link to."""
    quality = load_quality(SLUG)
    data = data_of(of_the_hub(packed), quality)
    assert (data.base_model, data["base_model_relation"]) == ("acme/base", "quantized")
    assert data_of(packed, quality).base_model is None


def test_the_tags_are_those_of_what_passed(packed: Manifest) -> None:
    """A filter for int8 or openvino finds a model only if it has such a variant."""
    quality = load_quality(SLUG)
    assert data_of(packed, quality).library_name == "sentence-transformers"
    everything = {"artificer", "cross-encoder", "reranker", "text-ranking", "onnx", "openvino", "int8"}
    assert set(data_of(packed, quality).tags or []) == everything
    plain = msgspec.structs.replace(packed, variants=tuple(v for v in packed.variants if v.id == "onnx"))
    assert set(data_of(plain, quality).tags or []) == everything - {"openvino", "int8"}


def test_a_data_set_of_the_hub_is_named_by_its_id_and_commit(packed: Manifest) -> None:
    """So that the Hub links to it."""
    data = msgspec.structs.replace(packed.evaluation, dataset="acme/pairs", revision="e" * 40)
    results = data_of(msgspec.structs.replace(packed, evaluation=data), load_quality(SLUG)).eval_results or []
    assert {(each.dataset_type, each.dataset_revision) for each in results} == {("acme/pairs", "e" * 40)}


def test_without_labels_the_index_says_how_close_the_scores_are(packed: Manifest) -> None:
    """Quality was not measured, so no figure of it is stated."""
    results = data_of(packed, QualityReport(reference=None, variants={}, reason="no labels")).eval_results or []
    assert {result.metric_type for result in results} == {"spearmanr"}


@pytest.fixture
def validator(tmp_path: Path) -> Iterator[None]:
    """huggingface.co is the Hub on loopback, for the one address that the client does not take from its settings."""
    with running_hub(tmp_path / "hub") as hub:

        def redirect(request: httpx.Request) -> None:
            if request.url.host == "huggingface.co":
                request.url = httpx.URL(hub.endpoint).join(request.url.raw_path.decode())
                request.headers["host"] = request.url.netloc.decode()

        set_client_factory(lambda: httpx.Client(event_hooks={"request": [redirect]}))
        yield
        assert hub.requests.matching("validate_yaml")
        set_client_factory(default_client_factory)


@pytest.mark.usefixtures("validator")
def test_the_validation_of_the_client_passes(packed: Manifest) -> None:
    """`ModelCard.validate()` posts the card to the Hub, here with a source on the Hub as well."""
    ModelCard(CARD.read_text(encoding="utf-8")).validate()
    ModelCard(f"---\n{front_matter(of_the_hub(packed), load_quality(SLUG))}\n---\n").validate()


@pytest.mark.usefixtures("validator")
@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("license: mit", "license: none-such", "license"),
        ("base_model_relation: quantized", "base_model_relation: quantised", "base_model_relation"),
        ("base_model: acme/base", "base_model: ./base", "base_model"),
        ("pipeline_tag: text-ranking", "pipeline_tag: ranking", "pipeline_tag"),
    ],
)
def test_the_validation_refuses_a_wrong_card(packed: Manifest, before: str, after: str, message: str) -> None:
    """Each rule that the Hub documents for these fields."""
    text = front_matter(of_the_hub(packed), load_quality(SLUG))
    card = ModelCard(f"---\n{text.replace(before, after)}\n---\n")
    with pytest.raises(ValueError, match=message):
        card.validate()


def test_the_command_of_the_card_installs_the_package(packed: Manifest, tmp_path: Path) -> None:
    """With a repository as `publish.install`, pip builds and installs the runtime from it."""
    repository = tmp_path / "repository"
    copy_of_the_sources(repository)
    git = ["git", "-C", str(repository), "-c", "user.name=a", "-c", "user.email=a@example.com"]
    for arguments in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "all"]):
        subprocess.run([*git, *arguments], check=True)
    line = install_line(packed, f"git+file://localhost{repository}")
    program, install, requirement = shlex.split(line)
    assert (program, install) == ("pip", "install")
    assert requirement.startswith("artificer[onnx,openvino,hub] @ git+file://localhost/")
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--target", str(tmp_path / "there")]
    subprocess.run([sys.executable, "-m", "pip", install, *options, requirement], check=True, capture_output=True)
    assert (tmp_path / "there/artificer/__init__.py").is_file()


def test_without_an_address_the_card_says_to_install_from_a_clone(packed: Manifest) -> None:
    """Artificer is on no package index, so no name of a package is stated."""
    assert 'pip install ".[onnx,openvino,hub]"  # in a clone of Artificer' in CARD.read_text(encoding="utf-8")
    assert install_line(packed, None).startswith('pip install ".[')


@pytest.mark.parametrize("address", ["artificer", "https://example.com/a.zip", 'git+https://a/"; rm -rf "'])
def test_an_address_that_pip_would_not_take_is_refused(root: Path, tiny: Path, stages: Stages, address: str) -> None:
    """The command is copied into a shell."""
    Fabricated().write(root, tiny)
    with edited(root / "params.yaml") as params:
        params["publish"]["install"] = address
    code, _, error = stages("pack", SLUG)
    assert code != 0
    assert "publish.install: Expected `str` matching regex" in error
    assert not paths.package(SLUG).exists()
