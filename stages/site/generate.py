"""The whole site: the same manifests give the same bytes."""

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from artificer.manifest import Manifest
from stages.core.params import PublishParams
from stages.site.pages import ASSETS, render, script
from stages.site.scatter import scatter
from stages.site.signature import signature_view
from stages.site.snippets import snippets
from stages.site.tables import ModelRows, about, comparison_side, leaderboard, model_rows
from stages.site.view import HostView, ModelView
from stages.site.view_of_manifest import model_view


def generate(manifests: Iterable[Manifest], folder: Path, publish: PublishParams) -> None:
    """Write the site into `folder`, which exists and is empty. One model is held at a time. `publish` says where models
    go, and who signs them."""
    for name in ("models", "data/models"):
        (folder / name).mkdir(parents=True)
    shutil.copytree(ASSETS, folder / "assets", copy_function=shutil.copyfile)
    # GitHub Pages runs Jekyll otherwise, which leaves files out.
    (folder / ".nojekyll").write_bytes(b"")
    rows = [_write_model(model_view(manifest), folder, publish) for manifest in manifests]
    (folder / "data" / "leaderboard.js").write_bytes(script("Artificer.leaderboard", leaderboard(rows)))
    counts = {
        "models": [row.slug for row in rows],
        "variants": sum(row.total for row in rows),
        "executions": sum(len(row.rows) for row in rows),
    }
    (folder / "index.html").write_bytes(render("leaderboard.html", {"root": "", "page": "leaderboard", **counts}))
    (folder / "compare.html").write_bytes(render("compare.html", {"root": "", "page": "compare", **counts}))


def _write_model(model: ModelView, folder: Path, publish: PublishParams) -> ModelRows:
    values = {
        "root": "../",
        "page": "model",
        "model": model,
        "places": [_place(model, host) for host in model.hosts] or [_place(model, None)],
        "snippets": snippets(model),
        "signature": signature_view(publish, model.name),
    }
    (folder / "models" / f"{model.slug}.html").write_bytes(render("model.html", values))
    (folder / "data" / "models" / f"{model.slug}.js").write_bytes(script("Artificer.model", comparison_side(model)))
    return model_rows(model)


def _place(model: ModelView, host: HostView | None) -> dict[str, Any]:
    """What the page shows of one host; of a model without figures of speed, what holds anywhere."""
    name = host.name if host else ""
    return {
        "name": name,
        "about": about(host) if host else "",
        "host": host,
        "fastest": model.fastest(name),
        "risky": model.risky_defaults(name),
        "plot": scatter(model, name) if host else None,
    }
