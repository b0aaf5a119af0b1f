"""What a module imports, directly and through others, of the two packages."""

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from tests.stages.project import REPOSITORY

ROOTS = {"stages": REPOSITORY, "artificer": REPOSITORY / "src"}
PACKAGES = [ROOTS[name] / name for name in ROOTS]


def path_of(module: str) -> Path | None:
    """The file of a module, or a package's `__init__.py`; None for any other name."""
    first, *_ = parts = module.split(".")
    if first not in ROOTS:
        return None
    path = ROOTS[first].joinpath(*parts)
    found = (path.with_name(f"{path.name}.py"), path / "__init__.py")
    return next((each for each in found if each.is_file()), None)


def reached(path: Path) -> set[Path]:
    """The module itself and everything that it imports, in functions too, through all modules on the way."""
    seen: set[Path] = set()
    pending = [path]
    while pending:
        module = pending.pop()
        if module not in seen:
            seen.add(module)
            pending += imported(module)
    return seen


@cache
def imported(path: Path) -> frozenset[Path]:
    """The modules that a module imports, with the packages above each. A string that names a module counts, since that
    is how one is imported when it is first needed; what is imported for type checkers alone does not."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = list(_names(tree.body if only_forwards(path) else _all_nodes(tree)))
    names += [module for name in names if (module := _forwarded(name))]
    modules = {".".join(name.split(".")[:count]) for name in names for count in range(1, name.count(".") + 2)}
    return frozenset(found for module in modules if (found := path_of(module)))


def _forwarded(name: str) -> str | None:
    """The module that a package's lazy table names for what is imported from it."""
    package, _, wanted = name.rpartition(".")
    path = path_of(package)
    if path is None or not only_forwards(path):
        return None
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Dict) and all(isinstance(each, ast.Constant) for each in (*node.keys, *node.values)):
            table: dict[str, str] = ast.literal_eval(node)
            return table.get(wanted)
    return None


def only_forwards(path: Path) -> bool:
    """Whether a package's `__init__.py` holds nothing but a docstring, imports, and names that it forwards: plain
    constants and a module-level `__getattr__`. It cannot change a result, and its lazy table is not followed."""
    if path.name != "__init__.py":
        return False
    return all(
        isinstance(node, ast.Import | ast.ImportFrom)
        or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        or (isinstance(node, ast.Assign | ast.AnnAssign) and _is_constant(node.value))
        or (isinstance(node, ast.FunctionDef) and node.name in ("__getattr__", "__dir__"))
        or _is_for_type_checkers(node)
        for node in ast.parse(path.read_text(encoding="utf-8")).body
    )


def only_errors(path: Path) -> bool:
    """Whether an `errors.py` holds nothing but exception classes without behaviour, and functions from an error to its
    message. Nothing of it can change a result."""
    if path.name != "errors.py":
        return False
    return all(
        (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        or (isinstance(node, ast.ClassDef) and node.name.endswith("Error") and _has_no_behaviour(node))
        or (isinstance(node, ast.FunctionDef) and ast.unparse(node.returns or ast.Constant(None)) == "str")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
    )


def _has_no_behaviour(node: ast.ClassDef) -> bool:
    return all(isinstance(each, ast.Expr | ast.Assign | ast.AnnAssign | ast.Pass) for each in node.body)


def _is_constant(value: ast.expr | None) -> bool:
    kinds = (ast.Constant, ast.Tuple, ast.List, ast.Dict, ast.Load)
    return value is not None and all(isinstance(node, kinds) for node in ast.walk(value))


def _is_for_type_checkers(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def _all_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Every node below, except what only type checkers see."""
    for child in ast.iter_child_nodes(node):
        if not _is_for_type_checkers(child):
            yield child
            yield from _all_nodes(child)


def _names(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and " " not in node.value:
            yield node.value
