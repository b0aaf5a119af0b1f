"""From a name to the object that a service holds."""

import logging
from pathlib import Path
from typing import Any

from artificer import host as hosts
from artificer.backends.session import Session
from artificer.errors import FetchError, SelfTestError
from artificer.hub.index import Channel
from artificer.inference.input_checks import EncodingErrors
from artificer.inference.loaded_model import LoadedModel, OnTruncate
from artificer.inference.warming import warm_for_latency
from artificer.loading.exact import plan_exact
from artificer.loading.explain import Facts, explain
from artificer.loading.integrity import Verify
from artificer.loading.location import Address, index_for, locate
from artificer.loading.opening import Opener, open_first, prepare
from artificer.loading.options import LoadOptions
from artificer.loading.own_proof import with_own_proof
from artificer.manifest import Device, Runtime
from artificer.selection.policy import Accuracy, Objective, Policy
from artificer.selection.select import select
from artificer.signing.signed_by import SignedBy, wanted_signer
from artificer.storage.cache_folder import cache_folder

logger = logging.getLogger("artificer")


def load(
    source: str | Path,
    *,
    revision: str | None = None,
    variant: str | None = None,
    objective: Objective = "throughput",
    accuracy: Accuracy = "near",
    batch_invariant: bool = False,
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
    prove: bool = False,
    warm: bool | None = None,
    max_pending: int = 64,
    errors: EncodingErrors = "strict",
    offline: bool | None = None,
    cache: str | Path | None = None,
    index: str | Path | None = None,
    channel: Channel = "stable",
    manifest_sha256: str | None = None,
    require_signature: SignedBy | str | None = None,
) -> Any:
    """Load the best variant that is proven for this machine, by the `objective`.

    Returns:
        The object of the model's task: a `Reranker` for text-ranking, a `Classifier` for text-classification.

    Args:
        source: a published folder, a Hub repo id such as `acme/minilm-l6-artifacts`, or a model's name in `index`.
        revision: of a Hub repo; a branch or tag is resolved to its commit first. Refused for a folder.
        variant: force this one, or one execution of it, such as `openvino in bf16`. It must be admissible: what has no
            proof for this machine is refused.
        objective, accuracy, batch_invariant, quality_floor, memory_ceiling_bytes, runtime, device: see `policy.Policy`.
        threads: compute threads; None honours the affinity mask and the cgroup's quota (`host.thread_count`).
        max_length: cut texts at fewer tokens than the model allows.
        on_truncate: what to do about texts that are cut: `ok`, `warn` or `error`.
        verify: `cached` hashes files that changed since they were last hashed, `full` hashes all and compiles again.
        self_test: compute the manifest's golden samples first.
        autotune: measure the admissible variants here, once; later loads use the stored result.
        prove: prove and time here what the package offers, once, as `artificer prove` does; it takes about a minute and
            fetches all files that this machine could run. Later loads use the stored record.
        warm: what is compiled before `load` returns, where the backend compiles for each input shape. True: the shapes
            of single inputs, and what computes batches side by side, with its full batches (see `LoadedModel.warm`).
            False: nothing. None: with `objective="latency"`, the shapes of single inputs, and no further ones after
            half a second; with other objectives, nothing.
        max_pending: calls of the asynchronous methods that may wait before `OverloadedError`.
        errors: what to do about a lone surrogate, which UTF-8 cannot carry: `strict` refuses the call, `replace` scores
            the text with U+FFFD in its place.
        offline: open no connection; None reads `HF_HUB_OFFLINE`.
        cache: the folder for fetched models, compiled models, verifications, proofs and timings; None for
            `cache_folder()`.
        index: a folder or Hub repo with an index to look `source` up in; None reads `ARTIFICER_INDEX` for a bare
            name. See `hub.model_index.ModelIndex`.
        channel: of the index: `stable` or `candidate`.
        manifest_sha256: load no other manifest than this one; an index look-up sets it.
        require_signature: who must have signed the model, as a `SignedBy` or as text (`key=acme.pub`); None reads
            `ARTIFICER_REQUIRE_SIGNATURE`. The signature is checked before any other file is opened.

    Raises:
        InputError: an argument is not one of its allowed values.
        ManifestError: there is no manifest, or it is malformed.
        IntegrityError: a file is not what the manifest says; SignatureError: the signature is missing or wrong.
        SelectionError: no variant is admissible here, or `variant` is not.
        MissingRuntimeError: the forced variant's runtime is not installed, or cannot use the forced device.
        SelfTestError: no admissible variant reproduces the golden samples.
    """
    options = LoadOptions(
        policy=Policy(
            objective=objective,
            accuracy=accuracy,
            batch_invariant=batch_invariant,
            quality_floor=quality_floor,
            memory_ceiling_bytes=memory_ceiling_bytes,
            runtime=runtime,
            device=device,
        ),
        variant=variant,
        threads=threads,
        max_length=max_length,
        on_truncate=on_truncate,
        verify=verify,
        self_test=self_test,
        autotune=autotune,
        prove=prove,
        warm=warm,
        max_pending=max_pending,
        errors=errors,
        cache=Path(cache) if cache is not None else cache_folder(),
        revision=revision,
        manifest_sha256=manifest_sha256,
        signed_by=wanted_signer(require_signature),
        offline=offline,
        index=index,
        channel=channel,
    )
    options.check()
    named = index_for(source, index)
    if named is not None:
        return _load_from_index(str(source), named, options)
    return _load(Address(source, revision, manifest_sha256, offline, options.signed_by), options)


def _load_from_index(slug: str, index: str | Path, options: LoadOptions) -> LoadedModel:
    """Load the release that a channel holds. If its files cannot be fetched, load the one that this machine loaded
    last."""
    from artificer.hub.model_index import ModelIndex

    options.check_without_revision(slug)
    models = ModelIndex(index, offline=options.offline, cache=options.cache, require_signature=options.signed_by)
    wanted = models.locate(slug, options.channel)
    try:
        loaded = _load(wanted.address, options)
    except (FetchError, SelfTestError) as error:
        fetched = isinstance(error, SelfTestError) and not isinstance(error.__cause__, FetchError)
        last = None if fetched else models.locate_last_loaded(slug, options.channel)
        if last is None or last.release == wanted.release:
            raise
        logger.warning(
            "%s: %s cannot be fetched (%s): starting from %s, which was loaded last",
            slug, wanted.release, error, last.release,
        )  # fmt: skip
        return _load(last.address, options)
    models.remember(slug, options.channel, wanted.release)
    return loaded


def _load(address: Address, options: LoadOptions) -> LoadedModel:
    """Locate, select, open and test."""
    here = hosts.detect()
    published = locate(address, options.cache, check_again=options.verify == "full")
    threads, threads_from = (options.threads, "given to load") if options.threads else hosts.thread_count()
    location, own_proof = with_own_proof(published, options, here, threads)
    opener = prepare(location, options, threads, here)
    choice = select(location.manifest, here, options.policy, options.variant)
    if options.autotune and options.variant is None:
        from artificer.loading.autotune import autotuned

        choice = autotuned(choice, here, opener)
    opened, fallbacks = open_first(choice, opener.open)
    try:
        exact = plan_exact(opener, opened.execution, here)
        explanation = explain(opener, opened, choice, Facts(here, threads_from, fallbacks, exact.said, own_proof))
        logger.info("loaded %s", explanation)
        model = opener.task.model_class(
            manifest=published.manifest,
            session=opened.session,
            tokenizer=opener.tokenizer,
            explanation=explanation,
            on_truncate=options.on_truncate,
            max_pending=options.max_pending,
            errors=options.errors,
            second=exact.second,
        )
        _warm(model, opened.session, opener)
    except BaseException:
        opened.session.close()
        raise
    return model


def _warm(model: LoadedModel, session: Session, opener: Opener) -> None:
    """Compile what `warm` asks for. What nobody asked for by name may fail: the first calls then report it."""
    if opener.options.warm:
        model.warm()
    elif opener.options.warm is None and opener.options.policy.objective == "latency":
        try:
            warm_for_latency(session, opener.tokenizer)
        except Exception as error:  # a runtime may raise anything
            logger.warning("%s: a shape cannot be computed ahead: %s", opener.location.manifest.slug, error)
