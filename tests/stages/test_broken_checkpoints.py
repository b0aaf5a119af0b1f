"""Whatever a folder holds, `add` ends in one message: no input ends in a traceback."""

import copy
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.core.errors import SourceError
from stages.registry import checkpoint
from tests.stages.checkpoints import plain_checkpoint, write_json
from tests.stages.conftest import Stages

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["\ud800", "BertForSequenceClassification", "/", "..", "left", 0, -1, 2**63]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)
# What a checkpoint may have beside the files that are always there.
MORE: dict[str, Any] = {
    "config_sentence_transformers.json": {"activation_fn": "torch.nn.Sigmoid"},
    "modules.json": [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}],
    "sentence_bert_config.json": {"max_seq_length": 32},
    "special_tokens_map.json": {"pad_token": {"content": "[PAD]"}},
}
CONFIG: dict[str, Any] = {
    "num_labels": 1,
    "problem_type": "regression",
    "sentence_transformers": {"activation_fn": "torch.nn.Sigmoid"},
    "text_config": {"vocab_size": 7, "pad_token_id": 0},
}
JSON_FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", *MORE)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that has every file and key that is read."""
    folder = plain_checkpoint(tmp_path_factory.mktemp("broken") / "whole", **CONFIG)
    for name, value in MORE.items():
        write_json(folder / name, value)
    return folder


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The key path of every value inside."""
    found = [path]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        found += places(inner, (*path, key))
    return found


def changed(value: Any, path: tuple[Any, ...], new: Any, *, remove: bool) -> Any:
    """A copy with the value at that path replaced or removed."""
    if not path:
        return new
    made = copy.deepcopy(value)
    inner = made
    for key in path[:-1]:
        inner = inner[key]
    if remove:
        del inner[path[-1]]
    else:
        inner[path[-1]] = new
    return made


def inspect_spoiled(whole: Path, name: str, data: bytes) -> None:
    """Inspect the checkpoint with these bytes in the place of one file."""
    path = whole / name
    before = path.read_bytes()
    path.write_bytes(data)
    message = "accepted"
    try:
        checkpoint.inspect(whole, "acme/base")
    except SourceError as error:
        message = str(error)
    finally:
        path.write_bytes(before)
    assert message.encode().strip()


@settings(max_examples=200)
@given(data=st.data())
def test_a_changed_value_is_accepted_or_refused(whole: Path, data: st.DataObject) -> None:
    """Any value of any JSON file, replaced by another of any type, or removed."""
    name = data.draw(st.sampled_from(JSON_FILES))
    value = json.loads((whole / name).read_bytes())
    path = data.draw(st.sampled_from(places(value)))
    made = changed(value, path, data.draw(VALUES), remove=data.draw(st.booleans()))
    inspect_spoiled(whole, name, json.dumps(made).encode())


@settings(max_examples=80)
@given(data=st.data())
def test_cut_and_overwritten_bytes_are_accepted_or_refused(whole: Path, data: st.DataObject) -> None:
    """Any file, the weights too, cut short or with a few bytes replaced."""
    name = data.draw(st.sampled_from((*JSON_FILES, "model.safetensors")))
    found = (whole / name).read_bytes()
    start = data.draw(st.integers(0, len(found)))
    middle = data.draw(st.binary(max_size=6))
    end = data.draw(st.sampled_from([b"", found[start + len(middle) :]]))
    inspect_spoiled(whole, name, found[:start] + middle + end)


@settings(max_examples=80)
@given(data=st.data())
def test_a_changed_header_of_the_weights_is_accepted_or_refused(whole: Path, data: st.DataObject) -> None:
    """The header is JSON behind its length; a mutation keeps the length right."""
    found = (whole / "model.safetensors").read_bytes()
    size = int.from_bytes(found[:8], "little")
    header = json.loads(found[8 : 8 + size])
    path = data.draw(st.sampled_from(places(header)))
    text = json.dumps(changed(header, path, data.draw(VALUES), remove=data.draw(st.booleans()))).encode()
    inspect_spoiled(whole, "model.safetensors", len(text).to_bytes(8, "little") + text + found[8 + size :])


def test_a_tokenizer_that_ends_in_a_panic_is_refused(whole: Path, tmp_path: Path) -> None:
    """A template that names a token it does not define is read without complaint and ends in Rust at the first text."""
    folder = shutil.copytree(whole, tmp_path / "copy")
    value = json.loads((folder / "tokenizer.json").read_bytes())
    value["post_processor"]["special_tokens"] = {}
    write_json(folder / "tokenizer.json", value)
    with pytest.raises(SourceError) as error:
        checkpoint.inspect(folder, "acme/base")
    assert str(error.value) == "acme/base/tokenizer.json: the tokenizer cannot be read: no entry found for key."


@pytest.mark.parametrize("name", JSON_FILES)
@pytest.mark.parametrize(
    "data",
    [b"", b"\xff\xfe", b"null", b"1", b'"a"', b"[" * 100_000, b'{"a":' * 100_000, b'{"a": ' + b"9" * 10_000 + b"}"],
    ids=["empty", "utf-16", "null", "number", "text", "lists", "objects", "digits"],
)
def test_a_file_that_is_something_else_is_refused(whole: Path, name: str, data: bytes) -> None:
    """Deep nesting and endless numbers too."""
    before = (whole / name).read_bytes()
    (whole / name).write_bytes(data)
    try:
        with pytest.raises(SourceError, match=f"^acme/base/{name}: "):
            checkpoint.inspect(whole, "acme/base")
    finally:
        (whole / name).write_bytes(before)


def _in_place_of(name: str, make: Callable[[Path], object]) -> Callable[[Path], object]:
    """Remove a file and make something else of its name."""

    def spoil(folder: Path) -> None:
        (folder / name).unlink()
        make(folder / name)

    return spoil


def _write(name: str, data: str) -> Callable[[Path], object]:
    """Write a file."""
    return lambda folder: (folder / name).write_text(data)


def _empty(folder: Path) -> None:
    """Remove every file."""
    for path in folder.iterdir():
        path.unlink()


BROKEN: dict[str, Callable[[Path], object]] = {
    "an empty folder": _empty,
    "a folder for the config": _in_place_of("config.json", Path.mkdir),
    "a folder for the weights": _in_place_of("model.safetensors", Path.mkdir),
    "a link to nothing": _in_place_of("config.json", lambda path: path.symlink_to("nothing")),
    "a link to itself": _in_place_of("config.json", lambda path: path.symlink_to("config.json")),
    "a pipe": _in_place_of("config.json", os.mkfifo),
    "an LFS pointer": _write("model.safetensors", "version https://git-lfs.github.com/spec/v1\n"),
    "a page of HTML": _write("tokenizer.json", "<!DOCTYPE html>"),
    "a tokenizer of nothing": _write("tokenizer.json", "{}"),
    "a tokenizer of an unknown kind": _write("tokenizer.json", '{"version": "9.0", "model": {"type": "New"}}'),
    "labels in a list": _write("config.json", '{"architectures": ["BertForSequenceClassification"], "id2label": [1]}'),
    "a billion labels": _write(
        "config.json", '{"architectures": ["BertForSequenceClassification"], "num_labels": 1000000000}'
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_add_ends_in_one_message(root: Path, stages: Stages, name: str) -> None:
    """On the command line: an error of one line, the exit code of a source, and nothing written."""
    folder = plain_checkpoint(root / "broken")
    BROKEN[name](folder)
    code, out, err = stages("add", "broken", "--license", "mit")
    assert (code, out) == (4, ""), err
    assert err.startswith("error: ")
    assert "Traceback" not in err
    assert err.count("\n") == 1
    assert (root / "registry" / "models.yaml").read_text() == "models: {}\n"


@pytest.mark.parametrize("license", ["2020-13-45", "[", "!!python/object:os.system {}", "\ud83d"])
def test_a_model_card_that_cannot_be_read_declares_no_license(root: Path, stages: Stages, license: str) -> None:
    """The front matter is anyone's text."""
    folder = plain_checkpoint(root / "plain")
    (folder / "README.md").write_bytes(f"---\nlicense: {license}\n---\n".encode("utf-8", "surrogatepass"))
    code, _, err = stages("add", "plain")
    assert code == 4, err
    assert (
        err == "error: plain declares no license. Give its SPDX id with --license, "
        "for example apache-2.0; or proprietary.\n"
    )
