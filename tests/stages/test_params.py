"""params.yaml: a mistake is found before anything runs, and named by its key path."""

from pathlib import Path
from typing import Any

import pytest

from stages.core.params import FallbackParams, load_params
from tests.stages.conftest import Stages
from tests.stages.project import REPOSITORY, edited

REGISTRY_ERROR = 3
SETS = "demo-pairs, demo-calibration, stsb, natural-questions, imdb, nanobeir-msmarco-nq"
DELETED = object()


def change(value: Any, key_path: str, new: Any) -> None:
    """Set, or delete, the value at a dotted path."""
    *parents, last = key_path.split(".")
    for key in parents:
        value = value[key]
    if new is DELETED:
        del value[last]
    else:
        value[last] = new


@pytest.mark.parametrize(
    ("key_path", "new", "message"),
    [
        ("speed", 1, "unknown key `speed`; known: data, recipes, "),
        ("parity.top", 5, "parity: unknown key `top`; known: rows, batch_size, top_k, probe_length, "),
        ("parity.rows", "many", "parity.rows: Expected `int`, got `str`."),
        ("parity.batch_size", 0, "parity.batch_size: Expected `int` >= 1."),
        ("parity.golden_pairs", 33, "parity.golden_pairs: Expected `int` <= 32."),
        ("parity", DELETED, "missing key `parity`."),
        ("calibration.max_length", DELETED, "calibration: missing key `max_length`."),
        ("thresholds.half", DELETED, "thresholds: missing key `half`."),
        ("thresholds.int8.score_max_abs", DELETED, "thresholds.int8: missing key `score_max_abs`."),
        ("thresholds.int8.score_max", 0.1, "thresholds.int8: unknown key `score_max`; known: score_max_abs, "),
        ("thresholds.int8.spearman", 98, "thresholds.int8.spearman: expected a number from 0 to 1, or null, found 98."),
        (
            "thresholds.int8.score_max_abs",
            25,
            "thresholds.int8.score_max_abs: expected a number from 0 to 1, or null, found 25.",
        ),
        (
            "thresholds.int8.score_mean_abs",
            float("nan"),
            "thresholds.int8.score_mean_abs: expected a number from 0 to 1, or null",
        ),
        ("thresholds.int8.spearman", "high", "thresholds.int8.spearman: Expected `float | null`, got `str`."),
        ("thresholds.int4", {}, "thresholds: Invalid enum value 'int4'."),
        ("data.evaluation", "none-such", f"data.evaluation: no set 'none-such'; known: {SETS}."),
        ("data.calibration", "none-such", f"data.calibration: no set 'none-such'; known: {SETS}."),
        ("data.sets.imdb.path", "x", "data.sets.imdb: expected one of `path` and `dataset`."),
        ("data.sets.imdb", {}, "data.sets.imdb: expected one of `path` and `dataset`."),
        (
            "data.sets.imdb.revision",
            DELETED,
            "data.sets.imdb.revision: expected a commit or branch of the data set.",
        ),
        ("data.sets.imdb.split", DELETED, "data.sets.imdb.split: expected the split to read."),
        ("data.sets.imdb.columns", DELETED, "data.sets.imdb.columns: expected `query` and `passage`."),
        (
            "data.sets.nanobeir-msmarco-nq.splits",
            DELETED,
            "data.sets.nanobeir-msmarco-nq.splits: expected the names of NanoBEIR's splits.",
        ),
        ("data.sets.imdb.rows", -1, "data.sets.imdb.rows: Expected `int` >= 1."),
        ("benchmark.preset", "fast", "benchmark.preset: no 'fast'; known: embedded, sentence-transformers."),
        (
            "benchmark.presets.embedded.batch_sizes",
            [],
            "benchmark.presets.embedded: expected batch_sizes and workloads.",
        ),
        (
            "benchmark.presets.embedded.workloads.short.set",
            "gone",
            f"benchmark.presets.embedded.workloads.short.set: no set 'gone'; known: {SETS}.",
        ),
        ("recipes.optimize.O2", {}, "recipes.optimize.O2: unknown variant of this step; known: onnx-O1, onnx-O2, "),
        ("recipes.optimize.onnx", {}, "recipes.optimize.onnx: unknown variant of this step; known: onnx-O1, "),
        ("recipes.onnx-O1", {}, "recipes: unknown key `onnx-O1`; known: export, optimize, "),
        ("publish.namespace", "a/b", "publish.namespace: Expected `str` matching regex"),
        ("publish.target", "ftp", "publish.target: found 'ftp'; expected one of folder, hub."),
    ],
)
def test_a_wrong_value_is_refused_with_its_key_path(
    root: Path, stages: Stages, key_path: str, new: Any, message: str
) -> None:
    """Unknown keys, wrong types, missing classes and names of nothing are errors of the registry's code."""
    with edited(root / "params.yaml") as params:
        change(params, key_path, new)
    code, _, err = stages("check")
    assert code == REGISTRY_ERROR
    assert err.startswith(f"error: params.yaml: {message}"), err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data: {a: [}\n", " line 1,"),
        ("data: 1\ndata: 2\n", " line 2, duplicate key 'data'. Expected well-formed YAML."),
        ("", " Expected `object`, got `null`."),
        ("just words\n", " Expected `object`, got `str`."),
        ("a: \x00\n", " unacceptable character"),
    ],
)
def test_a_malformed_file_is_refused(root: Path, stages: Stages, text: str, message: str) -> None:
    """What is no YAML mapping is named with its line, without a traceback."""
    (root / "params.yaml").write_text(text)
    code, _, err = stages("check")
    assert code == REGISTRY_ERROR
    assert err.startswith("error: params.yaml:")
    assert message in err


def test_a_set_that_only_an_entry_names_must_be_there(root: Path, stages: Stages) -> None:
    """An entry may choose its own data, from the sets of params.yaml."""
    (root / "registry" / "models.yaml").write_text(
        "models:\n  m: {source: {path: x}, task: text-ranking, license: mit, data: {calibration: gone}}\n"
    )
    code, _, err = stages("data", "m")
    assert (code, err) == (5, "error: registry/models.yaml: models.m.data.calibration: no set 'gone' in params.yaml.\n")


def test_null_thresholds_are_read_as_not_judged(root: Path) -> None:
    """`null` is a value of its own: recorded, not judged."""
    with edited(root / "params.yaml") as params:
        params["thresholds"]["int8"]["score_max_abs"] = None
    assert load_params().thresholds["int8"].score_max_abs is None


def test_the_repositorys_own_params_are_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """The defaults pass their own check, and use the embedded preset."""
    monkeypatch.chdir(REPOSITORY)
    params = load_params()
    assert params.benchmark.chosen is params.benchmark.presets["embedded"]
    assert set(params.thresholds) == {"fp32", "gelu-approximation", "half", "int8"}


@pytest.mark.parametrize(("parameters", "attempts"), [(2e6, 10), (150e6, 10), (278e6, 5), (568e6, 2), (9e9, 1)])
def test_a_large_model_is_given_fewer_recipes(parameters: float, attempts: int) -> None:
    """Each takes minutes there; one at least."""
    assert FallbackParams(attempts=10, work=1500, rows=500).attempts_for(int(parameters)) == attempts


def test_every_mistake_is_listed_at_once(root: Path, stages: Stages) -> None:
    """Unknown and missing keys, wrong types and wrong words of all sections, in the order of the file's sections."""
    with edited(root / "params.yaml") as params:
        params["speed"] = 1
        del params["fallback"]["work"]
        params["parity"] |= {"rows": "many", "top": 5}
        params["benchmark"]["presets"]["embedded"]["batch_sizes"] = [1, 0]
        params["hub"]["retry"]["statuses"] = [408, 4]
        params["publish"]["target"] = "ftp"
        params["data"]["sets"]["imdb"]["columns"] = {"query": 1}
    code, _, err = stages("check")
    assert code == REGISTRY_ERROR
    found = [line.removeprefix("error: ").partition("; known")[0] for line in err.splitlines()]
    assert found[:9] == [
        "params.yaml: unknown key `speed`",
        "params.yaml: data.sets.imdb.columns.query: Expected `str`, got `int`.",
        "params.yaml: data.sets.imdb.columns: missing key `passage`.",
        "params.yaml: fallback: missing key `work`.",
        "params.yaml: parity: unknown key `top`",
        "params.yaml: parity.rows: Expected `int`, got `str`.",
        "params.yaml: benchmark.presets.embedded.batch_sizes[1]: Expected `int` >= 1.",
        "params.yaml: hub.retry.statuses[1]: Expected `int` >= 400.",
        "params.yaml: publish.target: found 'ftp'; expected one of folder, hub.",
    ]


def test_contradictions_are_listed_at_once_too(root: Path, stages: Stages) -> None:
    """What no type can say: names of nothing, and shares that are none."""
    with edited(root / "params.yaml") as params:
        params["data"]["evaluation"] = "gone"
        params["benchmark"]["preset"] = "none"
        params["thresholds"]["half"]["spearman"] = 2
    lines = stages("check")[2].splitlines()
    assert [line.removeprefix("error: ").split(": ")[1] for line in lines[:3]] == [
        "thresholds.half.spearman",
        "data.evaluation",
        "benchmark.preset",
    ]
