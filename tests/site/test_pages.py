"""The site as files: the same bytes every time, nothing from elsewhere, and what each page says."""

import html
import json
import re
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest

from artificer.manifest import Manifest, RequestRow, Tuning
from stages.core.params import SigningParams
from stages.site import wording
from stages.site.scatter import scatter
from stages.site.view import ModelView
from stages.site.view_of_manifest import model_view
from tests.site.made import FIRST, HERE, PUBLISH, SECOND, THERE
from tests.site.made import site as make_site
from tests.stages.project import snapshot


@pytest.fixture(scope="module")
def first(manifests: list[Manifest]) -> ModelView:
    """The view of the first model."""
    return model_view(manifests[0])


def page(site: Path, slug: str) -> str:
    """The text of a model's page."""
    return (site / "models" / f"{slug}.html").read_text(encoding="utf-8")


def test_the_same_manifests_give_the_same_bytes(site: Path, manifests: list[Manifest], tmp_path: Path) -> None:
    """A report that did not change is no change."""
    assert snapshot(make_site(tmp_path, manifests)) == snapshot(site)


def test_every_page_has_a_strict_policy_and_nothing_inline(site: Path) -> None:
    """No inline script, style or handler: the policy would stop them."""
    for path in site.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert "default-src &#39;none&#39;; script-src &#39;self&#39;" in text, path
        assert not re.search(r"<script(?![^>]*\bsrc=)|\sstyle=|<style|\son[a-z]+=|javascript:", text), path


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    """Scripts, styles and pictures have relative addresses; only links lead out."""
    for path in site.rglob("*"):
        if path.suffix in (".html", ".css"):
            text = path.read_text(encoding="utf-8")
            loaded = re.findall(r'<(?:script|img|link|iframe)[^>]*?(?:src|href)="([^"]+)"|url\(([^)]+)\)', text)
            for address in filter(None, (part for each in loaded for part in each)):
                assert (path.parent / address).is_file(), address


def test_what_a_manifest_says_is_escaped(manifests: list[Manifest], tmp_path: Path) -> None:
    """A licence or a reason is text, whatever it holds."""
    source = msgspec.structs.replace(manifests[0].source, license="<img src=x onerror=alert(1)>")
    found = make_site(tmp_path, [msgspec.structs.replace(manifests[0], source=source)])
    assert "<img" not in page(found, FIRST)
    assert "&lt;img src=x onerror=alert(1)&gt;" in page(found, FIRST)


def test_a_default_precision_that_fails_is_the_first_thing_on_the_page(site: Path) -> None:
    """Whoever opens the file without naming a precision gets what was not proven."""
    text = page(site, FIRST)
    assert text.index("openvino-qint8 fails at the runtime’s default precision") < text.index("Fastest proven here")
    assert "fails at the runtime’s default precision" not in page(site, SECOND)


def test_the_reason_stands_under_each_failure(site: Path) -> None:
    """Of a build that failed, of a threshold that was missed, and of what is not supported."""
    text = page(site, FIRST)
    for reason in ("RuntimeError: no such fusion", "score_max_abs is 0.5, at most 0.002", "no fp16 here"):
        assert f'class="c-reason">{reason}' in text


def test_executions_stand_below_their_variant(first: ModelView) -> None:
    """A variant's own precision goes first, then the runtime's default."""
    found = [(each.variant, each.label, each.is_default) for each in first.executions if "openvino" in each.variant]
    assert found == [
        ("openvino", "CPU f32", False),
        ("openvino", "CPU bf16", True),
        ("openvino-qint8", "CPU f32", False),
        ("openvino-qint8", "CPU bf16", True),
    ]


def test_the_fastest_is_proven_and_fits_the_host(first: ModelView) -> None:
    """A graph for other instructions may be faster here; its scores mean nothing."""
    found = first.fastest(HERE)
    assert found is not None
    assert found.key == "openvino-qint8 CPU f32"
    unfit = next(each for each in first.executions if each.variant == "onnx-qint8-arm64")
    assert not unfit.on(HERE).is_fit


def test_int8_is_unproven_on_another_class_of_cpu(manifests: list[Manifest]) -> None:
    """Scores of int8 depend on the instructions, those of float32 carry over and say from where."""
    benchmark = manifests[1].benchmarks[0]
    host = msgspec.structs.replace(benchmark.host, name="other", isa_class="amx")
    other = msgspec.structs.replace(benchmark, host=host)
    view = model_view(msgspec.structs.replace(manifests[1], benchmarks=(benchmark, other)))
    found = {each.variant: each.on("other") for each in view.executions}
    assert found["onnx-quint8-avx2"].verdict == "unproven"
    assert (found["onnx"].verdict, found["onnx"].borrowed) == ("passed", "avx2")


def test_settings_of_a_runtime_make_an_execution_of_its_own(manifests: list[Manifest]) -> None:
    """A workaround is a row beside what it works around; the runtime's default is the one without settings."""
    plain = manifests[0].variant("openvino-qint8")
    extra = msgspec.structs.replace(
        plain.parity[1], settings={"SNIPPETS_MODE": "DISABLE"}, verdict="passed", reasons=()
    )
    changed = msgspec.structs.replace(plain, parity=(*plain.parity, extra))
    variants = tuple(changed if each.id == plain.id else each for each in manifests[0].variants)
    view = model_view(msgspec.structs.replace(manifests[0], variants=variants))
    found = [(each.label, each.is_default) for each in view.executions if each.variant == plain.id]
    assert found == [("CPU f32", False), ("CPU bf16", True), ("CPU bf16, SNIPPETS_MODE=DISABLE", False)]


def changed(manifest: Manifest, variant: str, **fields: object) -> Manifest:
    """The manifest, with the second record of a variant changed."""
    found = manifest.variant(variant)
    parity = (found.parity[0], msgspec.structs.replace(found.parity[1], **fields), *found.parity[2:])
    new = msgspec.structs.replace(found, parity=parity)
    variants = tuple(new if each.id == variant else each for each in manifest.variants)
    return msgspec.structs.replace(manifest, variants=variants)


def test_lengths_at_which_scores_are_wrong_are_named(manifests: list[Manifest], tmp_path: Path) -> None:
    """In the callout, in the row, and beside the figures."""
    wrong = changed(manifests[0], "openvino-qint8", faulty_lengths=((29, 32), (61, 61)))
    text = page(make_site(tmp_path, [wrong]), FIRST)
    assert text.count("rong at 29–32, 61 tokens") == 5  # of two hosts, the callout and the row; the evidence
    assert "rong at" not in page(make_site(tmp_path / "other", [manifests[0]]), FIRST)


def test_each_execution_has_its_own_quality(manifests: list[Manifest]) -> None:
    """A variant's figure is that of its first execution; another precision may rank otherwise."""
    metrics = {**manifests[0].variant("openvino-qint8").parity[1].metrics, "quality_ratio": 0.91}
    view = model_view(changed(manifests[0], "openvino-qint8", metrics=metrics))
    found = {each.label: each.quality for each in view.executions if each.variant == "openvino-qint8"}
    assert found == {"CPU f32": 0.995, "CPU bf16": 0.91}


def test_requests_of_new_lengths_are_shown_beside_the_rounds(manifests: list[Manifest], tmp_path: Path) -> None:
    """With their p95, and without a ratio to torch, which was not asked in the same round."""
    benchmark = manifests[0].benchmarks[0]
    requests = (RequestRow(inputs=10, p50_ms=25.0, p95_ms=31.4),)
    subjects = tuple(
        msgspec.structs.replace(each, requests=requests if each.id == "onnx" else ()) for each in benchmark.subjects
    )
    made = msgspec.structs.replace(benchmark, subjects=subjects)
    text = page(make_site(tmp_path, [msgspec.structs.replace(manifests[0], benchmarks=(made,))]), FIRST)
    row = text[text.index('<th scope="row">new lengths</th>') :].partition("</tr>")[0]
    assert re.findall(r'<td class="n">(.*?)</td>', row) == ["10", "400", "25.0 ms", "31.4 ms", ""]


def test_settings_and_how_batches_were_formed_are_shown(manifests: list[Manifest], tmp_path: Path) -> None:
    """What tells two executions of one precision apart, and what one of them was timed with."""
    settings = {"SNIPPETS_MODE": "DISABLE"}
    made = changed(manifests[0], "openvino-qint8", settings=settings, default_precision=False)
    benchmarks = tuple(
        msgspec.structs.replace(
            each,
            subjects=tuple(
                msgspec.structs.replace(subject, tuning=Tuning(streams=2, max_tokens=1024))
                if subject.id == "openvino-qint8"
                else subject
                for subject in each.subjects
            ),
        )
        for each in made.benchmarks
    )
    text = page(make_site(tmp_path, [msgspec.structs.replace(made, benchmarks=benchmarks)]), FIRST)
    assert 'CPU bf16 <span class="chip"><code>SNIPPETS_MODE=DISABLE</code></span>' in text
    assert "2 streams, at most 1024 tokens a batch" in text


@pytest.mark.parametrize(
    ("signing", "target", "said", "commands"),
    [
        (
            {"key": "/etc/keys/acme.key"},
            "folder",
            "the key acme.pub",
            ["artificer verify dist/artificer/first-reranker --signature key=acme.pub"],
        ),
        (
            {"key": "bot.key", "certificate": "bot.pem", "chain": ("middle.pem", "certs/root.pem")},
            "folder",
            "the certificate bot.pem",
            ["artificer verify dist/artificer/first-reranker --signature certificate=root.pem"],
        ),
        (
            {"identity": "release bot", "issuer": "https://issuer.example"},
            "hub",
            "release bot, certified by https://issuer.example",
            [
                "hf download artificer/first-reranker --local-dir first-reranker",
                "artificer verify first-reranker --signature 'identity=release bot,issuer=https://issuer.example'",
            ],
        ),
    ],
)
def test_the_page_says_who_signs_and_which_command_checks_it(
    manifests: list[Manifest],
    tmp_path: Path,
    signing: dict[str, Any],
    target: Literal["folder", "hub"],
    said: str,
    commands: list[str],
) -> None:
    """Without a path of the machine that signs."""
    publish = msgspec.structs.replace(PUBLISH, target=target, signing=SigningParams(**signing))
    text = html.unescape(page(make_site(tmp_path, manifests[:1], publish), FIRST))
    assert f"Every publish is signed by {said}." in text
    assert "\n".join(commands) in text
    assert "/etc/keys" not in text


def test_the_page_says_that_nobody_signs(site: Path) -> None:
    """So that nobody takes an unsigned model for a signed one."""
    assert "Not signed: <code>publish.signing</code>" in page(site, FIRST)


def test_a_proof_in_bf16_holds_for_its_class_of_cpu_alone(manifests: list[Manifest]) -> None:
    """Kernels for other instructions round, and fail, differently."""
    benchmark = manifests[0].benchmarks[0]
    host = msgspec.structs.replace(benchmark.host, name="other", isa_class="amx")
    view = model_view(
        msgspec.structs.replace(manifests[0], benchmarks=(msgspec.structs.replace(benchmark, host=host),))
    )
    found = {each.label: each.on("other").verdict for each in view.executions if each.variant == "openvino"}
    assert found == {"CPU f32": "passed", "CPU bf16": "unproven"}


def test_a_model_that_was_not_benchmarked_has_a_page(manifests: list[Manifest], tmp_path: Path) -> None:
    """Verdicts and proofs do not need speeds."""
    found = make_site(tmp_path, [msgspec.structs.replace(manifests[0], benchmarks=())])
    assert "This model was not benchmarked." in page(found, FIRST)


def test_a_site_of_no_model_is_no_error(tmp_path: Path) -> None:
    """An empty registry has an empty leaderboard."""
    found = make_site(tmp_path, [])
    assert "<strong>0</strong> models" in (found / "index.html").read_text(encoding="utf-8")


def test_the_picture_places_what_is_faster_further_right(first: ModelView) -> None:
    """Right is faster, up is better, and a failed point is hollow."""
    plot = scatter(first, THERE)
    assert plot is not None
    points = {point.name: point for point in plot.points}
    assert points["onnx"].x > points["torch-fp32"].x
    assert points["openvino-qint8"].y > points["torch-fp32"].y  # percent from the top
    assert points["onnx-qint8-avx512"].is_hollow
    assert not points["onnx"].is_hollow


def test_points_at_one_place_share_a_label(first: ModelView) -> None:
    """A label for each would cover the others."""
    plot = scatter(first, THERE)
    assert plot is not None
    assert any(re.search(r" \+\d+$", label.text) for label in plot.labels)


def test_the_leaderboard_counts_what_a_host_did_not_measure(site: Path) -> None:
    """The host that measured most models is shown first."""
    text = (site / "data" / "leaderboard.js").read_text(encoding="utf-8")
    data = json.loads(text.removeprefix("Artificer.leaderboard(").removesuffix(");\n"))
    assert [(host["name"], len(host["measured"])) for host in data["hosts"]] == [(HERE, 2), (THERE, 1)]
    rows = len(data["kind"])
    assert {len(host[name]) for host in data["hosts"] for name in ("verdict", "speed", "diff", "fit")} == {rows}


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0, "0"), (None, "–"), (0.05, "5.0e-2"), (0.87, "8.7e-1"), (3.6e-7, "3.6e-7"), (12.0, "1.2e1")],
)
def test_a_difference_has_two_digits(value: float | None, expected: str) -> None:
    """Differences range over seven powers of ten."""
    assert wording.small(value) == expected


@pytest.mark.parametrize(
    ("count", "expected"), [(12, "12 B"), (6_486_821, "6.5 MB"), (1_117_600_000, "1.12 GB"), (None, "–")]
)
def test_sizes_are_in_decimal_units(count: int | None, expected: str) -> None:
    """As the Hub shows them."""
    assert wording.size(count) == expected
