"""`python -m stages <command> …`: one command a stage, and the registry's own. BuildError is caught here alone."""

import argparse
import sys
from importlib import import_module

from artificer.errors import ArtificerError
from stages.core import environment
from stages.core.errors import BuildError
from stages.running import orphans, preflight, resources

# Stages of one model: `python -m stages <stage> <slug>`.
MODEL_STAGES = (
    "fetch",
    "data",
    "reference",
    "export_onnx",
    "optimize",
    "quantize_onnx",
    "export_openvino",
    "quantize_openvino",
    "parity",
    "evaluate",
    "benchmark",
    "pack",
    "publish",
)
PIPELINE_STAGES = ("host", "report")
# What is measured and recorded; `publish` moves files, and may be asked only what it would do.
MEASURED_STAGES = MODEL_STAGES[:-1]
# Module and function of the commands that are no stage.
REGISTRY_COMMANDS = {
    "add": ("registry.commands", "add"),
    "pin": ("registry.commands", "pin"),
    "pin-data": ("registry.commands", "pin_data"),
    "list": ("registry.commands", "list_models"),
    "check": ("registry.commands", "check"),
    "schema": ("registry.commands", "schema"),
    "promote": ("publishing.channels", "promote"),
    "rollback": ("publishing.channels", "rollback"),
    "update": ("registry.update", "run"),
}
ONLINE = ("fetch", "data", "add", "pin", "pin-data", "publish", "promote", "rollback", "update")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="python -m stages", description="Build, prove and publish fast cross-encoders.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in MODEL_STAGES:
        stage = commands.add_parser(name, help=f"stage of one model, run by `dvc repro {name}@SLUG`")
        stage.add_argument("slug")
        if name == "publish":
            stage.add_argument("--dry-run", action="store_true", help="say what would be sent, and send nothing")
            stage.add_argument(
                "--overwrite", action="store_true", help="replace files that others put there or changed"
            )
    for name in PIPELINE_STAGES:
        commands.add_parser(name, help=f"stage of the pipeline, run by `dvc repro {name}`")
    add = commands.add_parser("add", help="inspect a checkpoint, pin it, and append it to registry/models.yaml")
    add.add_argument("source", help="a repo of the Hub, a local folder, or a name of registry/catalog.yaml")
    add.add_argument("--slug", help="the model's name in the registry (default: from the source's name)")
    add.add_argument("--revision", default="main", help="commit, branch or tag of a repo (default: main)")
    add.add_argument("--activation", choices=("identity", "sigmoid", "softmax"), help="where the source is not clear")
    add.add_argument("--license", help="SPDX id, where the source does not say")
    pin = commands.add_parser("pin", help="lock the files of a registry entry as they are now")
    pin.add_argument("slug", nargs="+")
    pin_data = commands.add_parser("pin-data", help="lock the commit of a Hub data set of params.yaml")
    pin_data.add_argument("name", nargs="+")
    for name, text in (
        ("promote", "move the index's stable channel to what candidate holds, after checking it"),
        ("rollback", "move the index's stable channel back to what it held before"),
    ):
        commands.add_parser(name, help=text).add_argument("slug")
    update = commands.add_parser("update", help="find Hub sources whose tracked branch or tag moved, and re-pin them")
    update.add_argument("slug", nargs="*", help="default: every model")
    update.add_argument("--check", action="store_true", help="only say what moved; exit code 10 if anything did")
    commands.add_parser("list", help="a table of the registry and what is built of it")
    commands.add_parser("check", help="check registry, locks and params.yaml, and say everything that is wrong")
    commands.add_parser("schema", help="write the JSON Schemas of the registry and the manifest")
    return top


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    arguments = vars(parser().parse_args(argv))
    command = arguments.pop("command")
    environment.prepare(online=command in ONLINE)
    orphans.end_with_dvc()
    try:
        if command in MEASURED_STAGES:
            preflight.check(arguments["slug"], command)
            with resources.recorded(arguments["slug"], command):
                import_module(f"stages.{command}").run(**arguments)
        elif command in MODEL_STAGES or command in PIPELINE_STAGES:
            import_module(f"stages.{command}").run(**arguments)
        else:
            module, function = REGISTRY_COMMANDS[command]
            getattr(import_module(f"stages.{module}"), function)(**arguments)
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"error: {error.filename or command}: {error.strerror or error}.", file=sys.stderr)
        return BuildError.exit_code
    except ArtificerError as error:
        print(f"error: {error}", file=sys.stderr)
        return BuildError.exit_code
    return 0
