"""Refuses to import the toolchain. Python runs this file at start where its folder is on PYTHONPATH.

`pytest --no-toolchain` puts it there, so that it holds in the processes that tests start as well.
"""

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

TOOLCHAIN = ("torch", "transformers", "optimum", "nncf", "sentence_transformers", "dvc")


class ToolchainImportedError(BaseException):
    """A test outside of the toolchain's tests imports it. Not an Exception: libraries catch those around imports."""


class _Refusing(Loader):
    def exec_module(self, module: ModuleType) -> None:
        """Refuse."""
        raise ToolchainImportedError(
            f"this test imports {module.__name__}, and `make test-fast` runs without the toolchain: "
            "mark the test with @pytest.mark.toolchain, or name its fixture in TOOLCHAIN_FIXTURES of tests/conftest.py"
        )


class ToolchainGuard(MetaPathFinder):
    """Finds the toolchain's packages, so that asking whether they are installed works, and refuses to load them."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Replace the loader of a package of the toolchain."""
        if fullname not in TOOLCHAIN:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None:
            spec.loader = _Refusing()
        return spec


sys.meta_path.insert(0, ToolchainGuard())
