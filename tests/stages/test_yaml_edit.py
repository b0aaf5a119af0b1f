"""Items added to the user's YAML files and removed again: every other byte stays."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.core.errors import RegistryError
from stages.core.yaml_edit import add_item, remove_item
from stages.core.yaml_files import parse_yaml
from tests.stages.project import REPOSITORY

FILE = Path("params.yaml")
SETS = ("data", "sets")
ITEM = "{path: registry/data/x.jsonl, columns: {query: q, passage: p}}"
TEXTS = [
    "data:\n  sets:\n    a: {path: x}\n",
    "data:\n  sets:\n    a: {path: x}  # the first\n\n# what follows\nother: 1\n",
    "data:\n  sets:\n    # one\n    a:\n      path: x\n      cols:\n        q: q  # name\n      # behind\n  z: 1\n",
    "data:\n  sets:\n    a:\n      {path: x,\n       rows: 1}\nother: [1,\n  2]\n",
    "data:\n  sets:\n    a:\n      - 1\n      - b: 2\nother: 1",
    "data:\n  sets:\n    a: |\n      text\n      more\nother: 1\n",
    "data: {sets: {a: {path: x}}, last: 1}\n",
    "data: {sets: {}, last: 1}\n",
    "data:\n  sets: {}\n  last: 1 # ü\n",
]


@pytest.mark.parametrize("text", TEXTS)
def test_an_item_is_added_and_nothing_else_changes(text: str) -> None:
    """Comments, order and layout of the rest stay: one insertion makes the new text."""
    updated = add_item(text, FILE, SETS, "new", ITEM)
    before, after = parse_yaml(text, FILE), parse_yaml(updated, FILE)
    assert after["data"]["sets"].pop("new") == {
        "path": "registry/data/x.jsonl",
        "columns": {"query": "q", "passage": "p"},
    }
    assert after == before
    start = next((i for i, (a, b) in enumerate(zip(text, updated, strict=False)) if a != b), len(text))
    assert updated.endswith(text[start:])


@pytest.mark.parametrize("text", [text for text in TEXTS if "data: {" not in text])
def test_an_item_that_was_added_is_removed_again(text: str) -> None:
    """The bytes are those from before."""
    updated = add_item(text, FILE, SETS, "new", ITEM)
    if "sets: {}" in text:  # the item went into the braces
        with pytest.raises(RegistryError, match=r"data\.sets\.new could not be removed; remove it by hand"):
            remove_item(updated, FILE, SETS, "new")
        return
    assert remove_item(updated, FILE, SETS, "new") == text


def test_our_own_params_take_a_set() -> None:
    """The file that users have."""
    text = (REPOSITORY / "params.yaml").read_text(encoding="utf-8")
    updated = add_item(text, FILE, SETS, "new", ITEM)
    assert updated.replace(f"    new: {ITEM}\n", "") == text
    assert remove_item(updated, FILE, SETS, "new") == text


def test_the_middle_and_the_last_item_go(tmp_path: Path) -> None:
    """With the empty line before them; a mapping without items is written as such."""
    text = "models:\n  # one\n  a: {x: 1}\n\n  b:\n    x: 1\n    # inside\n    y: 2\n\n  # three\n  no: {x: 1}\n"
    keys = ("models",)
    without_b = remove_item(text, tmp_path, keys, "b")
    assert without_b == "models:\n  # one\n  a: {x: 1}\n\n  # three\n  no: {x: 1}\n"
    assert remove_item("models:\n  a: {x: 1}\n", tmp_path, keys, "a") == "models: {}\n"
    commented = remove_item("models:  # ours\n  # the first\n  a: {x: 1}\n", tmp_path, keys, "a")
    assert commented == "models: {}  # ours\n  # the first\n"


def test_what_cannot_be_edited_is_said() -> None:
    """A name that is taken, one that is not there, and a file without the mapping."""
    with pytest.raises(RegistryError, match=r"data\.sets\.a exists already"):
        add_item(TEXTS[0], FILE, SETS, "a", ITEM)
    with pytest.raises(RegistryError, match=r"data\.sets: unknown key 'b'; known: a"):
        remove_item(TEXTS[0], FILE, SETS, "b")
    with pytest.raises(RegistryError, match=r"data\.sets: expected a mapping"):
        add_item("data: {}\n", FILE, SETS, "a", ITEM)
    with pytest.raises(RegistryError, match=r"data\.sets: expected a mapping"):
        add_item("data: {sets: 1}\n", FILE, SETS, "a", ITEM)


@settings(max_examples=30)
@given(st.lists(st.from_regex(r"[a-z]{1,6}", fullmatch=True), unique=True, min_size=1, max_size=5), st.booleans())
def test_any_list_of_names_comes_back(names: list[str], is_spaced: bool) -> None:
    """Whatever the other items are called."""
    gap = "\n" if is_spaced else ""
    text = "data:\n  sets:\n" + gap.join(f"    {name}:\n      path: x\n" for name in names) + "\nend: 1\n"
    if "newest" not in names and not {"no", "yes", "on", "off", "null", "true", "false", "y", "n"} & set(names):
        assert remove_item(add_item(text, FILE, SETS, "newest", ITEM), FILE, SETS, "newest") == text
