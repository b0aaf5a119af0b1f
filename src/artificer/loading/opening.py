"""Opening executions of one model: fetch, verify, check the sidecars, open, self-test; fall back where that is safe."""

import logging
from collections.abc import Callable
from pathlib import PurePosixPath

from msgspec import Struct

from artificer.backends import BACKENDS, import_runtime, open_with
from artificer.backends.compiled_cache import CompiledModelCache
from artificer.backends.session import Session, SessionOptions
from artificer.errors import ArtificerError, IntegrityError, ManifestError, MissingRuntimeError, SelfTestError
from artificer.inference.tokenization import TextTokenizer
from artificer.loading.golden import self_test
from artificer.loading.integrity import check_sidecars, verify_files
from artificer.loading.location import Location
from artificer.loading.options import LoadOptions
from artificer.loading.package_tokenizers import Tokenizers
from artificer.loading.side_by_side import open_beside
from artificer.manifest import UNTUNED, Device, Host, Tuning, Variant
from artificer.manifest.isa_classes import isa_of
from artificer.selection.admission import Execution
from artificer.selection.select import Choice
from artificer.tasks.task import Task, task_of

logger = logging.getLogger("artificer")


class Opened(Struct, frozen=True):
    """A session that passed every check.

    `hashed` counts the files that were hashed for it; `difference` is what the self-test found, None when it did not
    run.
    """

    execution: Execution
    session: Session
    hashed: int
    difference: float | None


class Opener(Struct, frozen=True):
    """Opens executions of one model; `prepare` makes one.

    `hashed` counts the files that were hashed so far.
    """

    location: Location
    options: LoadOptions
    task: Task
    threads: int
    host: Host
    tokenizers: Tokenizers
    hashed: int

    @property
    def tokenizer(self) -> TextTokenizer:
        """Cuts at the length that the caller requested."""
        return self.tokenizers.own

    def open(self, execution: Execution) -> Opened:
        """Open and test an execution.

        Raises:
            IntegrityError: a file is not what the manifest says; never caught to fall back.
            ManifestError: there is no tokenizer; not caught either.
            SelfTestError: the execution does not reproduce the golden samples, or contradicts the manifest.
            Exception: whatever the runtime raises.
        """
        variant = execution.variant
        hashed = self.hashed + ensure(self.location, self.options, tuple(entry.path for entry in variant.files))
        check_sidecars(self.location.folder, variant)
        cached = self._cached(variant, hashed)
        try:
            return self._open(execution, hashed, cached)
        except ManifestError:  # of the tokenizer: the compiled model is not at fault
            raise
        except Exception as error:
            if cached is None or not cached.drop():
                raise
            logger.warning("%s is compiled again: the cached compiled model failed: %s", variant.id, error)
            return self._open(execution, hashed, None)

    def _open(self, execution: Execution, hashed: int, cached: CompiledModelCache | None) -> Opened:
        variant, manifest = execution.variant, self.location.manifest
        assert variant.graph is not None
        asked = execution.precision if BACKENDS[variant.runtime].takes_precision else None
        options = SessionOptions(
            threads=self.threads,
            execution_precision=asked,
            device=execution.device,
            settings=execution.settings,
            output=self.task.output,
            compiled=cached,
            tuning=self._tuning(execution),
        )
        graph = self.location.folder / variant.graph
        # Before the tokenizer is read, not beside it: both hold Python's lock. Opening a graph does not.
        import_runtime(variant.runtime)
        session, tokenizer = open_beside(
            lambda: open_with(variant.runtime, graph, options), lambda: self.tokenizers.full
        )
        try:
            if missing := set(session.input_names) ^ set(manifest.inputs):
                raise SelfTestError(f"{variant.id}: graph and manifest disagree on the inputs {sorted(missing)}.")
            difference = None
            if self.options.self_test:
                difference = self_test(self.task, session, tokenizer, manifest, execution)
        except BaseException:
            session.close()
            raise
        return Opened(execution, session, hashed, difference)

    def _tuning(self, execution: Execution) -> Tuning:
        """What was measured on the nearest host. Without that, a memory ceiling leaves no room for a second copy of the
        graph, which no figures hold."""
        found = execution.measured.tuning_for(self.threads) if execution.measured else None
        if found is None and self.options.policy.memory_ceiling_bytes is not None:
            return Tuning(streams=1)
        return found or UNTUNED

    def _cached(self, variant: Variant, hashed: int) -> CompiledModelCache | None:
        """The models that were compiled from these very files, for a load that tests what it finds there.

        Adds to them only where the cache outlives the process, as it has if nothing had to be hashed.
        """
        if self.options.verify == "full" or not self.options.self_test:
            return None
        files = {PurePosixPath(entry.path).name: entry.sha256 for entry in variant.files}
        return CompiledModelCache(
            self.options.cache / "compiled", files, machine=isa_of(self.host, variant.runtime), adds=hashed == 0
        )


def prepare(location: Location, options: LoadOptions, threads: int, host: Host) -> Opener:
    """Verify what all variants share.

    Raises:
        ManifestError: the manifest's task is unknown or contradicts it.
        IntegrityError, FetchError: as for `Opener.open`.
    """
    manifest = location.manifest
    task = task_of(manifest)
    hashed = ensure(location, options, tuple(entry.path for entry in manifest.files))
    return Opener(
        location=location,
        options=options,
        task=task,
        threads=threads,
        host=host,
        tokenizers=Tokenizers(location, options.max_length),
        hashed=hashed,
    )


def open_first(choice: Choice, opener: Callable[[Execution], Opened]) -> tuple[Opened, list[str]]:
    """The best execution that opens and passes, and why better ones did not; each of these is logged.

    Raises:
        IntegrityError, ManifestError: at once; the next execution is not tried.
        SelfTestError: no execution works; the message lists each. A single one's own error is raised as it is.
    """
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
            logger.warning("skipped %s", line)
    assert last is not None
    if len(fallbacks) == 1 and isinstance(last, ArtificerError):
        raise last
    raise SelfTestError("No admissible variant works on this machine:\n  " + "\n  ".join(fallbacks)) from last


def ensure(location: Location, options: LoadOptions, paths: tuple[str, ...]) -> int:
    """Fetch the files at `paths` and verify them; how many were hashed."""
    if location.fetch is not None:
        location.fetch(paths)
    wanted = set(paths)
    return verify_files(
        location.folder,
        [entry for entry in location.manifest.published_files() if entry.path in wanted],
        manifest_sha256=location.manifest_sha256,
        verification_cache=options.cache / "verified",
        mode=options.verify,
    )
