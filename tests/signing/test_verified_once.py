"""What was verified is remembered: neither files nor a signature are checked again at each load."""

import os
import sys
from pathlib import Path

import pytest

import artificer
from artificer import SignedBy
from artificer.manifest import SIGNATURE_FILE
from tests.signing.conftest import Publish
from tests.signing.keys import make_key
from tests.signing.test_folder import Keys, refusal, score


def test_files_are_hashed_once(publish: Publish, keys: Keys) -> None:
    """The signature's hashes are the manifest's: nothing is hashed for it, and a second load hashes nothing at all."""
    folder = publish()
    for path in folder.rglob("*"):
        os.utime(path, (1, 1))
    with artificer.load(folder, require_signature=SignedBy(key=keys[1])) as first:
        plain = first.explain().files_hashed
    with artificer.load(folder, cache=folder.parent / "cache") as unsigned:
        assert unsigned.explain().files_hashed == plain


def test_a_signature_is_checked_once_for_a_signer(
    publish: Publish, keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later load imports nothing of model-signing, until the signature, the key or the wish to check again differ."""
    folder = publish()
    score(folder, SignedBy(key=keys[1]))
    for name in [each for each in sys.modules if each.partition(".")[0] == "model_signing"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "model_signing", None)
    score(folder, SignedBy(key=keys[1]))
    with pytest.raises(artificer.MissingRuntimeError):
        score(folder, SignedBy(key=keys[1]), verify="full")
    with pytest.raises(artificer.MissingRuntimeError):
        score(folder, SignedBy(key=make_key(tmp_path / "other")[1]))
    with pytest.raises(artificer.MissingRuntimeError):
        score(folder, SignedBy(key=keys[1]), cache=tmp_path / "another cache")
    data = (folder / SIGNATURE_FILE).read_bytes()
    (folder / SIGNATURE_FILE).write_bytes(data + b" ")
    with pytest.raises(artificer.MissingRuntimeError):
        score(folder, SignedBy(key=keys[1]))
    (folder / SIGNATURE_FILE).write_bytes(data)
    keys[1].write_bytes(make_key(tmp_path / "third")[1].read_bytes())
    with pytest.raises(artificer.MissingRuntimeError):
        score(folder, SignedBy(key=keys[1]))


def test_what_was_refused_is_not_remembered(publish: Publish, tmp_path: Path, own_cache: Path) -> None:
    """A wrong key is wrong again."""
    folder, other = publish(), make_key(tmp_path / "other")[1]
    for _ in range(2):
        assert "another key signed it" in refusal(folder, SignedBy(key=other))
    assert not (own_cache / "signatures").exists()
