"""A signed folder: who signed it is checked before anything of it is opened, and every deviation is refused."""

import builtins
import hashlib
import io
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import model_signing
import pytest
import sigstore._store

import artificer
from artificer import SignatureError, SignedBy
from artificer.cli import main
from artificer.errors import InputError, IntegrityError
from artificer.manifest import MANIFEST_FILE, SIGNATURE_FILE, Manifest
from tests.hub_publish import tiny
from tests.signing.conftest import Publish
from tests.signing.keys import make_certificate, make_key

Keys = tuple[Path, Path]


def score(folder: Path, signer: SignedBy | str | None, **options: Any) -> float:
    """Load, and score one pair."""
    with artificer.load(folder, require_signature=signer, **options) as model:
        return float(model.predict([tiny.PAIR], activation_fn="identity")[0])


def refusal(folder: Path, signer: SignedBy | str) -> str:
    """What `load` says when it refuses."""
    with pytest.raises(SignatureError) as caught:
        score(folder, signer)
    return str(caught.value)


def test_a_folder_that_the_key_signed_is_loaded(publish: Publish, keys: Keys) -> None:
    """By an object, by text, or for everything that a process loads."""
    folder = publish()
    for signer in (SignedBy(key=keys[1]), f"key={keys[1]}"):
        assert score(folder, signer) == pytest.approx(tiny.logit(1), abs=1e-3)
    with artificer.load(folder, require_signature=f"key={keys[1]}") as model:
        assert model.explain().signed_by == f"the key {keys[1]}"
        assert f"signed by: the key {keys[1]}" in str(model.explain())


def test_the_environment_can_require_a_signature(
    publish: Publish, keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An operator sets it once; what the code asks for goes before it."""
    folder = publish()
    monkeypatch.setenv("ARTIFICER_REQUIRE_SIGNATURE", f"key={make_key(tmp_path / 'other')[1]}")
    with pytest.raises(SignatureError, match="another key signed it"):
        score(folder, None)
    score(folder, SignedBy(key=keys[1]))


def test_the_signature_covers_every_file_and_model_signing_accepts_it(publish: Publish, keys: Keys) -> None:
    """With its own hashing, as any user of that package would verify the folder: manifest and card included."""
    folder = publish()
    verifier = model_signing.verifying.Config().use_elliptic_key_verifier(public_key=keys[1])
    verifier.verify(folder, folder / SIGNATURE_FILE)
    for name in ("README.md", MANIFEST_FILE, "tokenizer.json", "onnx/model.onnx"):
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data + b" ")
        with pytest.raises(ValueError, match="Hash mismatch for") as caught:
            model_signing.verifying.Config().use_elliptic_key_verifier(public_key=keys[1]).verify(
                folder, folder / SIGNATURE_FILE
            )
        assert name in str(caught.value)
        (folder / name).write_bytes(data)


def test_an_unsigned_folder_is_refused_and_named(publish: Publish, keys: Keys) -> None:
    """It says that there is no signature, whose is required, and what to do."""
    folder = publish(signing=None)
    assert not (folder / SIGNATURE_FILE).exists()
    assert refusal(folder, SignedBy(key=keys[1])) == (
        f"{folder}: not signed: there is no model.sig, and a signature by the key {keys[1]} is required. Nothing was"
        " opened. Sign it when publishing (publish.signing in params.yaml), or do not require a signature."
    )


def test_a_signature_by_another_key_is_refused(publish: Publish, tmp_path: Path) -> None:
    """The key is told apart by its hash in the signature."""
    folder, other = publish(), make_key(tmp_path / "other")[1]
    assert refusal(folder, SignedBy(key=other)) == (
        f"{folder}: model.sig is not a valid signature by the key {other}: another key signed it."
        " Nothing else was opened."
    )


def test_a_signature_whose_contents_were_changed_is_refused(publish: Publish, keys: Keys, tmp_path: Path) -> None:
    """Of a statement that names the right key, the bytes are checked."""
    folder = publish()
    other = publish(seed=2)
    assert other == folder
    bundle = json.loads((folder / SIGNATURE_FILE).read_text())
    shutil.copytree(folder, tmp_path / "copy")
    publish(seed=1)
    old = json.loads((folder / SIGNATURE_FILE).read_text())
    old["dsseEnvelope"]["payload"] = bundle["dsseEnvelope"]["payload"]
    (tmp_path / "copy" / SIGNATURE_FILE).write_text(json.dumps(old))
    assert "what was signed was changed, or another key signed it" in refusal(tmp_path / "copy", f"key={keys[1]}")


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{}",
        b"[1, 2]",
        b'{"dsseEnvelope": {"payload": "e30="}, "verificationMaterial": {}}',
        b'{"dsseEnvelope": {}, "dsse_envelope": {}}',
        b'{"a": 1, "a": 2}',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
def test_a_signature_that_cannot_be_read_is_refused(publish: Publish, keys: Keys, damage: bytes) -> None:
    """Whatever the bytes are, there is one clear message."""
    folder = publish()
    (folder / SIGNATURE_FILE).write_bytes(damage)
    assert "model.sig cannot be read" in refusal(folder, SignedBy(key=keys[1]))


def test_a_changed_manifest_is_refused_before_it_is_parsed(publish: Publish, keys: Keys) -> None:
    """Both hashes are named."""
    folder = publish()
    (folder / MANIFEST_FILE).write_text("{ no JSON")
    text = refusal(folder, SignedBy(key=keys[1]))
    assert "the manifest was changed or replaced after it was signed" in text
    with pytest.raises(artificer.ManifestError):
        score(folder, None)


def test_a_changed_file_is_refused(publish: Publish, keys: Keys) -> None:
    """Its hash is the manifest's, which was signed."""
    folder = publish()
    graph = folder / "onnx/model.onnx"
    graph.write_bytes(graph.read_bytes()[:-1] + b"\0")
    with pytest.raises(IntegrityError, match=r"onnx/model.onnx: expected sha256"):
        score(folder, SignedBy(key=keys[1]))


def test_a_file_and_a_manifest_that_fit_each_other_are_refused(publish: Publish, keys: Keys) -> None:
    """Without a signature this folder would load: the attacker has made a consistent one."""
    folder = publish()
    signature = (folder / SIGNATURE_FILE).read_bytes()
    forged = publish(seed=2, signing=None)
    assert score(forged, None) == pytest.approx(tiny.logit(2), abs=1e-3)
    (forged / SIGNATURE_FILE).write_bytes(signature)
    assert "the manifest was changed or replaced after it was signed" in refusal(forged, SignedBy(key=keys[1]))


@pytest.mark.parametrize("name", ["payload.py", "onnx/extra.onnx", ".hidden/file"])
def test_an_added_file_is_refused_and_named(publish: Publish, keys: Keys, name: str) -> None:
    """It is never opened, but nobody signed it."""
    folder = publish()
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"added")
    assert f"added after it was signed: {name}." in refusal(folder, SignedBy(key=keys[1]))


def test_a_link_to_elsewhere_is_an_added_file(publish: Publish, keys: Keys, tmp_path: Path) -> None:
    """It may lead to a folder."""
    folder = publish()
    (folder / "more").symlink_to(tmp_path)
    assert "added after it was signed: more" in refusal(folder, SignedBy(key=keys[1]))


def test_what_git_adds_to_a_clone_is_no_added_file(publish: Publish, keys: Keys) -> None:
    """The Hub's repositories have a .gitattributes."""
    folder = publish()
    (folder / ".gitattributes").write_text("*.onnx filter=lfs\n")
    (folder / ".git").mkdir()
    (folder / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    score(folder, SignedBy(key=keys[1]))


def test_a_missing_file_is_refused_and_named(publish: Publish, keys: Keys) -> None:
    """Also one that this load would not open."""
    folder = publish()
    (folder / "README.md").unlink()
    assert "signed files are missing: README.md" in refusal(folder, SignedBy(key=keys[1]))


def test_an_older_signed_release_is_refused_where_the_manifest_is_pinned(publish: Publish, keys: Keys) -> None:
    """A folder alone cannot tell that it was replaced by an older release of the same signer: `manifest_sha256` can."""
    folder = publish(seed=1)
    shutil.copytree(folder, "older")
    publish(seed=2)
    newest = hashlib.sha256((folder / MANIFEST_FILE).read_bytes()).hexdigest()
    shutil.rmtree(folder)
    shutil.move("older", folder)
    assert score(folder, SignedBy(key=keys[1])) == pytest.approx(tiny.logit(1), abs=1e-3)
    with pytest.raises(IntegrityError, match=f"expected {newest}: it was changed after it was published"):
        score(folder, SignedBy(key=keys[1]), manifest_sha256=newest)


def test_nothing_is_opened_before_the_signature_was_checked(
    publish: Publish, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a wrong key, model.sig is the only file of the folder that is opened."""
    folder, other = publish(), make_key(tmp_path / "other")[1]
    opened: list[str] = []
    open_file, open_descriptor = io.open, os.open

    def noting(function: Any) -> Any:
        def wrapped(path: Any, *arguments: Any, **options: Any) -> Any:
            if not isinstance(path, int):
                opened.append(os.fspath(path))
            return function(path, *arguments, **options)

        return wrapped

    monkeypatch.setattr(os, "open", noting(open_descriptor))
    monkeypatch.setattr(io, "open", noting(open_file))
    monkeypatch.setattr(builtins, "open", noting(open_file))
    refusal(folder, SignedBy(key=other))
    assert {Path(name).name for name in opened if str(name).startswith(str(folder))} == {SIGNATURE_FILE}


def test_certificates(publish: Publish, tmp_path: Path) -> None:
    """A root is trusted for all that it issued, or for one name; a certificate of another root is refused."""
    key, certificate, root = make_certificate(tmp_path / "pki", "Release Bot")
    folder = publish(signing={"key": str(key), "certificate": str(certificate), "chain": [str(root)]})
    score(folder, SignedBy(certificate=root))
    score(folder, f"certificate={root},subject=Release Bot")
    assert "was made by Release Bot, expected Somebody" in refusal(folder, f"certificate={root},subject=Somebody")
    other_root = make_certificate(tmp_path / "elsewhere", "Release Bot")[2]
    assert "X509StoreContextError" in refusal(folder, SignedBy(certificate=other_root))
    assert "is not a valid signature by the key" in refusal(folder, SignedBy(key=make_key(tmp_path / "keys")[1]))


@pytest.fixture
def trust(tmp_path: Path) -> Path:
    """The trust configuration of Sigstore's public instance, as its client's package holds it."""
    store = next(Path(sigstore._store.__file__).parent.glob("*sigstore.dev"))
    parts = {"trustedRoot": "trusted_root.json", "signingConfig": "signing_config.v0.2.json"}
    path = tmp_path / "trust.json"
    path.write_text(
        json.dumps(
            {
                "mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
                **{key: json.loads((store / name).read_text()) for key, name in parts.items()},
            }
        )
    )
    return path


def test_what_no_identity_signed_is_refused_by_the_trust_of_sigstore(
    publish: Publish, trust: Path, tmp_path: Path
) -> None:
    """A signature by a key has no certificate, and a certificate of one's own is not Sigstore's. No network is used."""
    signer = f"identity=bot@example.com,issuer=https://accounts.google.com,trust={trust}"
    assert "InvalidBundle: expected certificate in bundle" in refusal(publish(), signer)
    key, certificate, root = make_certificate(tmp_path / "pki", "bot@example.com")
    folder = publish(signing={"key": str(key), "certificate": str(certificate), "chain": [str(root)]})
    text = refusal(folder, signer)
    assert "is not a valid signature by bot@example.com (https://accounts.google.com): " in text


def test_artificer_verify_checks_the_signature_first(
    publish: Publish, keys: Keys, capsys: pytest.CaptureFixture[str]
) -> None:
    """Then it hashes every file, of all variants."""
    folder = publish()
    capsys.readouterr()
    assert main(["verify", str(folder), "--signature", f"key={keys[1]}"]) == 0
    assert f"model.sig: signed by the key {keys[1]}; the signature covers every file here" in capsys.readouterr().out
    assert main(["verify", str(folder)]) == 0
    out = capsys.readouterr().out
    assert "model.sig: not checked: --signature says whose signature to expect" in out
    assert "never opened" not in out
    (folder / "README.md").write_text("changed")
    assert main(["verify", str(folder), "--signature", f"key={keys[1]}"]) == 1
    assert "README.md: expected" in capsys.readouterr().err
    (folder / "added.bin").touch()
    assert main(["verify", str(folder), "--signature", f"key={keys[1]}"]) == 1
    assert "added after it was signed: added.bin" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("acme.pub", "expected key=FILE, certificate=FILE"),
        ("key=a,key=b", "expected key=FILE, certificate=FILE"),
        ("key=a,certificate=b", "expected one of key, certificate and identity, found key and certificate"),
        ("subject=a", "expected one of key, certificate and identity, found none"),
        ("identity=a@example.com", "identity and issuer are given together"),
        ("key=missing.pub", "the key missing.pub cannot be used: FileNotFoundError"),
        ("key=README.md", "cannot be used: ValueError"),
        ("identity=a,issuer=b,trust=missing.json", "cannot be used: FileNotFoundError"),
    ],
)
def test_a_signer_that_cannot_be_meant_is_refused(publish: Publish, text: str, message: str) -> None:
    """Before the folder is looked at, or where its own files are at fault."""
    folder = publish()
    Path("README.md").write_text("no key")
    with pytest.raises(InputError, match=f"require_signature: .*{message}"):
        score(folder, text)


def test_without_the_extra_the_message_names_it(publish: Publish, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a load that requires no signature needs none of it."""
    folder = publish()
    for name in [each for each in sys.modules if each.partition(".")[0] == "model_signing"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "model_signing", None)
    score(folder, None)
    with pytest.raises(artificer.MissingRuntimeError, match=r"pip install 'artificer\[signing\]'"):
        score(folder, SignedBy(key=keys[1]))


def test_a_manifest_cannot_list_a_signature(publish: Publish) -> None:
    """The name is taken."""
    manifest = (publish() / MANIFEST_FILE).read_text().replace('"config.json"', '"Model.sig"')
    with pytest.raises(artificer.ManifestError, match=r"clashes with 'model\.sig'"):
        Manifest.from_json(manifest.encode())
