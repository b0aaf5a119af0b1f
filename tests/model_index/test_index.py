"""The index alone: channels follow from the history, versions and names are checked, bytes are canonical."""

import contextlib
import json
from pathlib import Path

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from artificer.errors import ModelIndexError
from artificer.hub.index import Event, Index, IndexEntry, Release, index_schema

ROOT = Path(__file__).resolve().parents[2]


def release(number: int, repo: str = "acme/model") -> Release:
    """A release on the Hub, told by its number."""
    return Release(repo=repo, revision=f"{number:040x}", manifest_sha256=f"{number:064x}")


def test_a_life() -> None:
    """Publish moves candidate, promote moves stable to it, rollback goes back step by step; nothing is forgotten."""
    index = Index()
    for number in (1, 2, 3):
        index = index.published("model", release(number)).promoted("model")
    assert index.find("model") == release(3)
    index = index.rolled_back("model")
    assert index.find("model") == release(2)
    assert index.find("model", "candidate") == release(3)
    index = index.rolled_back("model")
    assert index.find("model") == release(1)
    with pytest.raises(ModelIndexError, match="stable held nothing before acme/model@000000000000"):
        index.rolled_back("model")
    index = index.published("model", release(4)).promoted("model").rolled_back("model")
    assert index.find("model") == release(1)
    assert [event.action for event in index.models["model"].history].count("publish") == 4


def test_the_same_again() -> None:
    """Publishing or promoting what is there already changes nothing."""
    index = Index().published("model", release(1)).promoted("model")
    assert index.published("model", release(1)) is index
    assert index.promoted("model") is index


def test_what_is_not_there() -> None:
    """A look-up that finds nothing says what there is."""
    index = Index().published("model", release(1))
    with pytest.raises(ModelIndexError, match=r"no model 'other'; it has: model\."):
        index.find("other")
    with pytest.raises(ModelIndexError, match="no release in channel 'stable': run `python -m stages promote model`"):
        index.find("model")


@given(st.lists(st.tuples(st.sampled_from(["publish", "promote", "rollback"]), st.integers(1, 5)), max_size=20))
def test_round_trip(steps: list[tuple[str, int]]) -> None:
    """Whatever happens in whatever order, the index is valid, canonical, and equal after a round trip."""
    index = Index()
    for action, number in steps:
        try:
            match action:
                case "publish":
                    index = index.published("model", release(number))
                case "promote":
                    index = index.promoted("model")
                case _:
                    index = index.rolled_back("model")
        except ModelIndexError:
            continue
    data = index.to_json()
    assert Index.from_json(data) == index
    assert Index.from_json(data).to_json() == data


@pytest.mark.parametrize(
    "repo", ["../out", "/etc", "a/../../b", "a\\b", "a//b", "", "releases/x/\0", "C:/x", "org/name.", "a/ "]
)
@pytest.mark.parametrize("revision", [None, "0" * 40])
def test_unsafe_places(repo: str, revision: str | None) -> None:
    """A place that could climb out of a folder is refused, on the Hub and in a folder."""
    bad = Release(repo=repo, revision=revision, manifest_sha256="0" * 64)
    entry = IndexEntry(channels={"candidate": bad}, history=(Event(action="publish", release=bad),))
    if (repo, revision) == ("org/name.", "0" * 40):
        return  # a repo id may end in a dot
    with pytest.raises(ModelIndexError, match=r"index\.json: models\.model\.history\[0\]\.release\.repo"):
        Index.from_json(Index(models={"model": entry}).to_json())


@pytest.mark.parametrize("slug", ["../x", "A", "", "a b", "a\n", "-a"])
def test_unsafe_slugs(slug: str) -> None:
    """A model's name is a slug."""
    with pytest.raises(ModelIndexError, match="is not a slug"):
        Index.from_json(Index(models={slug: IndexEntry(channels={}, history=())}).to_json())


def test_channels_against_history() -> None:
    """Channels that the history does not lead to are refused: somebody edited one and not the other."""
    index = Index().published("model", release(1)).promoted("model")
    entry = msgspec.structs.replace(index.models["model"], channels={"stable": release(2)})
    with pytest.raises(ModelIndexError, match="they differ from the history"):
        Index.from_json(Index(models={"model": entry}).to_json())


def test_versions() -> None:
    """Another major is refused; a newer minor is read with a warning, what it adds ignored."""
    with pytest.raises(ModelIndexError, match=r"expected 1\.x, found '2\.0'"):
        Index.from_json(b'{"schema_version": "2.0", "models": {}}')
    with pytest.warns(UserWarning, match="has version 1.7"):
        assert Index.from_json(b'{"schema_version": "1.7", "models": {}, "new": 1}').models == {}


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    """Bytes that are no index raise ModelIndexError and nothing else."""
    with contextlib.suppress(ModelIndexError):
        Index.from_json(data)


def test_schema() -> None:
    """The published JSON Schema is what the types say, and accepts what they write."""
    schema = json.loads((ROOT / "docs" / "index-v1.schema.json").read_text())
    assert schema == json.loads(json.dumps(index_schema()))
    index = Index().published("model", release(1)).promoted("model")
    jsonschema.validate(json.loads(index.to_json()), schema)
