"""One model type from a tiny checkpoint to a published package, by the command line's own `main`, in this process.

The project is a temporary one: the repository's params.yaml on fewer pairs without labels, since random weights have no
quality, with the thresholds as they are. Stage `benchmark` is left out: its figures would say nothing at this size.
"""

import contextlib
import json
import os
import shutil
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import yaml

from benchmarks.tiny_checkpoints import kind_of, model_types, write_checkpoint

ROOT = Path(__file__).resolve().parents[1]
BUILDING = ("export", "optimize", "quantize_onnx", "quantize_openvino")
ROWS = 32
PROBE_LENGTH = 40  # tokens: OpenVINO compiles a graph for each length that it is asked
CALIBRATION_ROWS = 16
BY_HAND = "benchmark"


def serve(work: Path) -> None:
    """Run every model type that is named on standard input; write `<type>.json` for each."""
    from stages.core import environment

    environment.prepare(online=False)
    if hasattr(os, "sched_setaffinity"):  # threads that wait for each other cost a tiny model more than they gain
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    for line in sys.stdin:
        model_type = line.strip()
        started = time.perf_counter()
        with contextlib.ExitStack() as stack:
            log = stack.enter_context((work / "logs" / f"{model_type}.log").open("w", encoding="utf-8"))
            stack.enter_context(contextlib.redirect_stdout(log))
            stack.enter_context(contextlib.redirect_stderr(log))
            found = run(model_type, work / "projects" / model_type)
        found["seconds"] = round(time.perf_counter() - started, 1)
        write_result(work, model_type, found)


def write_result(work: Path, model_type: str, found: dict[str, Any]) -> None:
    """Whole or not at all: the parent waits for the file."""
    target = work / "results" / f"{model_type}.json"
    partial = target.with_suffix(".partial")
    partial.write_text(json.dumps(found, indent=1, sort_keys=True), encoding="utf-8")
    partial.replace(target)


def run(model_type: str, project: Path) -> dict[str, Any]:
    """What became of the type: how far it came, the reason why no further, and the outcome of each variant."""
    found: dict[str, Any] = {"type": model_type, "class": model_types()[model_type], "kind": "", "variants": {}}
    shutil.rmtree(project, ignore_errors=True)
    try:
        make_project(project)
        checkpoint = project / "checkpoint"
        write_checkpoint(model_type, checkpoint)
        found["kind"] = kind_of(model_type, checkpoint)
    except Exception as error:  # transformers cannot make the model here: a package is missing
        traceback.print_exc()
        return found | {"outcome": "not made", "reason": f"transformers: {_first_line(error).partition('. ')[0]}."}
    with contextlib.chdir(project), _one_process():
        found |= _stages(model_type.replace("_", "-").lower())
        found["variants"] = _variants(model_type.replace("_", "-").lower())
    if found["outcome"] == "published":
        shutil.rmtree(project)
    return found


def make_project(project: Path) -> None:
    """registry/ without a model, and params.yaml for a small run."""
    for name in ("locks", "data", "benchmarks", "parity"):
        (project / "registry" / name).mkdir(parents=True)
    shutil.copytree(ROOT / "registry/demo", project / "registry/demo", ignore=shutil.ignore_patterns("reranker"))
    for path in ("registry/catalog.yaml", "constraints.txt"):
        shutil.copyfile(ROOT / path, project / path)
    (project / "registry/models.yaml").write_text("models: {}\n", encoding="utf-8")
    (project / "registry/locks/data-sets.json").write_text("{}\n", encoding="utf-8")
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    pairs = params["data"]["sets"]["demo-pairs"]["path"]
    columns = {"query": "query", "passage": "passage"}
    params["data"]["sets"]["unlabelled"] = {"path": pairs, "columns": columns}
    params["data"]["evaluation"] = "unlabelled"
    params["parity"]["rows"] = ROWS
    params["parity"]["probe_length"] = PROBE_LENGTH
    params["fallback"]["rows"] = ROWS
    params["calibration"]["rows"] = CALIBRATION_ROWS
    (project / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")


@contextlib.contextmanager
def _one_process() -> Iterator[None]:
    """Also what the stages do in processes of their own, which import the toolchain each time: int8 of OpenVINO, for
    equal bytes from run to run, and every execution's second process."""

    def here(function: Any, *arguments: Any, **_: Any) -> Any:
        return function(*arguments)

    with contextlib.ExitStack() as stack:
        for module in ("stages.quantize_openvino", "stages.measuring.second_process"):
            stack.enter_context(mock.patch(f"{module}.in_child", here))
        yield


def _stages(slug: str) -> dict[str, Any]:
    """Every stage in turn. A building stage that fails does not end it: the variants' records say what there is."""
    steps = (["host"], ["add", "checkpoint", "--slug", slug, "--license", "mit"])
    names = ("fetch", "data", "reference", *BUILDING, "parity", "evaluate", BY_HAND, "pack", "publish")
    seconds: dict[str, float] = {}
    for arguments in (*steps, *([name, slug] for name in names)):
        print(f"\n== {' '.join(arguments)}", flush=True)
        started = time.perf_counter()
        reason = None
        if arguments[0] == BY_HAND:
            _no_figures(slug)
        else:
            reason = _call(arguments)
        seconds[arguments[0]] = round(time.perf_counter() - started, 1)
        if reason is not None:
            outcome = "refused" if reason.startswith("error: ") else "crashed"
            reason = reason.removeprefix("error: ")
            return {"outcome": outcome, "stage": arguments[0], "reason": reason, "stages": seconds}
    return {"outcome": "published", "stages": seconds}


def _call(arguments: list[str]) -> str | None:
    """None where the command succeeded, else its message; `error: ` begins one that the product means to give."""
    from stages.cli import main

    printed = _Copy(sys.stderr)
    try:
        with contextlib.redirect_stderr(printed), mock.patch.dict(os.environ):
            code = main(arguments)
    except (Exception, SystemExit) as error:  # a traceback is what the sweep looks for
        traceback.print_exc()
        return f"traceback: {_first_line(error)}"
    if code == 0:
        return None
    return next((line for line in reversed(printed.lines()) if line.startswith("error: ")), f"exit code {code}")


class _Copy:
    """Standard error, which is kept as well."""

    def __init__(self, stream: Any) -> None:
        self._stream, self._text = stream, ""

    def write(self, text: str) -> int:
        """Both."""
        self._text += text
        return int(self._stream.write(text))

    def flush(self) -> None:
        """The stream's own."""
        self._stream.flush()

    def lines(self) -> list[str]:
        """What was written."""
        return self._text.splitlines()


def _no_figures(slug: str) -> None:
    """benchmark.json of a run that timed nothing."""
    from artificer.manifest import Benchmark
    from stages.records.benchmarks import write_benchmark
    from stages.records.host_record import current_host

    write_benchmark(slug, Benchmark(host=current_host(), preset="none", threads=1, rounds=1, subjects=()))


def _variants(slug: str) -> dict[str, Any]:
    """Status, reason and largest difference of a score of each variant, as `pack` judges them, if it ran or not."""
    from stages.core.params import load_params
    from stages.core.variants import row
    from stages.packaging.variant_entry import variant_entry
    from stages.records.model_spec import load_spec
    from stages.records.parity_records import load_parity
    from stages.records.variant_record import load_record

    found: dict[str, Any] = {}
    try:
        spec, params, parity = load_spec(slug), load_params(), load_parity(slug)
        for variant_id in spec.variants:
            record = load_record(slug, variant_id)
            entry = variant_entry(slug, row(variant_id), record, parity.get(variant_id), (), params)
            found[variant_id] = {"status": entry.status, "reason": entry.reason, "notes": list(entry.notes)}
            if entry.parity:
                found[variant_id]["score_max_abs"] = entry.parity[0].metrics.get("score_max_abs")
            if entry.fallback is not None:
                found[variant_id]["recipe"] = entry.fallback.won or "plain"
            if "route" in record.recipe:
                found[variant_id]["route"] = record.recipe["route"]
    except Exception:  # it did not come so far
        traceback.print_exc()
    return found


def _first_line(error: BaseException) -> str:
    from stages.core.errors import first_line

    return first_line(error)
