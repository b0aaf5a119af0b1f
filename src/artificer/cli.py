"""The command line of the runtime, `artificer COMMAND`. Errors exit with 1, usage with 2."""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from artificer.errors import ArtificerError, InputError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    parser = command_line()
    given, others = parser.parse_known_args(arguments)
    # argparse has decided that there are no documents when it meets an option before them.
    if others and (not hasattr(given, "documents") or any(other.startswith("-") for other in others)):
        parser.error(f"unrecognized arguments: {' '.join(others)}")
    if others:
        given.documents += others
    try:
        code: int = given.run(given)
    except ArtificerError as error:
        print(f"artificer: {error}", file=sys.stderr)
        return 1
    except (BrokenPipeError, KeyboardInterrupt):
        return 130
    return code


def _explain(given: argparse.Namespace) -> int:
    with _load(given) as reranker:
        found = reranker.explain()
        print(json.dumps(found.to_dict(), indent=2) if given.json else found)
    return 0


def _verify(given: argparse.Namespace) -> int:
    """Hash everything, of all variants; name what the manifest does not know."""
    from artificer.backends import backend_problem
    from artificer.loading.integrity import check_sidecars, extra_files, verify_files
    from artificer.loading.location import read_manifest
    from artificer.manifest import MANIFEST_FILE, SIGNATURE_FILE
    from artificer.signing.signed_by import wanted_signer

    folder = Path(given.source)
    wanted, signed = wanted_signer(given.signature), None
    if wanted is not None:
        from artificer.signing.signature_check import check_signed_folder

        signed = check_signed_folder(folder, wanted)
    manifest, sha256 = read_manifest(folder, signed)
    files = manifest.published_files()
    if signed is not None:
        signed.check_entries(files)
    verify_files(folder, files, manifest_sha256=sha256, verification_cache=None, mode="full")
    for variant in manifest.variants:
        if (problem := backend_problem(variant.runtime)) is not None:
            print(f"{variant.id}: the files beside its graph were not checked: {problem}")
        elif variant.status == "passed":
            check_sidecars(folder, variant)
    if signed is not None:
        print(f"{SIGNATURE_FILE}: signed by {signed.signer}; the signature covers every file here")
    elif (folder / SIGNATURE_FILE).exists():
        print(f"{SIGNATURE_FILE}: not checked: --signature says whose signature to expect")
    for path in extra_files(folder, (MANIFEST_FILE, SIGNATURE_FILE, *(entry.path for entry in files))):
        print(f"not in the manifest, never opened: {path}")
    size = sum(entry.size for entry in files)
    print(f"{manifest.slug}: {len(files)} files, {size} bytes: all match the manifest (its sha256 is {sha256})")
    return 0


def _rank(given: argparse.Namespace) -> int:
    """Rank documents from the command line, or one per line from standard input."""
    documents = given.documents or [line.rstrip("\n") for line in sys.stdin]
    with _load(given) as reranker:
        if not hasattr(reranker, "rank"):
            raise InputError(
                f"{given.source}: its task is {reranker.manifest.task}. Only text-ranking models can rank."
            )
        for row in reranker.rank(given.query, documents, top_k=given.top_k, return_documents=True):
            if given.json:
                print(json.dumps({**row, "score": float(row["score"])}, ensure_ascii=False))
            else:
                print(f"{float(row['score']):.6f}  {row['corpus_id']:>4}  {row['text']}")
    return 0


def _bench(given: argparse.Namespace) -> int:
    """One line per admissible execution: pairs/s, and the median time of a single pair, interleaved over rounds."""
    from artificer import host
    from artificer.loading.loader import load
    from artificer.loading.location import read_manifest
    from artificer.selection.policy import Policy
    from artificer.selection.select import select
    from artificer.tasks.task import task_of

    manifest, _ = read_manifest(Path(given.source))
    choice = select(manifest, host.detect(), Policy(accuracy=given.accuracy, device=given.device))
    pairs = [task_of(manifest).text(each.inputs) for each in manifest.golden] * (
        given.pairs // max(1, len(manifest.golden)) + 1
    )
    pairs = pairs[: given.pairs]
    if not pairs:
        raise ArtificerError("The manifest has no golden pairs to measure with.")
    loaded: dict[str, Any] = {
        each.label: load(
            given.source,
            variant=each.full_label,
            device=each.device,
            threads=given.threads,
            accuracy=given.accuracy,
        )
        for each in choice.executions
    }
    many: dict[str, list[float]] = {name: [] for name in loaded}
    single: dict[str, list[float]] = {name: [] for name in loaded}
    for _ in range(given.rounds + 1):
        for name, reranker in loaded.items():
            many[name].append(_seconds(lambda r=reranker: r.predict(pairs)))
            single[name].append(_seconds(lambda r=reranker: r.predict(pairs[0])))
    print(f"{'variant':28}{'pairs/s':>10}{'one pair, ms':>14}")
    for name in sorted(loaded, key=lambda key: statistics.median(many[key][1:])):
        speed, delay = len(pairs) / statistics.median(many[name][1:]), 1e3 * statistics.median(single[name][1:])
        print(f"{name:28}{speed:>10.0f}{delay:>14.2f}")
        loaded[name].close()
    for name, reasons in choice.rejected.items():
        print(f"{name:28}  not admissible: {'; '.join(reasons)}")
    return 0


def _prove(given: argparse.Namespace) -> int:
    """Prove and time every execution here; a line each, then where the record is."""
    from artificer import host
    from artificer.loading.location import Address, index_for, locate
    from artificer.loading.options import LoadOptions
    from artificer.loading.own_proof import prove_here
    from artificer.manifest import canonical_json
    from artificer.signing.signed_by import wanted_signer
    from artificer.storage.atomic_write import write_whole
    from artificer.storage.cache_folder import cache_folder

    signer = wanted_signer(given.require_signature)
    options = LoadOptions(cache=cache_folder(), threads=given.threads, signed_by=signer, offline=given.offline or None)
    options.check()
    address = Address(given.source, given.revision, None, options.offline, signer)
    if (named := index_for(given.source, None)) is not None:
        from artificer.hub.model_index import ModelIndex

        models = ModelIndex(named, offline=options.offline, cache=options.cache, require_signature=signer)
        address = models.locate(given.source).address
    location = locate(address, options.cache)
    here = host.detect()
    threads = given.threads or host.thread_count()[0]
    print(f"{location.manifest.slug} on {here.name}, {threads} threads; speeds are ratios to plain float32", flush=True)
    record, kept = prove_here(location, options, here, threads, lambda line: print(line, flush=True), quick=given.quick)
    if given.out is not None:
        try:
            write_whole(Path(given.out), canonical_json(record))
        except OSError as error:
            raise InputError(f"{given.out} cannot be written: {error.strerror}.") from None
    where = f"kept in {kept}" if kept is not None else "not kept: the cache cannot be written"
    print(f"{record.passed()} of {len(record.executions)} passed in {record.seconds:.0f} s; {where}")
    return 0


def _bom(given: argparse.Namespace) -> int:
    """Write the bill of materials to standard output, or to a file."""
    from artificer.exporting.bill_of_materials import bill_of_materials
    from artificer.loading.location import read_manifest
    from artificer.storage.atomic_write import write_whole

    manifest, sha256 = read_manifest(Path(given.source))
    data = bill_of_materials(manifest, sha256)
    if given.out is None:
        sys.stdout.write(data.decode())
        return 0
    try:
        write_whole(Path(given.out), data)
    except OSError as error:
        raise InputError(f"{given.out} cannot be written: {error.strerror}.") from None
    return 0


def _export_package(given: argparse.Namespace) -> int:
    """Write an onnxruntime model package; name what is in it, and what is not."""
    from artificer.exporting.model_package import export_package

    done = export_package(Path(given.source), Path(given.out), given.variant)
    print(f"{done.folder}: {', '.join(done.variants)}; onnxruntime opens {done.opened} here")
    for name, reason in done.left_out.items():
        print(f"left out: {name}: {reason}")
    return 0


def _seconds(action: Any) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def _load(given: argparse.Namespace) -> Any:
    from artificer.loading.loader import load

    return load(
        given.source,
        revision=given.revision,
        variant=given.variant,
        objective=given.objective,
        accuracy=given.accuracy,
        device=given.device,
        threads=given.threads,
        offline=given.offline or None,
        require_signature=given.require_signature,
        warm=False,  # a command ends after one call
    )


def command_line() -> argparse.ArgumentParser:
    """The commands and their options."""
    from artificer import __version__
    from artificer.signing.signed_by import SIGNER_FORMS

    parser = argparse.ArgumentParser(prog="artificer", description="Load and inspect published cross-encoders.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    source = argparse.ArgumentParser(add_help=False)
    source.add_argument("source", help="a published folder, or a Hub repo id")
    source.add_argument(
        "--accuracy",
        choices=["near", "exact", "any"],
        default="near",
        help="near (default): float32, half precisions, and int8 of proven quality; exact: float32 only; any:"
        " everything that passed",
    )
    source.add_argument("--device", choices=["cpu", "cuda"], help="default: cuda where it is proven and the fastest")
    source.add_argument("--threads", type=int, help="compute threads (default: what the container allows)")
    choose = argparse.ArgumentParser(add_help=False)
    choose.add_argument("--variant", help="use this variant, or execution, such as 'openvino in bf16'")
    choose.add_argument(
        "--objective",
        choices=["latency", "throughput", "size"],
        default="throughput",
        help="what the variant is chosen for (default: throughput)",
    )
    choose.add_argument("--revision", help="branch, tag or commit of a Hub repo")
    choose.add_argument("--offline", action="store_true", help="open no connection")
    choose.add_argument(
        "--require-signature", metavar="SIGNER", help="load only what SIGNER signed; see verify --signature"
    )
    choose.add_argument("--json", action="store_true", help="print JSON")

    explain = commands.add_parser("explain", parents=[source, choose], help="which variant would run, and why")
    explain.set_defaults(run=_explain)
    verify = commands.add_parser("verify", help="hash every file of a published folder")
    verify.add_argument("source", help="a published folder")
    verify.add_argument("--signature", metavar="SIGNER", help=f"who must have signed it: {SIGNER_FORMS}")
    verify.set_defaults(run=_verify)
    rank = commands.add_parser("rank", parents=[source, choose], help="rank documents, or the lines of standard input")
    rank.add_argument("query", help="the text that documents are ranked for")
    rank.add_argument("documents", nargs="*", help="the documents (default: the lines of standard input)")
    rank.add_argument("--top-k", type=int, help="print only this many documents (default: all)")
    rank.set_defaults(run=_rank)
    bench = commands.add_parser("bench", parents=[source], help="time every admissible execution on this machine")
    bench.add_argument("--pairs", type=int, default=128, help="pairs in each timed call (default: 128)")
    bench.add_argument("--rounds", type=int, default=3, help="rounds that are timed (default: 3)")
    bench.set_defaults(run=_bench)
    prove = commands.add_parser(
        "prove", help="prove and time every execution of a package on this machine; later loads use the record"
    )
    prove.add_argument("source", help="a published folder, a Hub repo id, or a name in the index of ARTIFICER_INDEX")
    prove.add_argument("--out", metavar="FILE", help="also write the record to FILE, for `python -m stages record add`")
    prove.add_argument(
        "--quick", action="store_true", help="use fewer texts, and skip float32 executions except the plain one"
    )
    prove.add_argument("--threads", type=int, help="compute threads (default: what the container allows)")
    prove.add_argument("--revision", help="branch, tag or commit of a Hub repo")
    prove.add_argument("--offline", action="store_true", help="open no connection")
    prove.add_argument(
        "--require-signature", metavar="SIGNER", help="prove only what SIGNER signed; see verify --signature"
    )
    prove.set_defaults(run=_prove)
    bom = commands.add_parser("bom", help="a bill of materials of a published folder (CycloneDX ML-BOM, JSON)")
    bom.add_argument("source", help="a published folder")
    bom.add_argument("--out", help="a file (default: standard output)")
    bom.set_defaults(run=_bom)
    package = commands.add_parser("export-package", help="the ONNX variants as an onnxruntime model package")
    package.add_argument("source", help="a published folder")
    package.add_argument("out", help="the folder to write; it must be empty, or not exist yet")
    package.add_argument(
        "--variant",
        action="append",
        default=[],
        help="write only this variant; repeat the option in order of preference (default: all)",
    )
    package.set_defaults(run=_export_package)
    return parser


if __name__ == "__main__":
    sys.exit(main())
