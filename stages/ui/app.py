"""The pages and what they ask for. Everything that is done is a command, which the page shows."""

import asyncio
import json
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import FastAPI
from fastapi.responses import HTMLResponse, JSONResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, Field
from starlette.requests import Request

from artificer.errors import ArtificerError
from stages.commands.add import slug_of
from stages.core import paths
from stages.core.errors import BuildError, UsageError
from stages.core.params import load_params
from stages.core.variants import VARIANTS
from stages.registry import model_list
from stages.site.pages import ASSETS, environment
from stages.ui import trying
from stages.ui.guard import POLICY, guard
from stages.ui.jobs import Jobs, shown

HERE = Path(__file__).parent
SECONDS_BETWEEN_EVENTS = 0.3
Short = Annotated[str, Field(max_length=500)]
Text = Annotated[str, Field(max_length=20_000)]


class Wanted(BaseModel):
    """A model to add. Empty texts are left out of the command."""

    source: Annotated[str, Field(min_length=1, max_length=500)]
    slug: Short = ""
    license: Short = ""
    variants: list[Short] = []


class Asked(BaseModel):
    """Documents to score with two executions of a published model."""

    model: Short
    a: Short
    b: Short
    query: Text
    documents: Annotated[list[Text], Field(min_length=1, max_length=200)]


class Publishing(BaseModel):
    """What to do with a model that was built."""

    slug: Short
    action: Literal["dry-run", "publish", "promote", "rollback"]


def make_app(names: frozenset[str]) -> FastAPI:
    """The app, for a server that is asked for by one of these names."""
    token, jobs = secrets.token_urlsafe(32), Jobs()
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.middleware("http")(guard(names, token))
    app.mount("/assets", StaticFiles(directory=ASSETS))
    app.mount("/ui", StaticFiles(directory=HERE / "assets"))
    templates = environment(HERE / "templates")

    def page(name: str, **values: Any) -> HTMLResponse:
        found = templates.get_template(f"{name}.html")
        return HTMLResponse(found.render(root="", page=name, policy=POLICY, token=token, **values))

    @app.exception_handler(BuildError)
    @app.exception_handler(ArtificerError)
    def refused(_: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": str(error)}, 400)

    @app.get("/")
    def try_page() -> HTMLResponse:
        return page("try", models=list(trying.published(_folder())))

    @app.get("/add")
    def add_page() -> HTMLResponse:
        return page("add", variants=VARIANTS)

    @app.get("/publish")
    def publish_page() -> HTMLResponse:
        target = load_params().publish
        packed = {slug: model_list.load_entry(slug).publish for slug in _packed()}
        proposed = {slug for slug, entry in packed.items() if target.target == "hub" and entry.pull_request}
        return page("publish", slugs=list(packed), proposed=proposed, target=target)

    @app.get("/api/executions")
    def executions(model: str) -> list[str]:
        return trying.executions(_model(model))

    @app.post("/api/try")
    def try_it(asked: Asked) -> dict[str, Any]:
        folder, names = _model(asked.model), (asked.a, asked.b)
        ranking = [
            ["artificer", "rank", "--accuracy=any", f"--variant={name}", "--", str(folder), asked.query]
            for name in names
        ]
        commands = [f"{shown(command)} < documents.txt" for command in ranking]
        return trying.compare(folder, names, asked.query, asked.documents) | {"commands": commands}

    @app.post("/api/inspect")
    def inspect(wanted: Wanted) -> dict[str, Any]:
        flags = [f"--slug={wanted.slug}"] if wanted.slug else []
        command = _add(wanted, *flags, "--dry-run")
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=600, check=False)
        return {
            "command": shown(command),
            "found": done.stdout.strip(),
            "error": done.stderr.strip().removeprefix("error: ") if done.returncode else "",
        }

    @app.post("/api/build")
    def build(wanted: Wanted) -> dict[str, Any]:
        slug = wanted.slug or slug_of(wanted.source)
        commands = [
            _add(wanted, f"--slug={slug}"),
            [sys.executable, "-m", "stages", "host"],
            [sys.executable, "-m", "dvc", "repro", f"publish@{slug}"],
        ]
        folder = Path(load_params().publish.folder, load_params().publish.namespace, slug)
        return jobs.start(f"Building {slug}", commands, folder.as_posix()).told(0)

    @app.post("/api/publish")
    def publish(wanted: Publishing) -> dict[str, Any]:
        if wanted.slug not in model_list.slugs():
            raise UsageError(f"{paths.REGISTRY}: there is no model {wanted.slug!r}.")
        name = "publish" if wanted.action == "dry-run" else wanted.action
        command = [sys.executable, "-m", "stages", name, wanted.slug, *["--dry-run"] * (wanted.action == "dry-run")]
        return jobs.start(f"{wanted.action} of {wanted.slug}", [command]).told(0)

    @app.post("/api/cancel")
    def cancel() -> dict[str, Any]:
        jobs.cancel()
        return {}

    @app.get("/api/job")
    async def job() -> StreamingResponse:
        return StreamingResponse(_events(jobs), media_type="text/event-stream")

    return app


async def _events(jobs: Jobs) -> AsyncIterator[str]:
    """The job from its start, then what is new, until it ended; a page that was reloaded gets it all again."""
    since, last = 0, None
    while True:
        job = jobs.job
        if job is None:
            yield "data: null\n\n"
            return
        told = job.told(since)
        since = told["next"]
        if told != last:
            yield f"data: {json.dumps(told)}\n\n"
        last = {**told, "lines": []}
        if told["state"] != "running":
            yield "event: end\ndata: null\n\n"
            return
        await asyncio.sleep(SECONDS_BETWEEN_EVENTS)


def _add(wanted: Wanted, *flags: str) -> list[str]:
    """The command that adds the model. What a person typed is never an option."""
    options = {"--license": wanted.license, "--variants": ",".join(wanted.variants)}
    given = [f"{name}={value}" for name, value in options.items() if value]
    return [sys.executable, "-m", "stages", "add", *given, *flags, "--", wanted.source]


def _packed() -> list[str]:
    return [slug for slug in model_list.slugs() if paths.package(slug).is_dir()]


def _folder() -> Path:
    return Path(load_params().publish.folder)


def _model(name: str) -> Path:
    """The folder of a published model: one of those that are listed, so that no path leads elsewhere."""
    found = trying.published(_folder()).get(name)
    if found is None:
        raise UsageError(f"{_folder()} has no published model {name!r}.")
    return found
