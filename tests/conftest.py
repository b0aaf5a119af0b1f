"""What all tests share."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# The same examples on every run, so that one commit has one verdict; `--hypothesis-profile=default` draws new ones.
settings.register_profile("repeatable", derandomize=True)
settings.load_profile("repeatable")

# As in the builder's own processes; the libraries read it when they are imported.
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"

# Fixtures that run the toolchain. Tests that use one, directly or through another fixture, are marked `toolchain`.
TOOLCHAIN_FIXTURES = {"published", "proven"}

# The longest files, in the order in which they start, so that no process ends with one while the other is idle. xdist
# deals the first four in turns: with two processes, the first and third go to one.
LONGEST = (
    "tests/stages/test_repro.py",
    "tests/stages/test_builds.py",
    "tests/stages/test_peer.py",
    "tests/stages/test_fallback.py",
    "tests/stages/test_heads.py",
    "tests/runtime/test_cli.py",
    "tests/updates/test_workflows.py",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--no-toolchain`: what `make test-fast` runs."""
    parser.addoption(
        "--no-toolchain", action="store_true", help="skip the tests marked toolchain; the others may not import it"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Guard this process and all that it starts."""
    if config.getoption("--no-toolchain"):
        guard = str(Path(__file__).with_name("toolchain_guard"))
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (guard, os.environ.get("PYTHONPATH"))))
        import tests.toolchain_guard.sitecustomize  # noqa: F401


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the tests whose fixtures run the toolchain, and leave out all marked ones if asked to."""
    items.sort(key=_start)
    for item in items:
        if isinstance(item, pytest.Function) and not TOOLCHAIN_FIXTURES.isdisjoint(item.fixturenames):
            item.add_marker(pytest.mark.toolchain)
    if config.getoption("--no-toolchain"):
        marked = [item for item in items if item.get_closest_marker("toolchain")]
        config.hook.pytest_deselected(items=marked)
        items[:] = [item for item in items if not item.get_closest_marker("toolchain")]


def _start(item: pytest.Item) -> int:
    path = item.path.relative_to(item.config.rootpath).as_posix()
    return LONGEST.index(path) if path in LONGEST else len(LONGEST)
