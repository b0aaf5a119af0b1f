"""registry/models.yaml and its locks: what is wrong is said once, with its key path, before anything is built."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from artificer.manifest import manifest_schema
from stages.commands.schemas import models_schema
from stages.core.errors import RegistryError
from stages.registry import model_list
from tests import strategies
from tests.stages.conftest import Stages
from tests.stages.project import REPOSITORY, read_yaml, write_yaml

REGISTRY_ERROR = 3
SHA = "a" * 64
COMMIT = "0123456789abcdef0123456789abcdef01234567"
VARIANTS = (
    "onnx, onnx-O1, onnx-O2, onnx-O3, onnx-O4, onnx-qint8-arm64, onnx-quint8-avx2, onnx-qint8-avx512, "
    "onnx-qint8-avx512_vnni, onnx-qint8-static, openvino, openvino-qint8, openvino-fp16, openvino-bf16, "
    "openvino-int8-weights"
)
KEYS = "source, task, license, activation, max_length, publish, variants, data"
ENTRY: dict[str, Any] = {"source": {"path": "checkpoints/m"}, "task": "text-ranking", "license": "mit"}
HUB_ENTRY: dict[str, Any] = {**ENTRY, "source": {"repo": "acme/m", "revision": "main"}}


def lock(**changes: Any) -> str:
    """The text of a lock of ENTRY's source."""
    value: dict[str, Any] = {"location": "checkpoints/m", "revision": None, "files": []}
    return json.dumps(value | changes)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({**ENTRY, "acitvation": "sigmoid"}, f"models.m: unknown key `acitvation`; known: {KEYS}."),
        ({**ENTRY, "max_length": "512"}, "models.m.max_length: Expected `int | null`, got `str`."),
        ({**ENTRY, "max_length": 0}, "models.m.max_length: Expected `int` >= 1."),
        (
            {**ENTRY, "task": "ranking"},
            "models.m.task: found 'ranking'; expected one of text-ranking, text-classification.",
        ),
        (
            {**ENTRY, "activation": "relu"},
            "models.m.activation: found 'relu'; expected one of identity, sigmoid, softmax.",
        ),
        ({"source": {"path": "x"}, "task": "text-ranking"}, "models.m: missing key `license`."),
        (["a list"], "models.m: Expected `object`, got `array`."),
        (None, "models.m: Expected `object`, got `null`."),
        ({**ENTRY, "source": {"url": "x"}}, "models.m.source: unknown key `url`; known: repo, revision, path."),
        (
            {**ENTRY, "source": {"repo": "acme/m", "revision": "main", "path": "x"}},
            "models.m.source: expected one of `repo` and `path`.",
        ),
        ({**ENTRY, "source": {}}, "models.m.source: expected one of `repo` and `path`."),
        (
            {**ENTRY, "source": {"repo": "acme/m"}},
            "models.m.source.revision: expected a commit, branch or tag of acme/m.",
        ),
        (
            {**ENTRY, "source": {"path": "x", "revision": "main"}},
            "models.m.source.revision: a local folder has none; its lock holds file hashes.",
        ),
        (
            {**ENTRY, "source": {"repo": "no-organisation", "revision": "main"}},
            "models.m.source.repo: Expected `str` matching regex '^[A-Za-z0-9][\\\\w.-]{0,95}/"
            "[A-Za-z0-9][\\\\w.-]{0,95}$'.",
        ),
        (
            {**ENTRY, "variants": {"exclude": ["onnx-O5"]}},
            f"models.m.variants.exclude: no variant 'onnx-O5'; known: {VARIANTS}.",
        ),
        (
            {**ENTRY, "variants": {"include": ["onnx", "torch"]}},
            f"models.m.variants.include: no variant 'torch'; known: {VARIANTS}.",
        ),
        (
            {**ENTRY, "variants": {"recipes": {"O2": {}}}},
            f"models.m.variants.recipes: no variant 'O2'; known: {VARIANTS}.",
        ),
        (
            {**ENTRY, "variants": {"exclude": ["onnx"]}},
            "models.m.variants: `onnx` cannot be left out: other variants are made from it.",
        ),
        (
            {**ENTRY, "variants": {"include": ["openvino"]}},
            "models.m.variants: `onnx` cannot be left out: other variants are made from it.",
        ),
    ],
)
def test_a_wrong_entry_is_refused_with_its_key_path(root: Path, stages: Stages, entry: Any, message: str) -> None:
    """Whatever is wrong in an entry, the message names file and key path, and the exit code is the registry's."""
    write_yaml(root / "registry" / "models.yaml", {"models": {"m": entry}})
    for command in (("check",), ("fetch", "m")):
        code, _, err = stages(*command)
        assert (code, err) == (REGISTRY_ERROR, f"error: registry/models.yaml: {message}\n")
    assert not (root / "artifacts").exists()


@pytest.mark.parametrize("slug", ["Upper", "dotted.name", "-dash", "under_score", "a" * 65, "spaced name"])
def test_a_slug_that_DVC_or_a_path_cannot_hold_is_refused(root: Path, stages: Stages, slug: str) -> None:  # noqa: N802
    """Slugs become stage names, param paths and folders, so only lower-case letters, digits and dashes are taken."""
    write_yaml(root / "registry" / "models.yaml", {"models": {slug: ENTRY}})
    code, _, err = stages("check")
    pattern = "^[a-z0-9][a-z0-9-]{0,63}$"
    assert code == REGISTRY_ERROR
    assert err == (
        f"error: registry/models.yaml: models.{slug}: a slug is lower-case letters, digits and dashes ({pattern}).\n"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("models:\n  m: {}\n  m: {}\n", " line 3, duplicate key 'm'. Expected well-formed YAML."),
        ("models:\n  m: {license: mit, license: mit}\n", " line 2, duplicate key 'license'."),
        ("models: {}\nextra: 1\n", " expected one top-level key, `models`, that maps slugs to entries."),
        ("models: [m]\n", " expected one top-level key, `models`, that maps slugs to entries."),
        ("", " expected one top-level key, `models`, that maps slugs to entries."),
        ("models: {m: [}\n", " line 1,"),
        ("models:\n\tm: {}\n", " line 2,"),
        ("models: !!python/object/apply:os.system [ls]\n", " line 1, could not determine a constructor"),
    ],
)
@pytest.mark.parametrize("command", [("check",), ("list",), ("fetch", "m")])
def test_a_malformed_file_is_refused_with_its_line(
    root: Path, stages: Stages, text: str, message: str, command: tuple[str, ...]
) -> None:
    """A key written twice, a second top-level key, or text that is no YAML is refused, not read as something else."""
    (root / "registry" / "models.yaml").write_text(text)
    code, _, err = stages(*command)
    assert code == REGISTRY_ERROR
    assert err.startswith(f"error: registry/models.yaml:{message}")


def test_keys_that_cannot_be_hashed_are_refused(root: Path, stages: Stages) -> None:
    """A list as a key is a mistake of the user's, so it costs a message and no traceback."""
    (root / "registry" / "models.yaml").write_text("models:\n  ? [a, b]\n  : {}\n")
    code, _, err = stages("check")
    assert code == REGISTRY_ERROR
    assert err.startswith("error: registry/models.yaml: line 2,")


def test_anchors_and_merge_keys_are_read(root: Path, stages: Stages) -> None:
    """YAML's own way of sharing keys between entries works, and merged keys are not taken for duplicates."""
    (root / "registry" / "models.yaml").write_text(
        "models:\n"
        "  a: &a\n    source: {path: checkpoints/a}\n    task: text-ranking\n    license: mit\n"
        "  b:\n    <<: *a\n    source: {path: checkpoints/b}\n"
    )
    _, _, err = stages("check")
    assert "models.b.source is not pinned" in err
    assert "twice" not in err


def test_a_registry_without_the_slug_names_those_it_has(root: Path, stages: Stages) -> None:
    """A slug that is not there is answered with those that are."""
    assert stages("fetch", "n")[::2] == (
        REGISTRY_ERROR,
        "error: registry/models.yaml: models: unknown model 'n'; known: none.\n",
    )
    write_yaml(root / "registry" / "models.yaml", {"models": {"m": ENTRY}})
    assert stages("fetch", "n")[2] == "error: registry/models.yaml: models: unknown model 'n'; known: m.\n"


def test_a_missing_registry_is_one_clear_error(root: Path, stages: Stages) -> None:
    """Outside a project, commands say what they looked for."""
    (root / "registry" / "models.yaml").unlink()
    assert stages("list")[::2] == (
        REGISTRY_ERROR,
        "error: registry/models.yaml: cannot be read: No such file or directory.\n",
    )


PIN = "Run `python -m stages pin m`."


@pytest.mark.parametrize(
    ("entry", "text", "message"),
    [
        (ENTRY, None, f"models.m.source is not pinned: registry/locks/m.json is missing. {PIN}"),
        (
            ENTRY,
            lock(location="checkpoints/other"),
            f"registry/locks/m.json pins 'checkpoints/other', models.m.source says 'checkpoints/m'. {PIN}",
        ),
        (
            HUB_ENTRY,
            lock(location="acme/m"),
            f"registry/locks/m.json: revision: expected the commit of acme/m. {PIN}",
        ),
        (
            {**ENTRY, "source": {"repo": "acme/m", "revision": COMMIT[::-1]}},
            lock(location="acme/m", revision=COMMIT),
            f"registry/locks/m.json pins {COMMIT}, but models.m.source.revision names another commit. {PIN}",
        ),
        (
            HUB_ENTRY,
            lock(location="acme/m", revision="main"),
            "registry/locks/m.json: Expected `str` matching regex '^[0-9a-f]{40}$' - at `$.revision`. " + PIN,
        ),
        (ENTRY, lock(extra=1), f"registry/locks/m.json: Object contains unknown field `extra`. {PIN}"),
        (ENTRY, "{", f"registry/locks/m.json: Input data was truncated. {PIN}"),
        (
            ENTRY,
            lock(files=[{"path": "../../etc/passwd", "size": 1, "sha256": SHA}]),
            "registry/locks/m.json: files[0].path: '../../etc/passwd' is refused: it is absolute, leaves the "
            "folder, or is not normalised.",
        ),
        (
            ENTRY,
            lock(
                files=[
                    {"path": "config.json", "size": 1, "sha256": SHA},
                    {"path": "/etc/passwd", "size": 1, "sha256": SHA},
                ]
            ),
            "registry/locks/m.json: files[1].path: '/etc/passwd' is refused: it is absolute, leaves the "
            "folder, or is not normalised.",
        ),
    ],
)
def test_an_entry_without_its_own_pin_is_refused(
    root: Path, stages: Stages, entry: Any, text: str | None, message: str
) -> None:
    """A missing lock, one of another source or commit, or one with unsafe paths never reads as `fine`."""
    write_yaml(root / "registry" / "models.yaml", {"models": {"m": entry}})
    if text is not None:
        (root / "registry" / "locks" / "m.json").write_text(text)
    for command in (("check",), ("fetch", "m")):
        assert stages(*command)[::2] == (REGISTRY_ERROR, f"error: {message}\n")
    assert not (root / "artifacts").exists()


def test_check_says_everything_that_is_wrong_at_once(root: Path, stages: Stages) -> None:
    """Two broken entries and a broken params.yaml are three lines, not three runs."""
    write_yaml(root / "registry" / "models.yaml", {"models": {"a": {**ENTRY, "x": 1}, "b": ENTRY}})
    params = read_yaml(root / "params.yaml")
    params["parity"]["rows"] = 0
    write_yaml(root / "params.yaml", params)
    code, _, err = stages("check")
    assert code == REGISTRY_ERROR
    assert err.splitlines() == [
        "error: params.yaml: parity.rows: Expected `int` >= 1.",
        f"registry/models.yaml: models.a: unknown key `x`; known: {KEYS}.",
        "models.b.source is not pinned: registry/locks/b.json is missing. Run `python -m stages pin b`.",
    ]


def test_variants_are_built_in_table_order_whatever_the_entry_says() -> None:
    """Include and exclude narrow the table; its order stays."""
    entry = model_list.check_entry(
        "m", {**ENTRY, "variants": {"include": ["openvino", "onnx-O2", "onnx"], "exclude": ["onnx-O2"]}}, Path("f")
    )
    assert entry.selected_variants() == ("onnx", "openvino")


@given(
    before=st.lists(strategies.slugs(), unique=True, max_size=3),
    slug=strategies.slugs(),
    lines=st.lists(strategies.comments(), max_size=4),
    data=st.data(),
)
def test_append_entry_keeps_every_byte_and_adds_one_entry(
    before: list[str], slug: str, lines: list[str], data: st.DataObject
) -> None:
    """Whatever comments and entries are there, they stay as they are, and the parse gains the new entry alone."""
    text = "# head\nmodels:\n" if before else "# head\nmodels: {}\n"
    for name in before:
        filler = data.draw(st.lists(st.sampled_from([*lines, ""]), max_size=2))
        text += "".join(f"{line}\n" for line in filler) + f"  {name}: {{license: mit}}  # {name}\n"
    old = yaml.safe_load(text)["models"] or {}
    if slug in before:
        with pytest.raises(RegistryError, match=f"models.{slug} exists already"):
            model_list.append_entry(text, slug, "license: mit")
        return
    updated = model_list.append_entry(text, slug, "source: {path: x}\nlicense: mit")
    kept = text.rstrip("\n") if before else "# head\nmodels:"
    assert updated.startswith(kept)
    new = {"source": {"path": "x"}, "license": "mit"}
    assert yaml.safe_load(updated) == {"models": {**old, slug: new}}
    assert list(yaml.safe_load(updated)["models"]) == [*old, slug]
    assert updated.endswith("mit\n")


@pytest.mark.parametrize(
    ("path", "generated"),
    [
        ("registry/models.schema.json", models_schema()),
        ("docs/manifest-v2.schema.json", manifest_schema()),
    ],
)
def test_the_published_schemas_are_what_the_code_says(path: str, generated: dict[str, Any]) -> None:
    """The JSON Schemas in git equal those of the code; `python -m stages schema` writes them."""
    assert json.loads((REPOSITORY / path).read_text(encoding="utf-8")) == json.loads(json.dumps(generated))


def test_schema_writes_all_files_and_the_same_bytes_again(root: Path, stages: Stages) -> None:
    """The command writes what is in git."""
    assert stages("schema")[:2] == (
        0,
        "registry/models.schema.json\ndocs/manifest-v2.schema.json\ndocs/index-v1.schema.json\n",
    )
    for path in ("registry/models.schema.json", "docs/manifest-v2.schema.json"):
        assert (root / path).read_bytes() == (REPOSITORY / path).read_bytes()


def test_schema_writes_the_table_of_stages_too(root: Path, stages: Stages) -> None:
    """A changed row of stages/pipeline.py needs no edit by hand."""
    page = (REPOSITORY / "docs" / "pipeline.md").read_text(encoding="utf-8")
    (root / "docs").mkdir(exist_ok=True)
    (root / "docs" / "pipeline.md").write_text(page.replace("| `host` |", "| `stale` |"), encoding="utf-8")
    assert stages("schema")[1].splitlines()[-1] == "docs/pipeline.md"
    assert (root / "docs" / "pipeline.md").read_text(encoding="utf-8") == page


@pytest.mark.parametrize("name", ["models.yaml", "catalog.yaml"])
def test_registry_and_catalog_keep_to_the_schema(name: str) -> None:
    """What editors check with the JSON Schema is what the code takes, for our own files."""
    value = read_yaml(REPOSITORY / "registry" / name)
    jsonschema.Draft202012Validator(models_schema()).validate(value)
    for slug, raw in value["models"].items():
        model_list.check_entry(slug, raw, Path(name))


def test_the_schema_refuses_what_the_code_refuses() -> None:
    """An unknown key is an error in editors too."""
    validator = jsonschema.Draft202012Validator(models_schema())
    assert validator.is_valid({"models": {"m": ENTRY}})
    for wrong in ({**ENTRY, "extra": 1}, {**ENTRY, "task": "x"}, {"license": "mit"}):
        assert not validator.is_valid({"models": {"m": wrong}}), wrong


def test_this_repository_checks_out(monkeypatch: pytest.MonkeyPatch, stages: Stages) -> None:
    """Our own registry, locks, params.yaml and local sources are valid."""
    monkeypatch.chdir(REPOSITORY)
    code, out, err = stages("check")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "registry/models.yaml, its locks and params.yaml are valid",
        "demo-reranker: judged on demo-pairs (498 rows, labelled), calibrated on demo-calibration (300 rows)",
    ]
