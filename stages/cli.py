"""`python -m stages <command> …`: a command for each stage, and the registry's own. BuildError is caught here alone."""

import argparse
import os
import sys
from importlib import import_module
from typing import Any

from artificer.errors import ArtificerError
from stages.commands.table import COMMANDS
from stages.core import child_process, environment, paths
from stages.core.errors import BuildError
from stages.pipeline import STAGES, Stage
from stages.registry import model_list
from stages.running import dvc_lock_file, orphans, preflight, resources


def parser() -> argparse.ArgumentParser:
    """The command line, from the two tables."""
    top = argparse.ArgumentParser(prog="python -m stages", description="Build, prove and publish fast cross-encoders.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for stage in STAGES:
        place = f"{stage.name}@SLUG" if stage.scope == "model" else stage.name
        added = commands.add_parser(stage.name, help=f"{stage.summary} (`dvc repro {place}`)")
        if stage.scope == "model":
            added.add_argument("slug")
        for flag, text in stage.flags:
            added.add_argument(flag, action="store_true", help=text)
    for command in COMMANDS:
        added = commands.add_parser(command.name, help=command.summary)
        for name, options in command.arguments:
            added.add_argument(name, **options)
    return top


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    arguments = vars(parser().parse_args(argv))
    name = arguments.pop("command")
    stage = next((row for row in STAGES if row.name == name), None)
    command = next((row for row in COMMANDS if row.name == name), None)
    environment.prepare(online=any(row.online for row in (stage, command) if row is not None))
    orphans.end_with_dvc()
    if not os.environ.get(orphans.SET_BY_DVC):
        dvc_lock_file.remove_damaged()
    try:
        if stage is not None:
            _run_stage(stage, arguments)
        elif command is not None:
            module, _, function = command.function.partition(":")
            getattr(import_module(module), function)(**arguments)
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"error: {error.filename or name}: {error.strerror or error}.", file=sys.stderr)
        return BuildError.exit_code
    except ArtificerError as error:
        print(f"error: {error}", file=sys.stderr)
        return BuildError.exit_code
    return 0


def _run_stage(stage: Stage, arguments: dict[str, Any]) -> None:
    """Check what the stage needs, run it, and record what it took, as its row says."""
    if stage.scope == "model" and not paths.spec(arguments["slug"]).exists():
        model_list.load_entry(arguments["slug"])  # raises when there is no such model
    if stage.measured:
        preflight.check(arguments["slug"], stage)
    if stage.toolchains:
        arguments["tools"] = {runtime: toolchain.tools for runtime, toolchain in stage.toolchains.items()}
    if stage.side_by_side:
        arguments["at_once"] = preflight.at_once(arguments["slug"], stage)
    if stage.children and arguments.get("at_once") != 1:
        child_process.import_for_children(stage.children)  # while this process imports the stage
    run = import_module(f"stages.{stage.name}").run
    if not stage.measured:
        run(**arguments)
        return
    with resources.recorded(arguments["slug"], stage.name):
        run(**arguments)
