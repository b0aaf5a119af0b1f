"""Proving a package on this machine: every execution that it offers, compared with the reference, judged and timed."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

from msgspec import Struct, field

from artificer.backends import BACKENDS
from artificer.errors import ManifestError, SelectionError
from artificer.host import gpu_class
from artificer.manifest import Host, Manifest, Metrics
from artificer.manifest.isa_classes import class_of
from artificer.manifest.metric_names import LENGTH_METRIC
from artificer.proving.answering import Answer, Package, Question
from artificer.proving.asking import Process
from artificer.proving.depth import FEWEST_PAIRS, FULL, QUICK, Depth, depth_of, work
from artificer.proving.judging import thresholds_class
from artificer.proving.length_probe import LengthGap, faulty_ranges, length_metrics
from artificer.proving.local_record import RECORD_VERSION, LocalRecord, ProvenExecution, Speed, judged
from artificer.proving.local_speeds import with_comparable_speeds
from artificer.proving.measurement import Measurement
from artificer.proving.offered import Offered, offered, plain
from artificer.proving.proof_set import ProofSet
from artificer.proving.reference_answers import Expected
from artificer.tasks.task import task_of

Progress = Callable[[str], None]
"""Told a line for each execution."""

SECONDS = {False: 50.0, True: 8.0}
"""What a proof may take, full and quick, by its own estimate. A large model takes longer: there is a least that each
execution is asked."""
_TIMING = {False: 1.2, True: 0.2}  # seconds
_NOTHING = Depth(0, ())
AT_ONCE_BYTES = 256 * 10**6  # of a graph that both processes may hold at the same time
_FASTER = 0.6  # the time of int8 and half precisions over float32's, at most, for the estimate
_SLOWEST = 30.0  # times the estimate: then an answer is not waited for any longer


class _Run(Struct):
    """A package being proven, with two processes that are asked."""

    folder: Path
    manifest: Manifest
    proof: ProofSet
    host: Host
    threads: int
    quick: bool
    first: Process
    second: Process
    seconds_per_token: float = 0.0
    start_seconds: float = 0.0
    depths: dict[bool, Depth] = field(default_factory=dict)
    estimated: float = 0.0
    took: float = 0.0

    def prove(self, each: Offered) -> ProvenExecution:
        """Ask both processes, and judge."""
        started = time.perf_counter()
        result = self._prove(each)
        if result.error is None:  # one that cannot be run takes no time
            self.took += time.perf_counter() - started
            self.estimated += self._estimate(each, self.depths[each.carries_over])
        return result

    def _prove(self, each: Offered) -> ProvenExecution:
        depth = self.depths[each.carries_over]
        amount = work(depth, self._characters(), self.proof.lengths.lengths)
        timeout = _SLOWEST * (self.start_seconds + self.seconds_per_token * amount.all)
        question = _question(each, depth, _TIMING[self.quick])
        answer, again = self._answers(question, _question(each, Depth(0, depth.lengths), 0, is_second=True), timeout)
        error = answer.error or (f"asked a second time, {again.error}" if again and again.error else None)
        if error is not None:
            return self._result(each, verdict="failed", reasons=(error,), error=error)
        measurement = self._measurement(each, answer, again)
        parity = judged(self.manifest, each.variant, measurement)
        peak = again.peak_memory_bytes if again is not None else 0
        speed = Speed(
            load_seconds=answer.load_seconds,
            peak_memory_bytes=peak or each.variant.size_bytes,
            rows=answer.rows,
        )
        return self._result(
            each, verdict=parity.verdict, reasons=parity.reasons, measurement=measurement, depth=depth, speed=speed
        )

    def _answers(self, first: Question, second: Question, timeout: float) -> tuple[Answer, Answer | None]:
        """Of both processes: at once where the graph is small, else one after the other. None where the second was not
        asked, or need not answer."""
        again: Answer | None = None
        with ThreadPoolExecutor(1) as beside:
            is_small = self.manifest.variant(first.variant).size_bytes <= AT_ONCE_BYTES
            early = beside.submit(self.second.ask, second, timeout) if second.lengths and is_small else None
            answer = self.first.ask(first, timeout)
            if answer.error is None and answer.asked is not None:
                again = early.result() if early is not None else None
                if again is None or again.error is not None:  # alone: there may have been too little memory for both
                    again = self.second.ask(second, timeout)
        if not self.quick:
            self.second.end()  # each in a fresh process, whose memory is that of one session
        return answer, again

    def baseline(self, found: list[Offered]) -> Offered:
        """Open the first plain execution that can be run here, and learn from it how fast this machine is.

        Raises SelectionError where none can.
        """
        characters, lengths = self._characters(), self.proof.lengths.lengths
        small = Depth(min(FEWEST_PAIRS, len(characters)), ())
        problems = []
        for each in plain(found):
            started = time.perf_counter()
            answer = self.first.ask(_question(each, small, 0, is_baseline=True))
            took = time.perf_counter() - started
            if answer.error is None:
                self.seconds_per_token = answer.seconds / max(1.0, work(small, characters, lengths).first)
                self.start_seconds = max(0.0, took - answer.seconds)
                return each
            problems.append(f"{each.label}: {answer.error}")
        raise SelectionError(
            f"{self.manifest.slug}: no execution works on {self.host.name}:\n  " + "\n  ".join(problems)
        )

    def plan(self, found: list[Offered], seconds: float) -> None:
        """Choose how much to ask of these executions, at least one: as much as fits into `seconds`. Workarounds behind
        the first are not expected to be needed.

        The estimate is multiplied by the ratio of the time that earlier executions took to their estimates.
        """
        off = self.took / self.estimated if self.estimated else 1.0
        characters, lengths = self._characters(), self.proof.lengths.lengths
        first, *later = found
        asked = {each.bytes_key: each for each in (first, *(e for e in later if not e.is_workaround))}.values()
        for needed, carried in QUICK if self.quick else FULL:
            depths = {
                False: depth_of(needed, len(characters), lengths),
                True: depth_of(carried, len(characters), lengths),
            }
            self.depths = depths
            if off * sum(self._estimate(each, depths[each.carries_over]) for each in asked) <= seconds:
                return

    def _estimate(self, each: Offered, depth: Depth) -> float:
        characters, lengths = self._characters(), self.proof.lengths.lengths
        pace = self.seconds_per_token * (1.0 if each.carries_over else _FASTER)
        fixed = self.start_seconds * (1.0 if self.quick else 2.0)
        return fixed + _TIMING[self.quick] + pace * work(depth, characters, lengths).all

    def _characters(self) -> list[int]:
        return [len(query) + len(passage) for query, passage in self.proof.texts]

    def _measurement(self, each: Offered, answer: Answer, again: Answer | None) -> Measurement:
        variant, host = each.variant, self.host
        metrics = _with_enough_pairs(answer.metrics, self.depths[each.carries_over].pairs)
        gaps: list[LengthGap] = []
        if answer.asked is not None:
            of_lengths, gaps = length_metrics(answer.asked, again.asked if again else None, self._expected(each))
            metrics |= of_lengths
        name = thresholds_class(variant.precision_class, each.precision)
        assert self.manifest.proof is not None
        limit = self.manifest.proof.thresholds.get(name, {}).get(LENGTH_METRIC)
        return Measurement(
            runtime_version=host.runtimes[BACKENDS[variant.runtime].packages[each.device].distribution],
            isa_class=class_of(host, variant.runtime) if each.device == "cpu" else gpu_class(host.accelerators),
            execution_precision=each.precision,
            default_precision=each.is_default,
            metrics=metrics,
            device=each.device,
            settings=each.settings,
            faulty_lengths=faulty_ranges(gaps, limit),
        )

    def _expected(self, each: Offered) -> Expected:
        import numpy as np

        entry, lengths = self.manifest.proof, self.proof.lengths
        assert entry is not None
        kept = self.depths[each.carries_over].lengths
        return Expected(
            pairs=self.proof.texts,
            logits=np.asarray(self.proof.outputs, dtype=np.float32),
            task=task_of(self.manifest),
            head=self.manifest.head,
            batch_size=entry.batch_size,
            top_k=entry.top_k,
            lengths=lengths.at(kept),
        )

    def _result(
        self,
        each: Offered,
        *,
        verdict: Literal["passed", "failed"],
        reasons: tuple[str, ...],
        measurement: Measurement | None = None,
        error: str | None = None,
        depth: Depth = _NOTHING,
        speed: Speed | None = None,
    ) -> ProvenExecution:
        assert each.variant.digest is not None
        return ProvenExecution(
            id=each.variant.id,
            digest=each.variant.digest,
            precision=each.precision,
            device=each.device,
            settings=each.settings,
            verdict=verdict,
            reasons=reasons,
            measurement=measurement,
            error=error,
            pairs=depth.pairs,
            lengths=len(depth.lengths),
            speed=speed,
        )


def prove(
    package: tuple[Path, Manifest, str], proof: ProofSet, host: Host, threads: int, *, quick: bool, progress: Progress
) -> LocalRecord:
    """Prove what the host offers of a package, whose files the caller has verified.

    Args:
        package: the folder, its manifest, and the SHA-256 of the manifest's bytes.
        quick: fewer texts, and only executions that need a record of this very class, beside the plain one.

    Raises:
        ManifestError: the package carries no proof set.
        SelectionError: the host offers nothing, or not even the plain execution can be run.
    """
    from artificer import __version__

    folder, manifest, sha256 = package
    if manifest.proof is None:
        raise ManifestError(f"{manifest.slug}: the package has no proof set. Build and publish it again.")
    found = offered(manifest, host)
    if not found:
        raise SelectionError(f"{manifest.slug}: no variant can run on {host.name}. Install a runtime that it needs.")
    started = time.monotonic()
    opened = Package(str(folder.resolve()), manifest.to_json(), threads)
    with Process(opened) as first, Process(opened) as second:
        run = _Run(folder, manifest, proof, host, threads, quick, first, second)
        baseline = run.baseline(found)
        if quick:
            found = [each for each in found if each is baseline or not each.carries_over]
        results = with_comparable_speeds(_all(run, found, progress), baseline.label)
    return LocalRecord(
        record_version=RECORD_VERSION,
        slug=manifest.slug,
        manifest_sha256=sha256,
        proof_sha256=manifest.proof.file.sha256,
        artificer_version=__version__,
        host=host,
        threads=threads,
        baseline=baseline.label,
        quick=quick,
        seconds=round(time.monotonic() - started, 1),
        executions=tuple(results),
    )


def _all(run: _Run, found: list[Offered], progress: Progress) -> list[ProvenExecution]:
    """Equal bytes are measured once; a workaround only where the same precision failed.

    How much is asked of each depends on the time that is left.
    """
    import msgspec

    results: list[ProvenExecution] = []
    by_bytes: dict[tuple[object, ...], ProvenExecution] = {}
    failed: set[tuple[str, str, str]] = set()
    end = time.monotonic() + SECONDS[run.quick]
    for number, each in enumerate(found, 1):
        way = (each.variant.id, each.device, each.precision)
        if each.is_workaround and way not in failed:
            continue
        started = time.monotonic()
        alias = by_bytes.get(each.bytes_key)
        if alias is not None:
            assert each.variant.digest is not None
            result = msgspec.structs.replace(alias, id=each.variant.id, digest=each.variant.digest)
        else:
            run.plan([other for other in found[number - 1 :] if other.bytes_key not in by_bytes], end - started)
            result = run.prove(each)
        by_bytes.setdefault(each.bytes_key, result)
        if result.verdict == "failed" and not each.settings:
            failed.add(way)
        results.append(result)
        progress(said(result, f"{number}/{len(found)}", time.monotonic() - started, alias))
    return results


def said(result: ProvenExecution, place: str, seconds: float, alias: ProvenExecution | None) -> str:
    """One line on an execution: verdict, distance, speed."""
    if alias is not None:
        return f"[{place}] {result.label}: {result.verdict}: the same graph as {alias.id}"
    if result.measurement is None:
        return f"[{place}] {result.label}: cannot be run: {result.error} ({seconds:.1f} s)"
    score = result.measurement.metrics.get("score_max_abs")
    parts = [] if score is None else [f"scores within {score:.2g}"]
    if result.speed is not None and result.speed.rows:
        parts.append(f"{result.speed.rows[-1].speedup:.2f}x")
    parts.append(f"{result.pairs} pairs, {result.lengths} lengths")
    why = f": {'; '.join(result.reasons)}" if result.reasons else ""
    return f"[{place}] {result.label}: {result.verdict}{why}; {', '.join(parts)} ({seconds:.1f} s)"


def _with_enough_pairs(metrics: Metrics, pairs: int) -> Metrics:
    """Without metrics of an order where there are too few pairs for one: null, which misses no threshold. Of a few
    queries two passages that change places look like a wrong ranking."""
    if pairs >= FEWEST_PAIRS:
        return dict(metrics)
    return {name: value if name.endswith("_abs") or name == "top_k" else None for name, value in metrics.items()}


def _question(
    each: Offered, depth: Depth, timing: float, *, is_second: bool = False, is_baseline: bool = False
) -> Question:
    return Question(
        variant=each.variant.id,
        precision=each.precision,
        device=each.device,
        settings=each.settings,
        pairs=depth.pairs,
        lengths=depth.lengths,
        timing=timing,
        is_second=is_second,
        is_baseline=is_baseline,
    )
