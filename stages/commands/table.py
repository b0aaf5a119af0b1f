"""The registry's own commands: name, summary, what runs it, and its arguments."""

from dataclasses import dataclass
from typing import Any

Argument = tuple[str, dict[str, Any]]  # a name and the options of argparse's add_argument

SLUG: Argument = ("slug", {})
DATA: tuple[Argument, ...] = (
    ("--evaluation", {"metavar": "FILE", "help": "pairs that the model is judged on, with or without labels"}),
    ("--calibration", {"metavar": "FILE", "help": "pairs of texts that static int8 is calibrated on"}),
    ("--columns", {"help": "the columns of these files, such as query=q,passage=p,label=y (default: guessed)"}),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command. `function` is `module:function`, called with the arguments by name. `online`: it may ask the Hub."""

    name: str
    summary: str
    function: str
    online: bool = False
    arguments: tuple[Argument, ...] = ()


COMMANDS: tuple[Command, ...] = (
    Command(
        name="add",
        summary="inspect a checkpoint, pin it, and append it to registry/models.yaml",
        function="stages.commands.add:add",
        online=True,
        arguments=(
            ("source", {"help": "a repository of the Hub, a local folder, or a name in registry/catalog.yaml"}),
            ("--slug", {"help": "the model's name in the registry (default: from the source's name)"}),
            ("--revision", {"default": "main", "help": "commit, branch or tag of a repository (default: main)"}),
            (
                "--activation",
                {"choices": ("identity", "sigmoid", "softmax"), "help": "needed where the source does not say"},
            ),
            ("--license", {"help": "SPDX id, `proprietary` or LicenseRef-<name>, where the source does not say"}),
            ("--variants", {"help": "the variants to build, separated by commas (default: all that are not optional)"}),
            ("--dry-run", {"action": "store_true", "help": "print what was found, and write nothing"}),
            *DATA,
        ),
    ),
    Command(
        name="remove",
        summary="undo `add`: the entry, its lock, its own data sets, and what was built; not what was published",
        function="stages.commands.remove:remove",
        arguments=(SLUG, ("--dry-run", {"action": "store_true", "help": "print what would be removed"})),
    ),
    Command(
        name="pin",
        summary="lock the files of registry entries as they are now",
        function="stages.commands.pin:pin",
        online=True,
        arguments=(("slug", {"nargs": "+"}),),
    ),
    Command(
        name="pin-data",
        summary="lock data sets of params.yaml as they are now: a commit of the Hub, or a file's hash",
        function="stages.commands.pin:pin_data",
        online=True,
        arguments=(("name", {"nargs": "+"}),),
    ),
    Command(
        name="use-data",
        summary="judge and calibrate a model of the registry on your own files",
        function="stages.commands.use_data:use_data",
        arguments=(SLUG, *DATA),
    ),
    Command(
        name="make-calibration",
        summary="draw a calibration set from the texts in a service's log",
        function="stages.commands.make_calibration:make_calibration",
        arguments=(
            ("log", {"help": "a file of lines, or - for stdin"}),
            ("--out", {"required": True, "metavar": "FILE", "help": "such as registry/data/tickets.jsonl"}),
            ("--query-field", {"metavar": "PATH", "help": "the query in a line of JSON, such as request.query"}),
            ("--documents-field", {"metavar": "PATH", "help": "its document, or a list of them"}),
            ("--rows", {"type": int, "default": 300, "help": "pairs to draw (default: 300)"}),
            ("--seed", {"type": int, "default": 0, "help": "another number draws other pairs (default: 0)"}),
        ),
    ),
    Command(
        name="update",
        summary="find Hub sources whose tracked branch or tag moved, and pin them again",
        function="stages.commands.update:update",
        online=True,
        arguments=(
            ("slug", {"nargs": "*", "help": "default: every model"}),
            ("--check", {"action": "store_true", "help": "only print what moved; exit code 10 if anything did"}),
        ),
    ),
    Command(
        name="list",
        summary="list the models, what is built and published, and on which data",
        function="stages.commands.listing:list_models",
    ),
    Command(
        name="check",
        summary="check registry, locks and params.yaml, and report every problem",
        function="stages.commands.checking:check",
    ),
    Command(
        name="build",
        summary="build what is not up to date, each model in a workspace of its own; for large registries",
        function="stages.commands.build:build",
        online=True,
        arguments=(
            ("slug", {"nargs": "*", "help": "default: every model"}),
            (
                "--push",
                {"action": "store_true", "help": "restore stages from the DVC remote, and push each built stage to it"},
            ),
            ("--publish", {"action": "store_true", "help": "publish as well"}),
        ),
    ),
    Command(
        name="build-model",
        summary="build one model in a workspace: what a Job of a cluster or a row of a CI matrix runs",
        function="stages.commands.build_model:build_model",
        online=True,
        arguments=(
            SLUG,
            (
                "--workspace",
                {"required": True, "metavar": "DIR", "dest": "workspace_folder", "help": "the folder of the workspace"},
            ),
            ("--target", {"default": "pack", "help": "the last stage (default: pack)"}),
            ("--single", {"action": "store_true", "help": "run only that stage, on the inputs that dvc.lock names"}),
            ("--prove", {"action": "store_true", "help": "build nothing: prove here what dvc.lock says was packed"}),
            ("--out", {"metavar": "FILE", "help": "the result, for `collect` (default: DIR/result.json)"}),
        ),
    ),
    Command(
        name="collect",
        summary="merge results of `build-model` into registry/, reports/ and dvc.lock",
        function="stages.commands.build_model:collect",
        arguments=(("file", {"nargs": "+"}),),
    ),
    Command(
        name="fleet",
        summary="build what is not up to date on the machines of a Ray cluster",
        function="stages.commands.build:fleet",
        online=True,
        arguments=(
            ("slug", {"nargs": "*", "help": "default: every model"}),
            (
                "--ray",
                {"metavar": "ADDRESS", "help": "the address of a cluster, or `auto` (default: only this machine)"},
            ),
            ("--share", {"type": int, "default": 1, "help": "models that a machine builds at a time (default: 1)"}),
            ("--host-class", {"metavar": "NAME", "help": "build only on machines that offer this Ray resource"}),
            (
                "--classes",
                {
                    "metavar": "NAMES",
                    "help": "prove what is packed on machines that offer these Ray resources (commas between), add the "
                    "records, and pack again",
                },
            ),
            ("--resume", {"action": "store_true", "help": "use the results of an aborted run"}),
            ("--publish", {"action": "store_true", "help": "publish what was built, from this machine"}),
        ),
    ),
    Command(
        name="record",
        summary="check and judge records that `artificer prove` wrote on other machines, and add them for `pack`",
        function="stages.commands.record:record",
        arguments=(
            ("action", {"choices": ("add",), "help": "`add` is the only action"}),
            ("file", {"nargs": "+", "help": "a file that `artificer prove --out FILE` wrote"}),
        ),
    ),
    Command(
        name="push",
        summary="push what was built to the DVC remote, and the run-cache entries that it lacks",
        function="stages.commands.push:push",
    ),
    Command(
        name="ui",
        summary="serve a page on this machine to try, add, build and publish models",
        function="stages.ui.serve:serve",
        online=True,
        arguments=(
            ("--host", {"default": "127.0.0.1", "help": "address to listen on (default: only this machine)"}),
            ("--port", {"type": int, "default": 8765, "help": "0 chooses a free port (default: 8765)"}),
        ),
    ),
    Command(
        name="schema",
        summary="write the JSON Schemas, and the parts of docs/ that are generated",
        function="stages.commands.schemas:schema",
    ),
    Command(
        name="promote",
        summary="move the index's stable channel to the candidate, after checking its files",
        function="stages.publishing.channels:promote",
        online=True,
        arguments=(SLUG,),
    ),
    Command(
        name="rollback",
        summary="move the index's stable channel back to its previous release",
        function="stages.publishing.channels:rollback",
        online=True,
        arguments=(SLUG,),
    ),
)
