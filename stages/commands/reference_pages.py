"""The reference pages of the documents, from the types and the parsers: `python -m stages schema` writes them."""

import argparse
from collections.abc import Iterator
from pathlib import Path

from msgspec import inspect

from stages.commands.type_names import default, structs_of, type_name
from stages.core import paths
from stages.core.params import BuildParams
from stages.registry.model_list import ModelsFile

MEANINGS = {"slug": "a model of the registry"}  # of arguments that several commands share
MADE = "<!-- `python -m stages schema` writes this page. -->\n"


def reference_pages() -> dict[Path, str]:
    """Each page by its path."""
    return {
        paths.REFERENCE / "params.md": _params(),
        paths.REFERENCE / "models.md": _models(),
        paths.REFERENCE / "commands.md": _commands(),
    }


def _params() -> str:
    comments = _comments(paths.PARAMS.read_text(encoding="utf-8"))
    head = (
        f"# params.yaml\n\n{MADE}\nHow every model is built, proven and measured. An entry of "
        "[registry/models.yaml](models.md) narrows or overrides it for one model. An unknown key is an error, and "
        "`python -m stages check` lists every mistake at once.\n"
    )
    return head + "".join(_sections(inspect.type_info(BuildParams), "", comments, named={}))


def _models() -> str:
    head = (
        f"# registry/models.yaml\n\n{MADE}\nOne entry for each model, by its slug. `python -m stages add` writes one; "
        "editors check it against `registry/models.schema.json`.\n"
    )
    return head + "".join(_sections(inspect.type_info(ModelsFile), "", {}, named={}))


def _sections(found: inspect.Type, path: str, comments: dict[str, str], named: dict[str, str]) -> Iterator[str]:
    """A table for a struct, then one for each struct that its keys lead to; a struct that was listed is referred to."""
    for struct in structs_of(found):
        title = path or "top"
        if struct.cls.__name__ in named:
            continue
        named[struct.cls.__name__] = title
        rows = []
        for field in struct.fields:
            key = f"{path}.{field.encode_name}" if path else field.encode_name
            rows.append([f"`{field.encode_name}`", type_name(field.type), default(field), comments.get(key, "")])
        heading = f"\n## `{path}`\n" if path else "\n## The file\n"
        text = " ".join((struct.cls.__doc__ or "").split())
        yield f"{heading}\n{text}\n\n{_table(['key', 'value', 'if omitted', 'note'], rows)}"
        for field in struct.fields:
            step = field.encode_name + (".<name>" if isinstance(field.type, inspect.DictType) else "")
            yield from _sections(field.type, f"{path}.{step}" if path else step, comments, named)


def _table(head: list[str], rows: list[list[str]]) -> str:
    """A table without the columns that no row fills."""
    kept = [i for i in range(len(head)) if any(row[i] for row in rows)]
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(line[i].replace("|", "\\|") for i in kept) + " |\n" for line in lines)


def _comments(text: str) -> dict[str, str]:
    """The comments at the ends of lines, by key path."""
    found: dict[str, str] = {}
    stack: list[tuple[int, str]] = []
    for line in text.splitlines():
        code, _, comment = line.partition(" # ")
        key, colon, _ = code.strip().partition(":")
        if not colon or line.lstrip().startswith("#"):
            continue
        depth = len(line) - len(line.lstrip())
        stack = [each for each in stack if each[0] < depth] + [(depth, key)]
        if comment:
            found[".".join(name for _, name in stack)] = comment.strip()
    return found


def _commands() -> str:
    # The command lines import this room.
    from artificer.cli import command_line as runtime
    from stages.cli import parser as builder

    parts = [f"# Command lines\n\n{MADE}\nEach prints its options with `--help`.\n"]
    for program, parser in (("python -m stages", builder()), ("artificer", runtime())):
        parts.append(f"\n## `{program}`\n\n{parser.description}\n")
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                helps = {each.dest: each.help or "" for each in action._choices_actions}
                for name, sub in action.choices.items():
                    parts.append(_command(f"{program} {name}", helps.get(name, sub.description or ""), sub))
    return "".join(parts)


def _command(name: str, summary: str, parser: argparse.ArgumentParser) -> str:
    rows = []
    for action in parser._actions:
        if isinstance(action, argparse._HelpAction):
            continue
        shown = ", ".join(f"`{each}`" for each in action.option_strings) or f"`{action.metavar or action.dest}`"
        if action.choices:
            shown += ": " + ", ".join(f"`{each}`" for each in action.choices)
        text = " ".join((action.help or MEANINGS.get(action.dest, "")).replace("%%", "%").split())
        rows.append([shown, text])
    table = "\n" + _table(["argument", "meaning"], rows) if rows else ""
    return f"\n### `{name}`\n\n{summary[:1].upper()}{summary[1:]}.\n{table}"
