"""Signing at publish: keys, certificates and identities of params.yaml, and what is wrong with them."""

import json
import shutil
import types
from pathlib import Path
from typing import Any

import model_signing
import pytest

import artificer
from artificer.hub.index import Index
from artificer.manifest import MANIFEST_FILE, SIGNATURE_FILE
from artificer.signing.signed_by import SignedBy
from artificer.signing.signed_files import parse
from tests.hub_publish import tiny
from tests.hub_publish.conftest import Command, Project
from tests.signing.conftest import Publish
from tests.signing.keys import make_certificate, make_key
from tests.signing.test_folder import score

Keys = tuple[Path, Path]


def test_publishing_twice_leaves_the_folder_alone(publish: Publish, command: Command) -> None:
    """The signature that lies there is used again; one that is lost is made again."""
    folder = publish()
    before = (folder / SIGNATURE_FILE).read_bytes()
    shutil.rmtree("artifacts/signatures")
    assert "holds this manifest and its files already" in command("publish", tiny.SLUG)[1]
    (folder / SIGNATURE_FILE).unlink()
    shutil.rmtree("artifacts/signatures")
    assert "tiny: signed by" in command("publish", tiny.SLUG)[1]
    assert (folder / SIGNATURE_FILE).read_bytes() != before


def test_a_signature_of_other_files_is_not_used_again(publish: Publish, keys: Keys) -> None:
    """A new build is signed anew."""
    folder = publish(seed=1)
    before = (folder / SIGNATURE_FILE).read_bytes()
    publish(seed=2)
    assert (folder / SIGNATURE_FILE).read_bytes() != before
    score(folder, SignedBy(key=keys[1]))


def test_a_folder_that_was_signed_may_be_published_unsigned(publish: Publish) -> None:
    """The signature is ours, and no file of others."""
    folder = publish()
    assert not (publish(signing=None) / SIGNATURE_FILE).exists()
    assert (folder / MANIFEST_FILE).exists()


def test_a_key_with_a_password(publish: Publish, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes from a variable of the environment, and is in no file."""
    private, public = make_key(tmp_path / "locked", password=b"open sesame")
    monkeypatch.setenv("ACME_PASSWORD", "open sesame")
    folder = publish(signing={"key": str(private), "password_variable": "ACME_PASSWORD"})
    score(folder, SignedBy(key=public))


def test_releases_of_a_folder_index_are_signed_too(publish: Publish, keys: Keys, command: Command) -> None:
    """What was kept unsigned gets its signature when it is published again, and then both channels are signed."""
    settings: dict[str, object] = {"index": {"folder": "dist"}}
    publish(signing=None, **settings)
    publish(**settings)
    assert command("promote", tiny.SLUG)[0] == 0
    release = Index.from_json(Path("dist/index.json").read_bytes()).find(tiny.SLUG)
    assert release.signature_sha256
    with artificer.load(tiny.SLUG, index="dist", require_signature=SignedBy(key=keys[1])) as model:
        assert model.explain().signed_by
    older = Path("dist/index.json").read_bytes()
    publish(seed=2, **settings)
    assert command("promote", tiny.SLUG)[0] == 0
    artificer.load(tiny.SLUG, index="dist", require_signature=SignedBy(key=keys[1])).close()
    Path("dist/index.json").write_bytes(older)
    with pytest.raises(artificer.SignatureError, match="replaced by an older one"):
        artificer.load(tiny.SLUG, index="dist", require_signature=SignedBy(key=keys[1]))


@pytest.mark.parametrize(
    ("signing", "message"),
    [
        ({"key": "missing.key"}, "publish.signing: missing.key cannot sign: FileNotFoundError"),
        ({"key": "params.yaml"}, "publish.signing: params.yaml cannot sign: ValueError"),
        ({"key": "params.yaml", "password_variable": "ACME_UNSET"}, "ACME_UNSET is not set"),
        ({"key": "a", "identity": "b"}, "publish.signing: expected one of `key` and `identity`"),
        ({}, "publish.signing: expected one of `key` and `identity`"),
        ({"identity": "b"}, "publish.signing: expected `identity` and `issuer` together"),
        ({"key": "a", "chain": ["b"]}, "publish.signing.chain: expected a `certificate`"),
        ({"identity": "a", "issuer": "b", "certificate": "c"}, "belong to a key"),
        ({"secret": "a"}, "publish.signing"),
    ],
)
def test_a_signer_that_cannot_sign(
    make_project: Project, command: Command, signing: dict[str, object], message: str
) -> None:
    """One clear message, and nothing is published."""
    root = make_project(settings={"target": "folder", "folder": "dist", "signing": signing})
    code, text = command("publish", tiny.SLUG)
    assert code != 0
    assert message in text
    assert "Traceback" not in text
    assert not (root / "dist").exists()


def test_a_certificate_of_another_key_cannot_sign(make_project: Project, command: Command, tmp_path: Path) -> None:
    """The two files belong together."""
    _, certificate, root = make_certificate(tmp_path / "pki", "Bot")
    other = make_key(tmp_path / "other")[0]
    signing = {"key": str(other), "certificate": str(certificate), "chain": [str(root)]}
    make_project(settings={"target": "folder", "folder": "dist", "signing": signing})
    assert "The public key from the certificate does not match" in command("publish", tiny.SLUG)[1]


def test_sign_without_a_signer_is_refused(make_project: Project, command: Command) -> None:
    """`--sign` is for those who must not publish without."""
    root = make_project(settings={"target": "folder", "folder": "dist"})
    code, text = command("publish", tiny.SLUG, "--sign")
    assert code == 2
    assert "publish.signing: nobody is named who signs" in text
    assert not (root / "dist").exists()


KEYLESS = {
    "identity": "https://github.com/acme/models/.github/workflows/publish.yml@refs/heads/main",
    "issuer": "https://token.actions.githubusercontent.com",
}


def test_keyless_without_an_identity_says_what_ci_has_to_grant(make_project: Project, command: Command) -> None:
    """No browser is opened where nobody can log in."""
    root = make_project(settings={"target": "folder", "folder": "dist", "signing": KEYLESS})
    code, text = command("publish", tiny.SLUG)
    assert code != 0
    assert "give the job the permission `id-token: write`" in text
    assert not (root / "dist").exists()


def test_keyless_signs_with_the_identity_of_the_environment(
    make_project: Project, command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Sigstore is not reachable from tests: a key signs in its place, and is then not the identity that is expected."""
    private, _ = make_key(tmp_path / "other")
    asked: list[dict[str, Any]] = []

    def in_its_place(config: Any, **options: Any) -> None:
        asked.append(options)
        config.use_elliptic_key_signer(private_key=private)

    monkeypatch.setattr(model_signing.signing.Config, "use_sigstore_signer", in_its_place)
    monkeypatch.setattr("sigstore.oidc.detect_credential", lambda: "a token")
    refused = types.MethodType(lambda *_, **__: (_ for _ in ()).throw(ValueError("not that identity")), object())
    monkeypatch.setattr(model_signing.verifying.Config, "use_sigstore_verifier", refused)
    root = make_project(settings={"target": "folder", "folder": "dist", "signing": KEYLESS})
    code, text = command("publish", tiny.SLUG)
    assert asked == [{"use_ambient_credentials": True}]
    assert code != 0
    assert "not that identity" in text
    assert not (root / "dist").exists()


def test_a_dry_run_makes_no_keyless_signature(make_project: Project, command: Command) -> None:
    """It would be in a public log."""
    make_project(settings={"target": "folder", "folder": "dist", "signing": KEYLESS})
    code, text = command("publish", tiny.SLUG, "--dry-run")
    assert code == 0, text
    assert f"tiny: would be signed by {KEYLESS['identity']}" in text


def test_the_hashes_are_not_computed_again(publish: Publish, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is signed are the manifest's hashes, which the publish compares with the bytes that it copies."""
    folder = publish()
    statement = parse((folder / SIGNATURE_FILE).read_bytes(), "", "")
    manifest = json.loads((folder / MANIFEST_FILE).read_text())
    graph = next(entry for variant in manifest["variants"] for entry in variant["files"])
    assert statement.files[graph["path"]] == graph["sha256"]
    monkeypatch.setattr("model_signing.hashing.Config.hash", None)
    publish(seed=2)
