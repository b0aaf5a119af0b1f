"""Repositories on the loopback Hub: who may create, see and change them."""

from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

from stages.hub.http_library import any_error
from tests.loopback_hub.client import add, commit, noise, status_of
from tools.loopback_hub import Hub


def test_create_repo(api: HfApi, hub: Hub) -> None:
    """A new repo is private if asked for, begins with .gitattributes, and is made once."""
    url = api.create_repo("acme/fresh", private=True)
    assert (url.repo_id, url.repo_type, str(url)) == ("acme/fresh", "model", f"{hub.endpoint}/acme/fresh")
    assert api.create_repo("acme/fresh", exist_ok=True).repo_id == "acme/fresh"
    with pytest.raises(HfHubHTTPError, match="You already created this model repo") as caught:
        api.create_repo("acme/fresh")
    assert status_of(caught.value) == 409
    assert api.model_info("acme/fresh").private is True
    assert api.list_repo_files("acme/fresh") == [".gitattributes"]
    assert api.create_repo("mine").repo_id == "publisher/mine"


def test_create_repo_in_a_foreign_namespace(api: HfApi, reader: HfApi) -> None:
    """Neither a token of somebody else nor one that may only read creates a repo."""
    for client, repo_id in ((api, "globex/model"), (reader, "acme/model")):
        with pytest.raises(HfHubHTTPError) as caught:
            client.create_repo(repo_id)
        assert status_of(caught.value) == 403


def test_whoami(api: HfApi, reader: HfApi, hub: Hub) -> None:
    """Whoami names the user and the token's role, and refuses a token that is unknown or revoked."""
    me = api.whoami()
    assert (me["name"], me["auth"]["accessToken"]["role"]) == ("publisher", "write")
    assert "acme" in [org["name"] for org in me["orgs"]]
    assert reader.whoami()["auth"]["accessToken"]["role"] == "read"
    hub.tokens.revoke(hub.tokens.read)
    with pytest.raises(any_error(), match="Invalid user token"):
        reader.whoami()


def test_repo_exists(api: HfApi, anonymous: HfApi, hub: Hub, model: str) -> None:
    """A private repo exists for its members only."""
    hub.store.create_repo("acme/private", private=True)
    assert api.repo_exists(model)
    assert anonymous.repo_exists(model)
    assert not api.repo_exists("acme/absent")
    assert not anonymous.repo_exists("acme/absent")
    assert api.repo_exists("acme/private")
    assert not anonymous.repo_exists("acme/private")


@pytest.mark.parametrize("as_stranger", [True, False])
def test_private_repo(hub: Hub, stranger: HfApi, anonymous: HfApi, tmp_path: Path, as_stranger: bool) -> None:
    """To those outside, a private repo is a repo that is not there, with a token (404) and without (401)."""
    hub.store.create_repo("acme/private", private=True)
    client = stranger if as_stranger else anonymous
    calls: list[Callable[[], object]] = [
        lambda: client.model_info("acme/private"),
        lambda: client.list_repo_files("acme/private"),
        lambda: client.list_repo_commits("acme/private"),
        lambda: client.hf_hub_download("acme/private", ".gitattributes", cache_dir=tmp_path),
    ]
    for call in calls:
        with pytest.raises(RepositoryNotFoundError) as caught:
            call()
        assert status_of(caught.value) == (404 if as_stranger else 401)


def test_gated_repo(hub: Hub, stranger: HfApi, anonymous: HfApi, api: HfApi, tmp_path: Path) -> None:
    """A gated repo shows its metadata to all and its files to its members and those on the list."""
    hub.store.create_repo("acme/gated", gated="manual")
    hub.store.commit("acme/gated", {"config.json": b"{}"})
    for client, status in ((stranger, 403), (anonymous, 401)):
        assert client.model_info("acme/gated").gated == "manual"
        with pytest.raises(GatedRepoError, match="Access to model acme/gated is restricted") as caught:
            client.hf_hub_download("acme/gated", "config.json", cache_dir=tmp_path / "none")
        assert status_of(caught.value) == status
        with pytest.raises(GatedRepoError):
            client.auth_check("acme/gated")
    hub.store.grant_access("acme/gated", "stranger")
    for client in (stranger, api):
        path = client.hf_hub_download("acme/gated", "config.json", cache_dir=tmp_path / str(id(client)))
        assert Path(path).read_bytes() == b"{}"
    api.update_repo_settings("acme/gated", gated=False)
    assert anonymous.file_exists("acme/gated", "config.json")


def test_read_token_cannot_write(reader: HfApi, hub: Hub, model: str) -> None:
    """A token with the right to read changes nothing, whatever it tries."""
    before = hub.store.repo(model)
    calls: list[Callable[[], object]] = [
        lambda: commit(reader),
        lambda: commit(reader, create_pr=True),
        lambda: reader.create_branch(model, branch="mine"),
        lambda: reader.create_tag(model, tag="v1"),
        lambda: reader.create_pull_request(model, title="Mine"),
        lambda: reader.delete_repo(model),
        lambda: reader.move_repo(model, "acme/moved"),
        lambda: reader.update_repo_settings(model, private=True),
    ]
    for call in calls:
        with pytest.raises(HfHubHTTPError) as caught:
            call()
        assert status_of(caught.value) == 403
    assert hub.store.repo(model) == before


def test_renamed_repo(api: HfApi, hub: Hub, model: str, tmp_path: Path) -> None:
    """Requests for the old name of a repo are redirected: reads, downloads and commits."""
    api.move_repo(model, "acme/renamed")
    assert api.model_info(model).id == "acme/renamed"
    assert [row.title for row in api.list_repo_commits(model)] == ["Add the model", "initial commit"]
    assert Path(api.hf_hub_download(model, "config.json", cache_dir=tmp_path)).read_bytes() == b"{}\n"
    assert Path(api.hf_hub_download(model, "onnx/model.onnx", cache_dir=tmp_path)).read_bytes() == noise(5_000)
    commit(api, add("more.onnx", noise(100, seed=1)))
    assert hub.store.read("acme/renamed", "more.onnx") == noise(100, seed=1)
    assert 307 in [record.status for record in hub.requests]
    api.delete_repo("acme/renamed")
    assert not api.repo_exists("acme/renamed")
