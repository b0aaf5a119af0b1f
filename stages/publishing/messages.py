"""What people read about a publish: commit messages, the text of a pull request, and the plan of a dry run."""

from artificer.manifest import Manifest
from stages.hub.repo_state import State
from stages.packaging.peer_snippet import peer_snippet
from stages.packaging.summary import lines, markdown_table
from stages.publishing.package import Package
from stages.publishing.plan import Plan
from stages.records.benchmarks import beside_torch
from stages.registry.model_list import PublishEntry


def title(package: Package) -> str:
    """The title of a commit or pull request; the same for every publish of a model, so that ours is found again."""
    return f"Artificer: variants of {package.slug}"


def commit_text(package: Package) -> str:
    """The body of the commit message: which build this is."""
    source = package.manifest.source
    passed = sum(variant.status == "passed" for variant in package.manifest.variants)
    return f"{passed} variants of {source.location} at {source.revision}.\nManifest sha256: {package.manifest_sha256}"


def pull_request_text(package: Package, entry: PublishEntry, repo: str, number: int, names: dict[str, str]) -> str:
    """What a maintainer wants to know: what it is, how it was proven, how fast it is, and how to try it."""
    manifest = package.manifest
    source = manifest.source
    parts = [
        f"Fast variants of `{source.location}` (revision `{source.revision}`), built and proven by Artificer: each was "
        f"compared with torch float32 on {manifest.evaluation.rows} labelled pairs by their scores "
        f"({manifest.head.result}).",
        tables(manifest),
        "### Try it from this pull request",
        try_it(manifest, entry, repo, number, names),
        f"Manifest sha256: `{package.manifest_sha256}`. No other file of this repo is changed.",
    ]
    return "\n\n".join(parts)


def tables(manifest: Manifest) -> str:
    """Parity and benchmark of every variant: one table per host."""
    found = []
    for benchmark in beside_torch(manifest.benchmarks) or (None,):
        if benchmark is not None:
            host = benchmark.host
            found.append(f"On {host.cpu_model} ({host.isa_class}), {benchmark.threads} threads:")
        found.append(markdown_table(lines(manifest, benchmark)))
    return "\n\n".join(found)


def try_it(manifest: Manifest, entry: PublishEntry, repo: str, number: int, names: dict[str, str]) -> str:
    """A snippet that loads a variant from the pull request's own revision."""
    revision = f"refs/pr/{number}"
    peer = peer_snippet(manifest, repo, revision=revision, names=names)
    if entry.contents == "variants":
        if "modules.json" in manifest.rewritten:
            return (
                "The graphs hold all modules of the model. sentence-transformers takes a graph for the encoder alone "
                "where `modules.json` names more modules, as in this repo, so it cannot load them from here."
            )
        return peer
    own = (
        "import artificer\n\n"
        f'model = artificer.load("{repo}", revision="{revision}")\n'
        'model.rank("how do plants eat?", ["By photosynthesis.", "At noon."])'
    )
    return f"```python\n{own}\n```\n\n{peer}"


def describe_plan(
    repo: str, state: State, plan: Plan, entry: PublishEntry, number: int | None, *, creates: bool, opens: bool
) -> str:
    """The dry run: what would be uploaded, deleted and committed, with sizes."""
    where = f"pull request {number}" if number else "a new pull request" if opens else entry.branch
    if creates:
        head = f"{repo}: would create it ({'private' if entry.private else 'public'}), and commit to {where}"
    elif plan.empty:
        return f"{repo} ({where}) holds all {plan.unchanged} files already, at {state.commit}: no commit"
    else:
        head = f"{repo}: one commit to {where}, on {state.commit}"
    rows = [
        f"  {'~' if item.path in plan.replaced else '+'} {item.path}  {item.size:,} bytes  sha256 {item.sha256[:12]}…"
        for item in plan.uploads
    ]
    rows += [f"  - {path}  {state.files[path].size:,} bytes" for path in plan.deletes]
    total = (
        f"upload {len(plan.uploads)} files ({plan.bytes:,} bytes; + new, ~ replaced), delete {len(plan.deletes)}, "
        f"leave {plan.unchanged} unchanged. Nothing was sent."
    )
    return "\n".join([head, *rows, total])
