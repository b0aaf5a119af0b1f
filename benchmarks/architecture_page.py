"""docs/architectures.md, and benchmarks/results/architectures.json, from the results of a sweep."""

import json
import re
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/architectures.md"
RAW = ROOT / "benchmarks/results/architectures.json"
TOOLS = ("transformers", "torch", "sentence-transformers", "onnx", "onnxruntime", "optimum-intel", "openvino", "nncf")
KINDS = ("encoder", "encoder-decoder", "decoder")
INT8 = (
    *("onnx-qint8-arm64", "onnx-quint8-avx2", "onnx-qint8-avx512", "onnx-qint8-avx512_vnni"),
    *("onnx-qint8-static", "openvino-qint8"),
)
THESE = ("published", "onnx", "onnx-O1", "an int8", "openvino")
WANTED: dict[str, Callable[[dict[str, Any]], bool]] = {
    "published": lambda result: result["outcome"] == "published",
    "onnx": lambda result: _passed(result, "onnx"),
    "onnx-O1": lambda result: _passed(result, "onnx-O1"),
    "an int8": lambda result: any(_passed(result, name) for name in INT8),
    "openvino": lambda result: _passed(result, "openvino"),
    "all these": lambda result: all(WANTED[name](result) for name in THESE),
    "every variant": lambda result: (
        bool(result["variants"]) and all(variant["status"] == "passed" for variant in result["variants"].values())
    ),
}
MARKS = {"passed": "yes", "failed": "no", "unsupported": "-"}
COLUMNS = {
    "onnx": "onnx", "onnx-O1": "O1", "onnx-O2": "O2", "onnx-O3": "O3", "onnx-O4": "O4", "onnx-qint8-arm64": "arm64",
    "onnx-quint8-avx2": "avx2", "onnx-qint8-avx512": "avx512", "onnx-qint8-avx512_vnni": "vnni",
    "onnx-qint8-static": "static",
    "openvino": "openvino", "openvino-qint8": "ov int8",
}  # fmt: skip
HOW = """# Architectures

The results of the pipeline for every text classifier (`…ForSequenceClassification`) in transformers {transformers}.
`benchmarks/architectures.py` writes this page. It makes a checkpoint of about 0.2 MB for each type, with a tokenizer of
the same kind trained on the demo's texts, and runs the usual commands on it, from `add` to a published folder.

**The weights are random.** They are spread so that scores differ, and the thresholds are those of `params.yaml`, on
{rows} pairs. A variant that passed computes what torch computes for this architecture. This says nothing about
quality, speed or large models. With trained weights, an int8 variant may have another verdict. Quality is not
measured, stage `benchmark` is skipped, and everything runs in one process, including what `parity` does in a second
one.

{tools}; CPU: {cpu}; {date}.

```text
python -m benchmarks.architectures WORK                      # every type without a result: about an hour on two cores
python -m benchmarks.architectures WORK --only bert --again  # one type, again
python -m benchmarks.architectures WORK --page               # write this page
```
"""


def write_page(work: Path) -> None:
    """Write both files from all results in `work`."""
    results = [json.loads(path.read_text(encoding="utf-8")) for path in sorted((work / "results").glob("*.json"))]
    RAW.write_text(
        json.dumps({"host": _host(), "tools": _tools(), "results": results}, indent=1) + "\n", encoding="utf-8"
    )
    PAGE.write_text(page(results), encoding="utf-8")


def page(results: list[dict[str, Any]]) -> str:
    """The page: counts, then a table for each kind with the reasons below it."""
    from benchmarks.architecture_run import ROWS

    tools = ", ".join(f"{name} {number}" for name, number in _tools().items())
    date = _today()
    head = HOW.format(transformers=version("transformers"), rows=ROWS, tools=tools, cpu=_host(), date=date)
    parts = [head, "## Counts", _counts(results)]
    for kind in KINDS:
        some = [result for result in results if result["kind"] == kind]
        parts += [f"## {kind.capitalize()}s", _table(some), _reasons(some)]
    if unmade := [result for result in results if result["kind"] not in KINDS]:
        parts += ["## Not made here", "\n".join(f"- `{each['type']}`: {_plain(each['reason'])}" for each in unmade)]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def _counts(results: list[dict[str, Any]]) -> str:
    lines = ["| | types | " + " | ".join(WANTED) + " |", "|---|" + "---:|" * (len(WANTED) + 1)]
    for kind in (*KINDS, "all"):
        some = [result for result in results if kind in (result["kind"], "all")]
        found = [str(sum(check(result) for result in some)) for check in WANTED.values()]
        lines.append(f"| {kind} | {len(some)} | {' | '.join(found)} |")
    return "\n".join(lines)


def _table(results: list[dict[str, Any]]) -> str:
    legend = "`yes`: passed; `no`: failed; `-`: not built. Reasons are below. `route`: what made the OpenVINO IR."
    lines = [f"| type | {' | '.join(COLUMNS.values())} | route |", "|---|" + "---|" * (len(COLUMNS) + 1)]
    for result in results:
        variants = result["variants"]
        marks = [MARKS[variants[name]["status"]] if name in variants else "-" for name in COLUMNS]
        route = variants.get("openvino", {}).get("route", "-")
        lines.append(f"| `{result['type']}` | {' | '.join(marks)} | {route} |")
    return f"{legend}\n\n" + "\n".join(lines)


def _reasons(results: list[dict[str, Any]]) -> str:
    """For each type that did not pass whole: what ended it, and each variant's reason."""
    lines = []
    for result in results:
        if result["outcome"] != "published":
            where = f" by `{result['stage']}`" if result.get("stage") else ""
            lines.append(f"- `{result['type']}`: {result['outcome']}{where}: {_plain(result['reason'])}")
        by_reason: dict[str, list[str]] = {}
        for name, variant in result["variants"].items():
            if variant["status"] != "passed":
                by_reason.setdefault(variant["reason"] or "", []).append(name)
        if result["outcome"] == "published":
            lines += [f"- `{result['type']}`, {_list(names)}: {_plain(reason)}" for reason, names in by_reason.items()]
    return "\n".join(lines)


def _list(names: Iterable[str]) -> str:
    return ", ".join(names)


def _plain(reason: str) -> str:
    """One line of Markdown that says what the message said."""
    text = re.sub(r"artifacts/models/[\w-]+/source", "the checkpoint", " ".join(reason.split()))
    return re.sub(r"([|<>*_`\[\]])", r"\\\1", text)


def _passed(result: dict[str, Any], variant: str) -> bool:
    return bool(result["variants"].get(variant, {}).get("status") == "passed")


def _tools() -> dict[str, str]:
    return {name: version(name).partition("+")[0] for name in TOOLS}


def _host() -> str:
    from artificer import host

    return host.detect().name


def _today() -> str:
    import datetime

    return datetime.date.today().isoformat()
