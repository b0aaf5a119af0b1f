"""The registry's commands: add, pin, check, list. What they refuse, they leave untouched."""

from pathlib import Path

import pytest

from stages.registry.licenses import license_fields
from tests.stages import project
from tests.stages.checkpoints import edit_config, tiny_bert
from tests.stages.conftest import Stages
from tests.stages.fabricated import SLUG
from tests.stages.project import read_json, read_yaml

REGISTRY = Path("registry/models.yaml")
FOLDER = f"checkpoints/{SLUG}"
HEAD = "# Our models.\nmodels:\n  # the first one\n  first: {source: {path: x}, task: text-ranking, license: mit}\n"


@pytest.mark.usefixtures("folder")
def test_add_appends_an_entry_and_its_lock(root: Path, stages: Stages) -> None:
    """A local folder becomes an entry with what the checkpoint declares; comments and order stay."""
    REGISTRY.write_text(HEAD)
    code, out, err = stages("add", FOLDER, "--license", "apache-2.0")
    assert (code, err) == (0, "")
    text = REGISTRY.read_text()
    assert text == HEAD + (
        "\n  tiny:\n"
        "    source: {path: checkpoints/tiny}\n"
        "    task: text-ranking\n"
        "    license: apache-2.0\n"
        "    activation: sigmoid\n"
        "    max_length: 128\n"
    )
    lock = read_json(root / "registry/locks/tiny.json")
    assert (lock["location"], lock["revision"]) == (FOLDER, None)
    assert [entry["path"] for entry in lock["files"]] == [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.txt",
    ]
    first, second, third = out.splitlines()
    assert first.startswith("added models.tiny: BertForSequenceClassification, 0.0 M parameters in F32, 1 label(s), ")
    assert second.startswith(f"pinned {FOLDER} at sha256:")
    assert third == "next: make repro"
    assert stages("fetch", "tiny")[0] == 0


@pytest.mark.toolchain
def test_add_of_several_labels_is_a_classifier(root: Path, stages: Stages) -> None:
    """The task follows the labels; the activation is what the checkpoint declares."""
    tiny_bert(root / FOLDER, labels=3, sentence_transformers={"activation_fn": "torch.nn.modules.linear.Identity"})
    assert stages("add", FOLDER, "--license", "mit", "--slug", "labels")[0] == 0
    entry = read_yaml(REGISTRY)["models"]["labels"]
    assert (entry["task"], entry["activation"]) == ("text-classification", "identity")


@pytest.mark.usefixtures("folder")
def test_a_slug_that_is_taken_is_refused(root: Path, stages: Stages) -> None:
    """The first entry stays; another slug works."""
    assert stages("add", FOLDER, "--license", "mit")[0] == 0
    before = project.snapshot(root / "registry")
    code, _, err = stages("add", FOLDER, "--license", "mit")
    assert (code, err) == (
        3,
        "error: registry/models.yaml: models.tiny exists already. Choose another name with --slug.\n",
    )
    assert project.snapshot(root / "registry") == before
    assert stages("add", FOLDER, "--license", "mit", "--slug", "tiny-2")[0] == 0
    assert list(read_yaml(REGISTRY)["models"]) == ["tiny", "tiny-2"]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("slug", ["Tiny", "a.b", "a/b", "../x", ""])
def test_a_bad_slug_is_refused(root: Path, stages: Stages, slug: str) -> None:
    """Nothing outside registry/locks is ever written."""
    before = project.snapshot(root)
    code, _, err = stages("add", FOLDER, "--license", "mit", f"--slug={slug}")
    if not slug:  # no slug is the folder's name
        assert code == 0
        return
    assert code == 3
    assert f"models.{slug}: a slug is lower-case letters" in err
    assert project.snapshot(root) == before


def test_a_checkpoint_without_a_license_is_refused(folder: Path, root: Path, stages: Stages) -> None:
    """What may be published depends on it, so it is asked for; a model card's front matter answers as well."""
    before = project.snapshot(root / "registry")
    code, _, err = stages("add", FOLDER)
    assert (code, err) == (
        4,
        f"error: {FOLDER} declares no license. Give its SPDX id with --license, "
        "for example apache-2.0; or proprietary.\n",
    )
    assert project.snapshot(root / "registry") == before
    (folder / "README.md").write_text("---\nlicense: cc-by-4.0\n---\n# A model\n")
    assert stages("add", FOLDER)[0] == 0
    assert read_yaml(REGISTRY)["models"]["tiny"]["license"] == "cc-by-4.0"


@pytest.mark.parametrize(
    "front",
    [
        "---\nlicense: [mit\n---\n",
        "---\n- a\n---\n",
        "---\nlicense: 4\n---\n",
        "# none\n",
    ],
)
def test_a_model_card_that_says_nothing_useful_is_no_license(folder: Path, stages: Stages, front: str) -> None:
    """Broken front matter is not our user's mistake, and no traceback."""
    (folder / "README.md").write_text(front)
    code, _, err = stages("add", FOLDER)
    assert code == 4
    assert "declares no license" in err


@pytest.mark.usefixtures("root")
def test_a_source_of_no_kind_is_refused(stages: Stages) -> None:
    """Neither a folder, nor a repo id, nor a name of the catalog."""
    code, _, err = stages("add", "no-such-thing")
    assert code == 2
    assert err.startswith(
        "error: 'no-such-thing' is neither a folder nor a repository id like org/name, and it is not in the catalog ("
    )
    assert "bge-reranker-base" in err


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    "license", ["proprietary", "LicenseRef-Acme-1.0", "Apache-2.0", "EUPL-1.2", "llama3.1", "0BSD"]
)
def test_every_license_has_a_name(stages: Stages, license: str) -> None:
    """A public one by its id of SPDX or of the Hub, one of one's own, and none at all."""
    assert stages("add", FOLDER, "--license", license)[0] == 0
    assert read_yaml(REGISTRY)["models"]["tiny"]["license"] == license


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("license", "close"),
    [
        ("apache2", " Did you mean apache-2.0 "),
        ("MITT", " Did you mean mit"),
        ("cc-by-5.0", " Did you mean cc-by-"),
        ("private", ""),
        ("LicenseRef-a_b", ""),
    ],
)
def test_an_unknown_license_is_refused(root: Path, stages: Stages, license: str, close: str) -> None:
    """With the ids that look like it, and what to write for a model that is not public."""
    before = project.snapshot(root)
    code, _, err = stages("add", FOLDER, "--license", license)
    assert code == 3
    assert f"models.tiny.license: {license!r} is not an id of SPDX or of the Hub.{close}" in err
    assert err.endswith(" write proprietary, or LicenseRef-<name> for a license of your own.\n")
    assert project.snapshot(root) == before


@pytest.mark.parametrize(
    ("license", "fields"),
    [
        ("Apache-2.0", {"license": "apache-2.0"}),
        ("llama3", {"license": "llama3"}),
        ("proprietary", {"license": "other", "license_name": "proprietary"}),
        ("LicenseRef-Acme", {"license": "other", "license_name": "licenseref-acme"}),
        ("0BSD", {"license": "other", "license_name": "0bsd"}),
    ],
)
def test_a_card_names_the_license_as_the_hub_wants_it(license: str, fields: dict[str, str]) -> None:
    """The Hub refuses a card with another id than its own."""
    assert license_fields(license) == fields


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("./tiny", "the folder ./tiny does not exist.\n"),
        ("./checkpoint", "the folder ./checkpoint does not exist. Did you mean checkpoints?\n"),
        ("checkpoints/tinny", "the folder checkpoints/tinny does not exist. Did you mean checkpoints/tiny? For the "
         "Hub's repository of that name, write https://huggingface.co/checkpoints/tinny.\n"),
        ("/nowhere/tiny", "the folder /nowhere/tiny does not exist.\n"),
        ("models/a/b", "the folder models/a/b does not exist.\n"),
        ("acme/tiny/", "the folder acme/tiny/ does not exist.\n"),
        ("~/tiny", "the folder ~/tiny does not exist.\n"),
        ("checkpoints/tiny/config.json", "checkpoints/tiny/config.json is a file. Expected the folder of a checkpoint, "
         "saved with save_pretrained.\n"),
    ],
)  # fmt: skip
def test_a_mistyped_folder_is_no_repository(stages: Stages, source: str, message: str) -> None:
    """What is written as a path, or starts with a folder that is here, is not looked for on the Hub."""
    assert stages("add", source, "--license", "mit")[::2] == (2, f"error: {message}")


def test_an_entry_that_cannot_be_built_is_not_added(folder: Path, root: Path, stages: Stages) -> None:
    """`add` finds what `fetch` would refuse, before it writes."""
    edit_config(folder, architectures=["BertModel"])
    before = project.snapshot(root / "registry")
    assert stages("add", FOLDER, "--license", "mit")[0] == 4
    assert project.snapshot(root / "registry") == before


def test_pin_says_what_changed(folder: Path, stages: Stages) -> None:
    """The changed files are named; a second pin changes nothing."""
    stages("add", FOLDER, "--license", "mit")
    assert stages("pin", SLUG)[1].endswith(": nothing changed\n")
    edit_config(folder, hidden_dropout_prob=0.2)
    (folder / "vocab.txt").unlink()
    code, out, _ = stages("pin", SLUG)
    assert code == 0
    assert out.startswith(f"tiny: {FOLDER} at sha256:")
    assert out.endswith(": config.json, vocab.txt changed\n")
    assert stages("pin", SLUG)[1].endswith(": nothing changed\n")
    assert stages("fetch", SLUG)[0] == 0


def test_check_finds_a_changed_local_file(folder: Path, stages: Stages) -> None:
    """A checkpoint that was retrained in place is found before the build."""
    stages("add", FOLDER, "--license", "mit")
    assert stages("check")[0] == 0
    edit_config(folder, hidden_dropout_prob=0.2)
    code, _, err = stages("check")
    assert code == 3
    assert err == (
        f"error: models.tiny.source: {FOLDER} differs from its lock in config.json. Run `python -m stages pin tiny`.\n"
    )
    (folder / "config.json").unlink()
    assert "lacks config.json" in stages("check")[2]


@pytest.mark.toolchain
@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("variant_id", "field"),
    [
        ("onnx", "opsett"),
        ("onnx-O3", "gelu"),
        ("onnx-qint8-avx512", "per_chanel"),
        ("openvino", "dtype"),
        ("openvino-qint8", "smooth_quant"),
    ],
)
def test_check_knows_the_fields_of_every_recipe(root: Path, stages: Stages, variant_id: str, field: str) -> None:
    """A misspelt one is found before anything is built, and the message lists those there are."""
    stages("add", FOLDER, "--license", "mit")
    with project.edited(root / REGISTRY) as registry:
        registry["models"]["tiny"]["variants"] = {"recipes": {variant_id: {field: 1}}}
    code, _, err = stages("check")
    assert code == 3
    assert f"recipes.{variant_id}.{field}: unknown field; known: " in err


@pytest.mark.toolchain
@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("variant_id", "recipe", "message"),
    [
        ("onnx", {"opset": "18"}, "onnx.opset: expected a int, found '18'"),
        ("onnx-O3", {"disable_gelu_fusion": "yes"}, "onnx-O3.disable_gelu_fusion: expected a bool, found 'yes'"),
        ("onnx-qint8-avx512", {"weights_dtype": "QInt9"}, "weights_dtype: expected one of QInt8, QUInt8, "),
        ("onnx-qint8-avx512", {"nodes_to_exclude": [1]}, "nodes_to_exclude: Expected `str`, got `int` - at `$[0]`"),
        ("onnx-qint8-avx512", {"operators_to_quantize": ["MatMull"]}, "operators_to_quantize: expected one of "),
        ("openvino-qint8", {"bits": 5}, "recipes.openvino-qint8: Only support 8-bit for static quantization"),
        ("openvino-qint8", {"overflow_fix": "no"}, "overflow_fix: expected one of enable, first_layer_only, disable"),
        ("openvino-qint8", {"smooth_quant_alpha": "x"}, "smooth_quant_alpha: Expected `float | null`, got `str`"),
        ("openvino-qint8", {"smooth_quant_alpha": 3}, "SmoothQuant alpha parameter can equal -1 or be in range [0, 1]"),
        ("openvino-qint8", {"ignored_scope": {"name": ["x"]}}, "Can't create an `IgnoredScope` object"),
        (
            "openvino-int8-weights",
            {"bits": 5},
            "recipes.openvino-int8-weights: Only support quantization to [4,8] bits",
        ),
        ("openvino-int8-weights", {"dtype": "int9"}, "data type must be one of the following"),
    ],
)
def test_check_knows_the_values_of_every_recipe(
    root: Path, stages: Stages, variant_id: str, recipe: dict[str, object], message: str
) -> None:
    """By the library's own types and checks, without a build."""
    stages("add", FOLDER, "--license", "mit")
    with project.edited(root / REGISTRY) as registry:
        registry["models"]["tiny"]["variants"] = {"recipes": {variant_id: recipe}}
    code, _, err = stages("check")
    assert code == 3
    assert message in err
    assert len(err.splitlines()) == 1


@pytest.mark.usefixtures("folder")
def test_check_finds_more_tokens_than_the_checkpoint_takes(root: Path, stages: Stages) -> None:
    """Written by hand after the model was added."""
    stages("add", FOLDER, "--license", "mit")
    with project.edited(root / REGISTRY) as registry:
        registry["models"]["tiny"] |= {"max_length": 4096, "data": {"evaluation": "gone"}}
    err = stages("check")[2]
    assert "models.tiny.max_length: 4096 tokens, the checkpoint takes 128." in err
    assert "'gone'" in err  # and what else is wrong


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize("stage", ["data", "export", "benchmark", "pack", "publish"])
def test_a_stage_of_a_misspelt_model_says_which_there_are(stages: Stages, stage: str) -> None:
    """Not which stage to run first, which would fail as well."""
    code, _, err = stages(stage, "demo-rerankr")
    assert code == 3
    assert "models: unknown model 'demo-rerankr'; known: " in err


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize("arguments", [(), ("no-such-command",), ("fetch",), ("add",), ("list", "extra")])
def test_a_wrong_command_line_exits_with_2(stages: Stages, arguments: tuple[str, ...]) -> None:
    """argparse says what is expected."""
    with pytest.raises(SystemExit) as caught:
        stages(*arguments)
    assert caught.value.code == 2


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize(
    "stage",
    [
        pytest.param("reference", marks=pytest.mark.toolchain),  # it imports torch first
        *("export", "optimize", "quantize_onnx", "parity", "pack"),
    ],
)
def test_a_stage_without_what_comes_before_it_says_what_to_run(root: Path, stages: Stages, stage: str) -> None:
    """Run by hand out of order, a stage names the one that is missing."""
    entry = {"source": {"path": FOLDER}, "task": "text-ranking", "license": "mit"}
    project.write_yaml(root / REGISTRY, {"models": {SLUG: entry}})
    code, _, err = stages(stage, SLUG)
    assert code == 2
    assert err == f"error: artifacts/models/{SLUG}/spec.json is missing: run `dvc repro fetch@{SLUG}` first.\n"
