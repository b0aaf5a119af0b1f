import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

import artificer
from artificer import backends, host
from artificer.backends.session import Session
from artificer.errors import (
    InputError,
    IntegrityError,
    ManifestError,
    ManifestVersionError,
    MissingRuntimeError,
    SelectionError,
    SelfTestError,
)
from artificer.loading import opening
from artificer.loading.autotune import Timings
from artificer.loading.loader import load
from artificer.manifest import MANIFEST_FILE, Manifest
from tests.runtime.conftest import Copy, rewrite

PAIR = ("how deep is the deepest lake", "Lake Baikal reaches a depth of 1,642 metres.")
replace = msgspec.structs.replace


def test_every_passed_variant_loads_and_reproduces_the_golden_pairs(published: Path, manifest: Manifest) -> None:
    """All variants of the fixture, each forced: the self-test ran and was within its tolerance."""
    for variant in manifest.variants:
        if variant.status == "passed":
            with load(published, variant=variant.id) as reranker:
                found = reranker.explain()
                assert found.variant == variant.id
                assert found.self_test is not None
                assert abs(float(reranker.predict(PAIR)) - 0.3) < 0.1


def test_explain_tells_why_and_why_not(published: Path) -> None:
    """The choice, the rejections, the threads and their source, the precision and the versions."""
    with load(published) as reranker:
        found = reranker.explain()
    assert "best measured throughput" in found.why
    assert found.threads == host.thread_count()[0]
    assert found.threads_from == host.thread_count()[1]
    assert found.execution_precision == "f32"
    assert found.runtime_version in str(found)
    assert found.to_dict()["rejected"].keys() == found.rejected.keys()
    other = [f"onnx-qint8-{isa}" for isa in ("arm64", "avx512_vnni") if isa not in found.isa]
    assert all(name in found.rejected for name in other)


def test_the_number_of_threads_can_be_given(published: Path) -> None:
    """It is used on both runtimes, and its source is said."""
    for variant in ("onnx", "openvino"):
        with load(published, variant=variant, threads=1) as reranker:
            assert reranker.explain().threads == 1
            assert reranker.explain().threads_from == "given to load"
    with pytest.raises(SelectionError, match="at least 1"):
        load(published, threads=0)


def test_openvino_computes_in_the_precision_that_was_proven(published: Path, manifest: Manifest) -> None:
    """Its own default, bf16 on some CPUs, is used only where it passed."""
    for record in manifest.variant("openvino").parity:
        with load(published, variant=f"openvino in {record.execution_precision}") as reranker:
            assert reranker.explain().execution_precision == record.execution_precision
    with load(published, variant="openvino", accuracy="exact") as reranker:
        assert reranker.explain().execution_precision == "f32"


def test_settings_of_a_record_reach_the_runtime_and_are_explained(copied: Copy) -> None:
    """The execution is opened as it was proven, from the cache of compiled models too."""
    folder = copied("openvino")
    found = Manifest.from_json((folder / MANIFEST_FILE).read_bytes())
    (first, *_) = found.variant("openvino").parity
    record = replace(
        first, settings={"SNIPPETS_MODE": "DISABLE"}, metrics=first.metrics | {"length_score_max_abs": 0.0}
    )
    made = replace(found.variant("openvino"), parity=(record,))
    rewrite(folder, variants=tuple(made if v.id == "openvino" else v for v in found.variants))
    for _ in range(2):
        with load(folder) as reranker:
            explanation = reranker.explain()
            assert explanation.settings == {"SNIPPETS_MODE": "DISABLE"}
            assert "in f32, SNIPPETS_MODE=DISABLE" in str(explanation)


def test_a_variant_proven_in_bf16_is_not_executed_in_another_precision(copied: Copy) -> None:
    """It computes in bf16 without being asked to; where OpenVINO does otherwise, its scores are not those proven."""
    folder = copied("openvino")
    found = Manifest.from_json((folder / MANIFEST_FILE).read_bytes())
    (first, *_) = found.variant("openvino").parity
    metrics = {**first.metrics, "output_max_abs": 0.1}
    made = replace(
        found.variant("openvino"),
        precision_class="half",
        parity=(replace(first, execution_precision="bf16", metrics=metrics),),
    )
    rewrite(folder, variants=tuple(made if v.id == "openvino" else v for v in found.variants))
    if {"avx512_bf16", "amx_bf16"} & set(host.detect().isa):
        with load(folder, variant="openvino") as reranker:
            assert reranker.explain().execution_precision == "bf16"
    else:
        with pytest.raises(SelectionError, match="openvino does not offer bf16 on this machine"):
            load(folder, variant="openvino")


def test_a_folder_without_a_manifest_is_refused(tmp_path: Path) -> None:
    """The error says what was expected."""
    with pytest.raises(ManifestError, match=r"holds no readable manifest\.json"):
        load(tmp_path)
    with pytest.raises(ManifestError, match="this folder does not exist"):
        load(str(tmp_path / "no/where/near"))
    with pytest.raises(ManifestError, match="no revision"):
        load(tmp_path, revision="main")


def test_another_major_version_is_refused_and_a_newer_minor_warns(copied: Copy) -> None:
    """The version rule of the contract."""
    folder = copied("onnx-quint8-avx2")
    path = folder / MANIFEST_FILE
    text = path.read_text()
    path.write_text(text.replace('"schema_version": "2.1"', '"schema_version": "3.0"'))
    with pytest.raises(ManifestVersionError, match="upgrade the artificer package"):
        load(folder)
    path.write_text(text.replace('"schema_version": "2.1"', '"schema_version": "2.9"'))
    with pytest.warns(UserWarning, match="newer than"):
        load(folder, variant="onnx-quint8-avx2").close()


def test_a_variant_that_cannot_be_opened_is_given_up_for_the_next(
    published: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A runtime that fails is logged and named in explain(); the next admissible variant serves."""
    real = backends.open_with

    def broken(runtime: Any, graph: Path, options: Any) -> Session:
        if runtime == "openvino":
            raise MissingRuntimeError("no openvino today")
        return real(runtime, graph, options)

    monkeypatch.setattr(opening, "open_with", broken)
    with caplog.at_level(logging.WARNING, "artificer"), load(published) as reranker:
        found = reranker.explain()
    assert found.runtime == "onnx"
    assert "openvino-qint8: no openvino today" in found.fallbacks
    assert "skipped openvino-qint8: no openvino today" in caplog.messages


def test_an_integrity_error_is_never_a_reason_to_fall_back(copied: Copy) -> None:
    """The best variant's file is damaged: loading stops, although another variant is whole."""
    folder = copied("openvino-qint8", "onnx-quint8-avx2")
    graph = folder / "openvino/openvino_model_qint8_quantized.bin"
    graph.write_bytes(graph.read_bytes()[:-1] + b"\x55")
    with pytest.raises(IntegrityError, match="openvino_model_qint8_quantized"):
        load(folder, variant=None)


def test_nothing_that_works_is_an_error_with_all_reasons(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When every candidate fails, each is named."""

    def broken(*_: Any, **__: Any) -> Session:
        raise RuntimeError("out of luck")

    monkeypatch.setattr(opening, "open_with", broken)
    with pytest.raises(SelfTestError, match=r"openvino-qint8: out of luck(.|\n)*onnx: out of luck"):
        load(published)


def test_autotune_measures_once_and_keeps_the_result(
    published: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second load asks the cache; and the order is that of the timings."""
    counted: list[int] = []

    def measure(candidates: Any, *_: Any) -> Timings:
        counted.append(len(candidates))
        return Timings({c.label: float(c.variant.id != "onnx-O1") for c in candidates})

    monkeypatch.setattr("artificer.loading.autotune.measure", measure)
    for _ in range(2):
        with load(published, autotune=True) as reranker:
            assert reranker.explain().variant == "onnx-O1"
            assert "autotune" in reranker.explain().why
    assert len(counted) == 1
    assert list((own_cache / "timings").iterdir())


def test_autotune_really_measures(copied: Copy) -> None:
    """Without the fake: two variants, one of them is chosen."""
    with load(copied("onnx-O2", "onnx"), autotune=True, objective="latency") as reranker:
        assert reranker.explain().variant in ("onnx", "onnx-O2")


def test_a_shorter_max_length_can_be_asked_for(published: Path) -> None:
    """Pairs are cut there; more than the model has is not given."""
    with load(published, variant="onnx", max_length=16, on_truncate="error") as reranker:
        assert reranker.max_length == 16
        with pytest.raises(InputError, match="longer than 16 tokens"):
            reranker.predict(("a " * 20, "b"))
    with load(published, variant="onnx", max_length=9999) as reranker:
        assert reranker.max_length == 512


def test_neither_torch_nor_transformers_nor_the_builder_is_imported(published: Path) -> None:
    """A service that loads and scores never sees the build toolchain, and no telemetry."""
    code = f"""
import sys
class Forbid:
    names = {{"torch", "transformers", "optimum", "onnx", "stages", "huggingface_hub", "openvino_telemetry", "scipy"}}
    def find_spec(self, name, path=None, target=None):
        assert name.partition(".")[0] not in self.names, name
sys.meta_path.insert(0, Forbid())
import artificer
for variant in ("onnx", "openvino"):
    with artificer.load({str(published)!r}, variant=variant) as reranker:
        assert len(reranker.rank("a", ["b", "c"])) == 2
print("fine")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "fine\n", done.stderr


def test_openvino_can_still_convert_models_after_us(published: Path) -> None:
    """Our import leaves the converter out; others in the process get it when they ask."""
    code = f"""
import artificer
artificer.load({str(published)!r}, variant="openvino").close()
import openvino
assert callable(openvino.convert_model)
assert not hasattr(openvino, "nothing_like_it")
print("fine")
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "fine\n", done.stderr


def test_the_public_names_are_there() -> None:
    """All that __all__ promises can be had; nothing else can."""
    for name in artificer.__all__:
        assert getattr(artificer, name) is not None
    with pytest.raises(AttributeError):
        artificer.nothing_like_it  # noqa: B018


def test_a_missing_package_names_the_pip_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The package is absent: a typed error instead of a ModuleNotFoundError."""
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.delitem(sys.modules, "artificer.backends.onnx_session", raising=False)
    with pytest.raises(MissingRuntimeError, match=r"pip install 'artificer\[onnx\]'"):
        backends.open_session("onnx", tmp_path / "x.onnx", threads=1)


@pytest.mark.parametrize("data", [b"\xff\xfe", b'{"schema_version": "1.0", "slug": "\x96"}', b"[" * 100_000, b"", b"7"])
def test_bytes_that_are_no_manifest_are_a_manifest_error(data: bytes) -> None:
    """Not UTF-8, nested without end, empty: a typed error each."""
    with pytest.raises(ManifestError):
        Manifest.from_json(data)


@pytest.mark.parametrize(
    ("argument", "value", "expected"),
    [
        ("verify", "ful", "'cached', 'full'"),
        ("objective", "speed", "'latency'"),
        ("on_truncate", "wrn", "'warn'"),
        ("channel", "stabel", "'stable'"),
        ("device", "gpu", "'cuda'"),
        ("runtime", "onxx", "'onnx'"),
        ("max_length", 0, "at least 8"),
        ("max_length", 1, "at least 8"),
    ],
)
def test_a_misspelt_argument_is_refused_with_what_it_may_be(
    published: Path, argument: str, value: Any, expected: str
) -> None:
    """`verify="ful"` would otherwise verify by verification, without a word."""
    with pytest.raises(InputError, match=f"^{argument}: expected .*{expected}.*, found {value!r}"):
        load(published, **{argument: value})


def test_onnxruntime_sends_no_reports(published: Path, tmp_path: Path) -> None:
    """It would keep a device id and what to send below the cache folder, and open sockets, offline or not."""
    code = f"import artificer; artificer.load({str(published)!r}, variant='onnx').predict(('a', 'b'))"
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "HOME": str(tmp_path)}
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert not list(tmp_path.rglob("*icrosoft*"))


def test_a_hub_client_that_is_too_new_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """tokenizers installs the newest, whose answers are other ones; no request is made with it."""
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub, "__version__", "3.0.0")
    with pytest.raises(
        MissingRuntimeError, match=r"before 3, and 3\.0\.0 is installed: pip install 'huggingface_hub<3'"
    ):
        load("acme/reranker")
