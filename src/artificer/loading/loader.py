"""From a place to a Reranker: read the manifest, verify, select, open, test; and fall back where that is safe."""

import hashlib
import logging
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from artificer import host as hosts
from artificer.backends import _BACKENDS, Session, open_session
from artificer.backends.compiled_cache import CompiledModelCache
from artificer.cache import cache_folder
from artificer.errors import (
    ArtificerError,
    InputError,
    IntegrityError,
    ManifestError,
    MissingRuntimeError,
    ModelIndexError,
    SelectionError,
    SelfTestError,
)
from artificer.hub.index import INDEX_VARIABLE, SLUG, Channel
from artificer.inference.input_checks import check_choice
from artificer.inference.loaded_model import LoadedModel, OnTruncate
from artificer.inference.tokenization import PairTokenizer
from artificer.loading.explain import Explanation
from artificer.loading.golden import self_test as run_self_test
from artificer.loading.integrity import Verify, check_sidecars, verify_files
from artificer.loading.select import PACKAGES, Choice, Execution, Objective, Policy, select
from artificer.manifest import MANIFEST_FILE, Device, Host, Manifest, Runtime, Variant
from artificer.tasks import task_of

logger = logging.getLogger("artificer")

_SHORTEST = 8  # tokens: special ones, and something of both texts
_MANIFEST_LIMIT = 64 << 20  # bytes; a real one has some tens of kilobytes


def load(
    source: str | Path,
    *,
    revision: str | None = None,
    variant: str | None = None,
    objective: Objective = "throughput",
    exact: bool = False,
    allow_bf16: bool = False,
    quality_floor: float | None = None,
    memory_ceiling_bytes: int | None = None,
    runtime: Runtime | None = None,
    device: Device | None = None,
    threads: int | None = None,
    max_length: int | None = None,
    on_truncate: OnTruncate = "ok",
    verify: Verify = "cached",
    self_test: bool = True,
    autotune: bool = False,
    warm: bool = False,
    max_pending: int = 64,
    offline: bool | None = None,
    cache: str | Path | None = None,
    index: str | Path | None = None,
    channel: Channel = "stable",
    manifest_sha256: str | None = None,
) -> Any:
    """Load the fastest variant that is proven for this machine.

    Returns:
        The object of the model's task: a `Reranker` for text-ranking, a `Classifier` for text-classification.

    Args:
        source: a published folder, a Hub repo id such as `acme/minilm-l6-artifacts`, or a model's name in `index`.
        revision: of a Hub repo; a branch or tag is resolved to its commit first. Refused for a folder.
        variant: force this one. It must be admissible: a variant without proof for this machine is refused.
        objective, exact, allow_bf16, quality_floor, memory_ceiling_bytes, runtime, device: see `select.Policy`.
        threads: compute threads; None honours the affinity mask and the cgroup's quota (`host.thread_count`).
        max_length: cut pairs at fewer tokens than the model allows.
        on_truncate: what to do about pairs that are cut: `ok`, `warn` or `error`.
        verify: `cached` hashes files that changed since they were last hashed, `full` hashes all and compiles anew.
        self_test: score the manifest's golden pairs first.
        autotune: measure the admissible variants here, once; later loads use the kept result.
        warm: compile the shapes of single requests now instead of at their first use (see `Reranker.warm`).
        max_pending: calls of the asynchronous methods that may wait before `OverloadedError`.
        offline: open no socket; None reads `HF_HUB_OFFLINE`.
        cache: the folder for fetched models, compiled models, verifications and timings; None for `cache_folder()`.
        index: a folder or Hub repo with an index to look `source` up in; None reads `ARTIFICER_INDEX` for a bare
            name. See `hub.model_index.ModelIndex`.
        channel: of the index: `stable` or `execution`.
        manifest_sha256: load no other manifest than this one; an index look-up sets it.

    Raises:
        InputError: an argument is none of the words that it may be.
        ManifestError: there is no manifest, or it is malformed.
        IntegrityError: a file is not what the manifest says.
        SelectionError: no variant is admissible here, or `variant` is not.
        MissingRuntimeError: the forced variant's runtime is not installed, or cannot use the forced device.
        SelfTestError: no admissible variant reproduces the golden logits.
    """
    check_choice("objective", objective, Objective)
    check_choice("on_truncate", on_truncate, OnTruncate)
    check_choice("verify", verify, Verify)
    check_choice("channel", channel, Channel)
    if runtime is not None:
        check_choice("runtime", runtime, tuple(_BACKENDS))
    if device is not None:
        check_choice("device", device, Device)
    if max_length is not None and max_length < _SHORTEST:
        raise InputError(f"max_length: expected at least {_SHORTEST} tokens, found {max_length!r}.")
    kept = Path(cache) if cache is not None else cache_folder()
    if (named := index_for(source, index)) is not None:
        if revision is not None or manifest_sha256 is not None:
            raise ModelIndexError(f"{source}: the index says which revision and manifest; do not pass them as well.")
        from artificer.hub.model_index import ModelIndex

        loader = partial(
            load,
            variant=variant,
            objective=objective,
            exact=exact,
            allow_bf16=allow_bf16,
            quality_floor=quality_floor,
            memory_ceiling_bytes=memory_ceiling_bytes,
            runtime=runtime,
            device=device,
            threads=threads,
            max_length=max_length,
            on_truncate=on_truncate,
            verify=verify,
            self_test=self_test,
            autotune=autotune,
            warm=warm,
            max_pending=max_pending,
            cache=kept,
        )
        return ModelIndex(named, offline=offline, cache=kept).open(str(source), channel, loader)
    here = hosts.detect()
    policy = Policy(
        objective=objective,
        exact=exact,
        allow_bf16=allow_bf16,
        quality_floor=quality_floor,
        memory_ceiling_bytes=memory_ceiling_bytes,
        runtime=runtime,
        device=device,
    )
    folder, fetch = locate(source, revision=revision, offline=offline, cache=kept)
    manifest, found_sha256 = read_manifest(folder)
    if manifest_sha256 not in (None, found_sha256):
        raise IntegrityError(
            f"{source}: the manifest has sha256 {found_sha256}, expected {manifest_sha256}: it was changed after it was"
            " published or looked up. Nothing was opened."
        )
    count, counted = (threads, "given to load") if threads is not None else hosts.thread_count()
    if count < 1:
        raise SelectionError(f"threads: expected at least 1, found {threads}.")
    opener = _Opener(folder, fetch, manifest, found_sha256, count, max_length, kept, verify, self_test, here.isa)
    choice = select(manifest, here, policy, variant)
    if autotune and variant is None:
        from artificer.loading.autotune import autotuned

        choice = autotuned(choice, here, policy.objective, found_sha256, opener.open, opener.tokenizer, kept)
    opened, fallbacks = _open_first(choice, opener.open)
    return _reranker(opener, opened, choice, here, counted, fallbacks, on_truncate, max_pending, warm)


def index_for(source: str | Path, index: str | Path | None) -> str | Path | None:
    """The index to look `source` up in: the one given, else `ARTIFICER_INDEX` where `source` is a bare name."""
    if index is not None:
        return index
    named = os.environ.get(INDEX_VARIABLE)
    return named if named and SLUG.fullmatch(str(source)) and not Path(source).is_dir() else None


Fetch = Callable[[tuple[str, ...]], None]


def locate(source: str | Path, *, revision: str | None, offline: bool | None, cache: Path) -> tuple[Path, Fetch | None]:
    """The folder that holds the manifest, and how to get further files into it (None: they are there)."""
    folder = Path(source)
    if folder.is_dir():
        if revision is not None:
            raise ManifestError(f"{source} is a folder, which has no revision {revision!r}.")
        return folder, None
    from artificer.hub.client import is_repo_id, open_repo

    if isinstance(source, str) and is_repo_id(source):
        return open_repo(source, revision=revision, offline=offline, cache=cache)
    raise ManifestError(
        f"{source}: expected a published folder or a Hub repo id like acme/minilm, and there is no such folder."
    )


def read_manifest(folder: Path) -> tuple[Manifest, str]:
    """The manifest in `folder`, validated, and the SHA-256 of its bytes.

    Raises:
        ManifestError: there is none, or it is malformed; ManifestVersionError for another major version.
    """
    try:
        with (folder / MANIFEST_FILE).open("rb") as stream:
            data = stream.read(_MANIFEST_LIMIT + 1)
    except OSError as error:
        raise ManifestError(
            f"{folder} holds no readable {MANIFEST_FILE} ({error.strerror}); expected a published folder."
        ) from None
    if len(data) > _MANIFEST_LIMIT:
        raise ManifestError(f"{folder / MANIFEST_FILE} is larger than {_MANIFEST_LIMIT} bytes.")
    return Manifest.from_json(data), hashlib.sha256(data).hexdigest()


class Opened:
    """A session that passed every check, with what was found out on the way."""

    def __init__(self, execution: Execution, session: Session, hashed: int, difference: float | None):
        self.execution = execution
        self.session = session
        self.hashed = hashed
        self.difference = difference


class _Opener:
    """Opens executions of one manifest: fetch, verify, check the sidecars, open, self-test, in this order."""

    def __init__(
        self,
        folder: Path,
        fetch: Fetch | None,
        manifest: Manifest,
        manifest_sha256: str,
        threads: int,
        max_length: int | None,
        cache: Path,
        verify: Verify,
        self_test: bool,
        isa: tuple[str, ...],
    ):
        self.folder, self.manifest, self.manifest_sha256, self.threads = folder, manifest, manifest_sha256, threads
        self._fetch, self._cache, self._verify, self._self_test, self._isa = fetch, cache, verify, self_test, isa
        self.task = task_of(manifest)
        self._hashed = self._ensure(tuple(entry.path for entry in manifest.files))
        self._max_length = max_length
        self.tokenizer = self._tokenizer(max_length or manifest.max_length)

    def open(self, execution: Execution) -> Opened:
        """Raises IntegrityError, which nobody may catch to fall back; SelfTestError and whatever the runtime raises."""
        variant = execution.variant
        assert variant.graph is not None
        hashed = self._hashed + self._ensure(tuple(entry.path for entry in variant.files))
        check_sidecars(self.folder, variant)
        kept = self._compiled(variant, hashed)
        try:
            return self._open(execution, hashed, kept)
        except Exception as error:
            if kept is None or not kept.drop():
                raise
            logger.warning("%s is compiled again, its kept model does not do: %s", variant.id, error)
            return self._open(execution, hashed, None)

    def _open(self, execution: Execution, hashed: int, kept: CompiledModelCache | None) -> Opened:
        variant = execution.variant
        assert variant.graph is not None
        session = open_session(
            variant.runtime,
            self.folder / variant.graph,
            threads=self.threads,
            execution_precision=execution.precision if variant.runtime == "openvino" else None,
            device=execution.device,
            kept=kept,
        )
        try:
            if variant.runtime == "openvino" and session.execution_precision != execution.precision:
                raise SelfTestError(
                    f"{variant.id} is proven in {execution.precision}, and computes in {session.execution_precision}"
                    " on this machine."
                )
            if missing := set(session.input_names) ^ set(self.manifest.inputs):
                raise SelfTestError(f"{variant.id}: graph and manifest disagree on the inputs {sorted(missing)}.")
            full = self._tokenizer(self.manifest.max_length) if self._max_length else self.tokenizer
            difference = (
                run_self_test(self.task, session, full, self.manifest, variant, execution.parity)
                if self._self_test
                else None
            )
        except BaseException:
            session.close()
            raise
        return Opened(execution, session, hashed, difference)

    def _ensure(self, paths: tuple[str, ...]) -> int:
        if self._fetch is not None:
            self._fetch(paths)
        wanted = set(paths)
        entries = [entry for entry in self.manifest.published_files() if entry.path in wanted]
        return verify_files(
            self.folder,
            entries,
            manifest_sha256=self.manifest_sha256,
            verification_cache=self._cache / "verified",
            mode=self._verify,
        )

    def _compiled(self, variant: Variant, hashed: int) -> CompiledModelCache | None:
        """What was compiled from these very files, for a load that tests what it finds there; adding to it only where
        the cache outlives the process, as it has if nothing had to be hashed."""
        if self._verify == "full" or not self._self_test:
            return None
        files = {PurePosixPath(entry.path).name: entry.sha256 for entry in variant.files}
        return CompiledModelCache(self._cache / "compiled", files, machine=self._isa, adds=hashed == 0)

    def _tokenizer(self, max_length: int) -> PairTokenizer:
        info = self.manifest.tokenizer
        length = min(max_length, self.manifest.max_length)
        return PairTokenizer(self.folder / info.file, info, max_length=length, inputs=self.manifest.inputs)


def _open_first(choice: Choice, opener: Callable[[Execution], Opened]) -> tuple[Opened, list[str]]:
    """The best execution that opens and passes; each one given up is logged. An integrity error ends it at once."""
    fallbacks: list[str] = []
    missing: dict[Device, MissingRuntimeError] = {}
    last: Exception | None = None
    for execution in choice.executions:
        if execution.device != "cpu" and execution.device in missing:
            continue  # what keeps one graph from the GPU keeps the others
        try:
            return opener(execution), fallbacks
        except (IntegrityError, ManifestError):
            raise
        except Exception as error:  # a runtime may raise anything of its own
            last = error
            if isinstance(error, MissingRuntimeError):
                missing[execution.device] = error
            line = f"{execution.label}: {error}"
            fallbacks.append(line)
            logger.warning("gave up %s", line)
    assert last is not None
    if len(fallbacks) == 1 and isinstance(last, ArtificerError):
        raise last
    raise SelfTestError("No admissible variant works on this machine:\n  " + "\n  ".join(fallbacks)) from last


def _reranker(
    opener: _Opener,
    opened: Opened,
    choice: Choice,
    here: Host,
    counted: str,
    fallbacks: list[str],
    on_truncate: OnTruncate,
    max_pending: int,
    warm: bool,
) -> LoadedModel:
    from artificer import __version__

    manifest, execution, session = opener.manifest, opened.execution, opened.session
    after = [each.label for each in choice.executions]
    parity, fallback = execution.parity, execution.variant.fallback
    explanation = Explanation(
        model=manifest.slug,
        folder=str(opener.folder),
        manifest_sha256=opener.manifest_sha256,
        source=f"{manifest.source.location} at {manifest.source.revision}",
        variant=execution.variant.id,
        why=choice.basis,
        alternatives=tuple(after[after.index(execution.label) + 1 :]),
        rejected=choice.rejected,
        fallbacks=tuple(fallbacks),
        runtime=session.runtime,
        runtime_version=here.runtimes.get(PACKAGES[session.runtime], "unknown"),
        execution_precision=session.execution_precision,
        device=execution.device,
        parity=f"passed on {parity.isa_class} in {parity.execution_precision} with {parity.runtime_version}: scores"
        f" within {parity.metrics['score_max_abs']:.2g} of torch"
        + (f"; recipe {fallback.won} in place of the plain one" if fallback and fallback.won else ""),
        result=manifest.head.result,
        max_length=opener.tokenizer.max_length,
        threads=opener.threads,
        threads_from=counted,
        host=here.name,
        cpu=here.cpu_model,
        isa=here.isa,
        files_hashed=opened.hashed,
        self_test=opened.difference,
        artificer_version=__version__,
    )
    logger.info("loaded %s", explanation)
    reranker = opener.task.model_class(
        manifest=manifest,
        session=session,
        tokenizer=opener.tokenizer,
        explanation=explanation,
        on_truncate=on_truncate,
        max_pending=max_pending,
    )
    if warm:
        reranker.warm()
    return reranker
