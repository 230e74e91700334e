"""The lab's registry in front of others: asked, checked, kept, and done without when they do not answer."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from lab import oci
from lab.instances import LabError
from lab.mirror import Registries, app
from lab.mirror.upstream_registries import Limits
from lab.oci import Stores
from lab.tests.archives import layout, sha256
from lab.tests.test_mirror import served
from lab.tests.upstream_registry import Upstream
from tests.waiting import wait_for

INDEX = "application/vnd.oci.image.index.v1+json"
HUB = {"ns": "docker.io"}
PATIENT = Limits(connect=30, stall=60, manifest=60, blob=60, remember=600)
"""A busy machine is not taken for a registry that does not answer."""
HASTY = Limits(connect=30, stall=0.5, manifest=1, blob=60, remember=600)
"""For a registry that never answers."""


@pytest.fixture
def upstream() -> Upstream:
    found = Upstream()
    found.push("library/web:1.0")
    return found


@contextmanager
def fronted(folder: Path, url: str, limits: Limits = PATIENT) -> Iterator[httpx.Client]:
    """The lab's registry, in front of one that is docker.io to it."""
    with served(app(folder / "mirror", Registries(urls={"docker.io": url}, limits=limits))) as client:
        yield client


@pytest.fixture
def address(upstream: Upstream) -> Iterator[str]:
    with served(upstream.app) as client:
        yield str(client.base_url)


@pytest.fixture
def client(address: str, tmp_path: Path) -> Iterator[httpx.Client]:
    with fronted(tmp_path, address) as client:
        yield client


def manifest(client: httpx.Client, reference: str = "1.0", path: str = "library/web") -> httpx.Response:
    return client.get(f"/v2/{path}/manifests/{reference}", params=HUB)


def blob(client: httpx.Client, digest: str) -> httpx.Response:
    return client.get(f"/v2/library/web/blobs/{digest}", params=HUB)


def pull(client: httpx.Client, reference: str = "1.0") -> list[bytes]:
    """All blobs of the image that a host of the lab would take, each of the digest that is asked for."""
    index = manifest(client, reference)
    assert index.status_code == 200, index.text
    child = next(each for each in index.json()["manifests"] if each["platform"]["architecture"] == "amd64")["digest"]
    image = manifest(client, child)
    assert f"sha256:{sha256(image.content)}" == child
    parts = [image.json()["config"], *image.json()["layers"]]
    contents = [blob(client, part["digest"]).content for part in parts]
    assert [f"sha256:{sha256(content)}" for content in contents] == [part["digest"] for part in parts]
    return contents


def test_an_image_of_another_registry_is_pulled_through_and_kept(
    client: httpx.Client, upstream: Upstream, tmp_path: Path
) -> None:
    head = client.head("/v2/library/web/manifests/1.0", params=HUB)
    assert head.status_code == 200
    assert head.headers["docker-content-digest"] == upstream.tags["library/web:1.0"]
    assert head.headers["content-type"] == INDEX
    assert head.headers["content-length"] == str(len(manifest(client).content))
    first = pull(client)
    asked = upstream.count("blobs")
    assert pull(client) == first
    assert upstream.count("blobs") == asked == 2
    ((repository, tag, digest),) = Stores.of(tmp_path / "mirror").pulled.tags()
    assert (repository, tag, f"sha256:{digest}") == ("docker.io/library/web", "1.0", upstream.tags["library/web:1.0"])


def test_an_anonymous_token_is_sent_to_the_registry_only(client: httpx.Client, upstream: Upstream) -> None:
    upstream.wants_token = upstream.redirects = True
    pull(client)
    assert upstream.count("TOKEN upstream, and more repository:library/web:pull") == 1
    assert upstream.count("STORAGE None") == upstream.count("STORAGE") == 2


def test_a_private_image_says_that_the_lab_has_no_credentials(client: httpx.Client, upstream: Upstream) -> None:
    upstream.wants_token = upstream.private = True
    refused = manifest(client)
    assert refused.status_code == 403
    assert "does not exist or is private" in refused.text
    assert "./triplane image load" in refused.text


def test_a_tag_follows_its_registry_and_stays_if_that_is_down(client: httpx.Client, upstream: Upstream) -> None:
    old = manifest(client).headers["docker-content-digest"]
    new = upstream.push("library/web:1.0", "another")
    assert manifest(client).headers["docker-content-digest"] == new != old
    pull(client)
    asked = upstream.count("GET")
    assert manifest(client).headers["docker-content-digest"] == new
    assert upstream.count("GET") == asked, "what has not changed is pulled again"
    upstream.status = 503
    assert pull(client)


def test_a_tag_that_its_registry_no_longer_has_is_gone_here_too(client: httpx.Client, upstream: Upstream) -> None:
    assert pull(client)
    del upstream.tags["library/web:1.0"]
    gone = manifest(client)
    assert (gone.status_code, gone.json()["errors"][0]["code"]) == (404, "MANIFEST_UNKNOWN")


def test_what_many_ask_for_at_once_is_fetched_once(client: httpx.Client, upstream: Upstream) -> None:
    upstream.holds = True
    layer = upstream.layer()
    with ThreadPoolExecutor(max_workers=5) as pool:
        answers = [pool.submit(blob, client, layer) for _ in range(5)]
        wait_for("the fetch", lambda: bool(upstream.held))
        upstream.release()
        contents = {answer.result().content for answer in answers}
    assert upstream.count("blobs") == 1
    assert [f"sha256:{sha256(content)}" for content in contents] == [layer]


def test_a_blob_is_streamed_but_ends_only_if_its_digest_is_right(
    address: str, upstream: Upstream, tmp_path: Path
) -> None:
    upstream.holds = True
    upstream.layout.files["blobs/sha256/" + sha256(bytes(1_000_000))] = bytes(1_000_000)
    with (
        fronted(tmp_path, address) as client,
        client.stream("GET", f"/v2/library/web/blobs/sha256:{sha256(bytes(1_000_000))}", params=HUB) as response,
    ):
        assert response.headers["content-length"] == "1000000"
        pieces = response.iter_raw()
        assert len(next(pieces)) > 0
        # The first half can be here before the registry behind has noted that it holds the second one back.
        wait_for("the second half to be held back", lambda: len(upstream.held) == 1)
        upstream.release()
        assert sum(map(len, pieces)) > 400_000


@pytest.mark.parametrize("fault", ["wrong", "cut"])
def test_a_damaged_blob_is_never_complete_and_is_fetched_again(
    client: httpx.Client, upstream: Upstream, tmp_path: Path, fault: str
) -> None:
    layer = upstream.layer()
    setattr(upstream, fault, True)
    try:
        answer = blob(client, layer)
    except httpx.RemoteProtocolError:
        pass  # cut off, as it should be
    else:
        assert answer.status_code in {502, 503}, answer.text
        assert answer.json()["errors"][0]["message"]
    pulled = Stores.of(tmp_path / "mirror").pulled
    assert not pulled.blob(layer)
    wait_for("the draft to be gone", lambda: not any((pulled.directory / "blobs").iterdir()))
    upstream.wrong = upstream.cut = False
    assert f"sha256:{sha256(blob(client, layer).content)}" == layer


def test_a_registry_that_stalls_times_out_as_configured(address: str, upstream: Upstream, tmp_path: Path) -> None:
    with fronted(tmp_path, address, HASTY) as client:
        upstream.holds = True
        with contextlib.suppress(httpx.RemoteProtocolError):  # cut off, where a first part had come
            assert blob(client, upstream.layer()).status_code == 503
        assert not Stores.of(tmp_path / "mirror").pulled.blob(upstream.layer())
        upstream.release()
    with fronted(tmp_path, address, HASTY) as client:
        upstream.silent = True
        refused = manifest(client, path="library/other")
        assert refused.status_code == 503
        assert "answer" in refused.json()["errors"][0]["message"]


def test_a_manifest_of_another_digest_is_refused(client: httpx.Client, upstream: Upstream) -> None:
    digest = upstream.tags["library/web:1.0"]
    upstream.wrong = True
    refused = manifest(client, digest)
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (502, "DIGEST_INVALID")
    upstream.wrong = False
    assert manifest(client, digest).status_code == 200


@pytest.mark.parametrize(
    ("mood", "reason"),
    [
        ({"status": 500}, "it answers 500 Internal Server Error"),
        ({"status": 429}, "it allows no more pulls without an account"),
        ({"page": True}, "a web page answers in its place"),
    ],
)
def test_a_failing_registry_is_not_asked_again_for_a_while(
    client: httpx.Client, upstream: Upstream, mood: dict[str, object], reason: str
) -> None:
    for name, value in mood.items():
        setattr(upstream, name, value)
    for _ in range(3):
        refused = manifest(client, path="library/other")
        assert refused.status_code == 503
        message = refused.json()["errors"][0]["message"]
        assert reason in message
        assert "./triplane image load FILE.tar" in message
    assert upstream.count("GET") == 1


def test_an_offline_pull_fails_at_once_and_its_url_says_the_fix(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens there
        with fronted(tmp_path, f"http://127.0.0.1:{taken.getsockname()[1]}") as client:
            refused = client.head("/v2/library/web/manifests/1.0", params=HUB, follow_redirects=True)
            assert refused.status_code == 503
            assert "docker.io:-no-answer" in str(refused.url)
            assert "load-the-image-with-./triplane-image-load-FILE.tar" in str(refused.url)
            told = client.get(refused.url).json()["errors"][0]["message"]
            assert "load the image with ./triplane image load FILE.tar" in told


def test_a_loaded_image_stands_before_another_registrys(
    client: httpx.Client, upstream: Upstream, tmp_path: Path
) -> None:
    file = tmp_path / "web.tar"
    file.write_bytes(layout("docker.io/library/web:1.0", "mine"))
    with file.open("rb") as stream:
        (mine,) = oci.load(stream, Stores.of(tmp_path / "mirror"))
    assert manifest(client).headers["docker-content-digest"] == f"sha256:{mine.digest}"
    assert not upstream.asked


@pytest.mark.parametrize(
    ("path", "namespace"),
    [
        ("web", None),
        ("library/web", None),
        ("web", "localhost:5000"),
        ("web", "127.0.0.1:443"),
        ("web", "web"),
        ("web", "evil.example.com/v2/x"),
        ("web", "user@evil.example.com"),
        ("../../token", "docker.io"),
    ],
)
def test_what_is_not_a_registrys_name_is_asked_nowhere(
    client: httpx.Client, upstream: Upstream, path: str, namespace: str | None
) -> None:
    answer = client.get(f"/v2/{path}/manifests/1.0", params=None if namespace is None else {"ns": namespace})
    assert answer.status_code == 404
    assert not upstream.asked


def test_the_environment_gives_registry_addresses_or_none() -> None:
    read = Registries.from_environment
    found = read(
        {"TRIPLANE_REGISTRIES": "docker.io=https://mirror.example.com/hub/, localhost:5000=http://127.0.0.1:5000"}
    )
    assert found
    assert found.url("docker.io") == "https://mirror.example.com/hub"
    assert found.url("localhost:5000") == "http://127.0.0.1:5000"
    assert found.url("ghcr.io") == "https://ghcr.io"
    default = read({})
    assert default
    assert default.url("docker.io") == "https://registry-1.docker.io"
    assert default.url("localhost:5000") is None
    assert read({"TRIPLANE_REGISTRIES": "none"}) is None


@pytest.mark.parametrize(
    "text", ["docker.io", "docker.io=mirror", "=https://x", "a b=https://x", "x.io=https://me:pw@x"]
)
def test_a_wrong_list_of_registries_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(LabError, match=r"TRIPLANE_REGISTRIES: .* is not REGISTRY=URL: write none, or for example"):
        Registries.from_environment({"TRIPLANE_REGISTRIES": text})
