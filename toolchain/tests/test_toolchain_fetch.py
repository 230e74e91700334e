"""Taking a release from a download server: what comes of it in each mode, however the server behaves."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import re
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from toolchain import (
    Build,
    Download,
    Limits,
    Mode,
    Origin,
    Program,
    Progress,
    Step,
    ToolchainError,
    Upstream,
    build,
    builder,
    cached,
    go,
    host_arch,
    release_catalog,
    take_release,
)
from toolchain import upstream as upstreams
from toolchain.programs import PULUMI_RELEASE
from toolchain.release_catalog import Catalog, Entry
from toolchain.tests.upstreams import Behaviour, Handler, Server, serving

ARCH = host_arch()
CONTENT = bytes(range(256)) * 40
FILE = f"/3.6.14/etcd-{ARCH}"
PATIENT = Limits(probe=30.0, connect=30.0, stall=30.0, pause=0.01)
"""For servers that answer, on however busy a machine."""
IMPATIENT = dataclasses.replace(PATIENT, stall=0.3)
"""For servers that answer, and then do not go on."""
HASTY = dataclasses.replace(IMPATIENT, probe=0.3)
"""For servers that never answer."""


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture(autouse=True)
def no_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """A build that gets as far as looking for Go says so."""

    def looked(*_: object) -> go.Go:
        raise ToolchainError("it came to a build")

    monkeypatch.setattr(builder, "_go", looked)


def program(*downloads: Download) -> Program:
    binaries = [member for download in downloads for member in download.members]
    return Program(
        name="etcd",  # an existing module folder, which a fetched release has no need of
        versions=("3.6.14",),
        module="example.test/etcd",
        packages=dict.fromkeys(binaries, "example.test/etcd"),
        downloads=downloads,
    )


def plain(address: str, file: str = "etcd") -> Download:
    return Download(file=file, url=f"{address}/{{version}}/{file}-{{arch}}", members=(file,))


def listed(*downloads: tuple[Download, bytes]) -> Catalog:
    return {
        "etcd": {
            "3.6.14": {
                one.file: Entry(url=one.url, sha256={ARCH: hashlib.sha256(content).hexdigest()})
                for one, content in downloads
            }
        }
    }


def asking(catalog: Catalog, mode: Mode = Mode.PROBE, *, mirror: str = "", limits: Limits = PATIENT) -> Upstream:
    return Upstream(mode=mode, catalog=catalog, limits=limits, mirror=mirror)


@pytest.fixture(autouse=True)
def nothing_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the person who runs the tests wants of the releases is not what these tests are about."""
    for name in (
        upstreams.BUILD_VARIABLE,
        upstreams.FETCH_VARIABLE,
        upstreams.UPSTREAM_VARIABLE,
        upstreams.CATALOG_VARIABLE,
    ):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def etcd(server: Server) -> Download:
    """One file, which the server has."""
    server.files[FILE] = CONTENT
    return plain(server.address)


def kept(cache: Path) -> list[str]:
    """Names of all files in the cache that someone could take for a release or a binary."""
    return sorted(
        file.name
        for file in cache.rglob("*")
        if file.is_file() and not file.name.startswith(".") and file.suffix != ".part"
    )


def test_a_release_is_taken_when_its_digest_is_the_pinned_one(server: Server, etcd: Download, tmp_path: Path) -> None:
    told: list[Progress] = []
    result = build(program(etcd), upstream=asking(listed((etcd, CONTENT))), cache=tmp_path, on_progress=told.append)
    assert result.path("etcd").read_bytes() == CONTENT
    assert result.path("etcd").stat().st_mode & 0o777 == 0o755
    assert result.origin is Origin.RELEASE
    assert result.built_from == f"upstream's release, {server.address}{FILE}"
    assert result.release["etcd"].read_bytes() == CONTENT
    assert [progress.step for progress in told][-2:] == [Step.FETCHING, Step.READY]


@pytest.mark.parametrize("behaviour", [Handler.half_once, Handler.whole_again, Handler.overloaded_once])
@pytest.mark.parametrize("mode", [Mode.PROBE, Mode.FETCH])
def test_a_download_that_broke_off_goes_on(
    server: Server, etcd: Download, tmp_path: Path, mode: Mode, behaviour: Behaviour
) -> None:
    server.behaviours[FILE] = behaviour
    upstream = asking(listed((etcd, CONTENT)), mode)
    upstream.probe([etcd.address("3.6.14", ARCH).replace("etcd-", "another-")])
    server.asked.clear()
    assert build(program(etcd), upstream=upstream, cache=tmp_path).path("etcd").read_bytes() == CONTENT
    resumed = "" if behaviour is Handler.overloaded_once else f"bytes={len(CONTENT) // 2}-"
    assert server.ranges(FILE) == ["", resumed]


def test_a_download_resumes_where_an_earlier_run_stopped(server: Server, etcd: Download, tmp_path: Path) -> None:
    server.behaviours[FILE] = Handler.half
    upstream = asking(listed((etcd, CONTENT)), Mode.FETCH)
    with pytest.raises(ToolchainError, match="What has arrived is kept"):
        build(program(etcd), upstream=upstream, cache=tmp_path)
    assert kept(tmp_path) == []
    del server.behaviours[FILE]
    server.asked.clear()
    upstream = asking(listed((etcd, CONTENT)), Mode.FETCH)
    assert build(program(etcd), upstream=upstream, cache=tmp_path).path("etcd").read_bytes() == CONTENT
    assert server.ranges(FILE) == [f"bytes={len(CONTENT) // 2}-"]


@pytest.mark.parametrize("leftover", [b"of another file", CONTENT + b"and more", CONTENT])
def test_leftovers_of_any_kind_do_not_spoil_a_file(
    server: Server, etcd: Download, tmp_path: Path, leftover: bytes
) -> None:
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    part = tmp_path / "releases" / sha256 / f"etcd-{ARCH}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(leftover)
    upstream = asking(listed((etcd, CONTENT)), Mode.FETCH)
    assert build(program(etcd), upstream=upstream, cache=tmp_path).path("etcd").read_bytes() == CONTENT
    assert not part.exists()
    assert (server.asked == []) == (leftover == CONTENT)


def test_a_file_that_was_checked_is_never_fetched_again(server: Server, tmp_path: Path) -> None:
    """Not even where its release was not finished: the second of its files was not there."""
    one, other = plain(server.address), plain(server.address, "etcdctl")
    server.files[FILE] = CONTENT
    upstream = asking(listed((one, CONTENT), (other, b"the client")), Mode.FETCH)
    with pytest.raises(ToolchainError, match=f"etcdctl-{ARCH}: it answers 404"):
        build(program(one, other), upstream=upstream, cache=tmp_path)
    server.files[f"/3.6.14/etcdctl-{ARCH}"] = b"the client"
    build(program(one, other), upstream=upstream, cache=tmp_path)
    build(program(one, other), upstream=upstream, cache=tmp_path)
    assert server.ranges(FILE) == [""]


def test_ctrl_c_leaves_nothing_that_looks_finished(server: Server, etcd: Download, tmp_path: Path) -> None:
    def interrupt(progress: Progress) -> None:
        if progress.total:
            raise KeyboardInterrupt

    upstream = asking(listed((etcd, CONTENT)), Mode.FETCH)
    with pytest.raises(KeyboardInterrupt):
        build(program(etcd), upstream=upstream, cache=tmp_path, on_progress=interrupt)
    assert kept(tmp_path) == []
    assert build(program(etcd), upstream=upstream, cache=tmp_path).path("etcd").read_bytes() == CONTENT


# --- servers that have no right file, in each mode

WRONG = "has the SHA-256"
BAD = {
    "absent": (None, "it answers 404 Not Found", PATIENT),
    "breaks off": (Handler.half, "peer closed connection", PATIENT),
    "stalls": (Handler.drip, r"it stalls: less than 10 kB/s for 0\.3 s|timed out", IMPATIENT),
    "is silent": (Handler.silence, r"no answer within 0\.3 s|timed out", HASTY),
    "is a login page": (Handler.login, f"it answers with a web page|{WRONG}", PATIENT),
    "is blocked": (Handler.forbidden, "it answers 403 Forbidden", PATIENT),
}


def misbehave(server: Server, how: str) -> None:
    behaviour = BAD[how][0]
    if behaviour:
        server.behaviours[FILE] = behaviour
    else:
        del server.files[FILE]


@pytest.mark.parametrize("how", BAD)
def test_what_cannot_be_taken_is_built_with_a_line_of_why(
    server: Server, etcd: Download, tmp_path: Path, how: str
) -> None:
    misbehave(server, how)
    told: list[Progress] = []
    upstream = asking(listed((etcd, CONTENT)), limits=BAD[how][2])
    with pytest.raises(ToolchainError, match="it came to a build"):
        build(program(etcd), upstream=upstream, cache=tmp_path, on_progress=told.append)
    last = told[-1]
    assert last.step is Step.NO_RELEASE
    assert server.address.removeprefix("http://") in last.detail
    assert "\n" not in str(last)
    assert re.search(BAD[how][1], str(last)), last
    assert kept(tmp_path) == []


@pytest.mark.parametrize("how", BAD)
def test_where_releases_alone_are_wanted_that_is_an_error(
    server: Server, etcd: Download, tmp_path: Path, how: str
) -> None:
    misbehave(server, how)
    upstream = asking(listed((etcd, CONTENT)), Mode.FETCH, limits=BAD[how][2])
    with pytest.raises(ToolchainError, match=rf"(?s)etcd 3\.6\.14: .*({BAD[how][1]}).*unset TRIPLANE_FETCH"):
        build(program(etcd), upstream=upstream, cache=tmp_path)
    assert kept(tmp_path) == []


@pytest.mark.parametrize("mode", [Mode.PROBE, Mode.FETCH])
def test_a_wrong_file_is_never_used_and_loudly_told(server: Server, etcd: Download, tmp_path: Path, mode: Mode) -> None:
    server.files[FILE] = b"not the release"
    told: list[Progress] = []
    came_to = "it came to a build" if mode is Mode.PROBE else r"but [0-9a-f]{64} is pinned.*\n.*proxy"
    with pytest.raises(ToolchainError, match=came_to):
        build(program(etcd), upstream=asking(listed((etcd, CONTENT)), mode), cache=tmp_path, on_progress=told.append)
    if mode is Mode.PROBE:
        assert told[-1].step is Step.WRONG_RELEASE
        assert f"{server.address}{FILE} {WRONG}" in told[-1].detail
    assert kept(tmp_path) == []


@pytest.mark.parametrize("mode", [Mode.PROBE, Mode.FETCH])
def test_a_file_without_a_pinned_digest_is_not_taken(
    server: Server, etcd: Download, tmp_path: Path, mode: Mode
) -> None:
    told: list[Progress] = []
    with pytest.raises(ToolchainError) as caught:
        build(program(etcd), upstream=asking({}, mode), cache=tmp_path, on_progress=told.append)
    assert f"no digest of etcd 3.6.14 for {ARCH} is pinned" in str(told[-1] if mode is Mode.PROBE else caught.value)
    assert FILE not in [path for path, _ in server.asked[1:]]  # the first is the probe's


def test_where_all_is_to_be_built_no_server_is_asked(server: Server, etcd: Download, tmp_path: Path) -> None:
    told: list[Progress] = []
    upstream = asking(listed((etcd, CONTENT)), Mode.BUILD)
    builder.probe([(program(etcd), None)], upstream, cache=tmp_path)
    with pytest.raises(ToolchainError, match="it came to a build"):
        build(program(etcd), upstream=upstream, cache=tmp_path, on_progress=told.append)
    assert server.asked == []
    assert told == []


def test_programs_without_a_release_are_built_in_fetch_mode(tmp_path: Path) -> None:
    with pytest.raises(ToolchainError, match="it came to a build"):
        build("kubernetes-images", upstream=asking({}, Mode.FETCH), cache=tmp_path)


def test_a_forced_mode_replaces_the_result_of_the_other_mode(
    server: Server, etcd: Download, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def compiled(_program: Program, _version: str, _go: go.Go, staging: Path, _tell: object) -> None:
        (staging / "etcd").write_bytes(b"compiled here")

    monkeypatch.setattr(builder, "_go", lambda *_: go.Go(tmp_path, (1, 26, 0)))
    monkeypatch.setattr(builder, "_compile", compiled)

    def made(mode: Mode) -> Build:
        return build(program(etcd), upstream=asking(listed((etcd, CONTENT)), mode), cache=tmp_path)

    assert made(Mode.BUILD).origin is Origin.SOURCE
    assert made(Mode.PROBE).origin is Origin.SOURCE
    assert server.asked == []
    assert cached(program(etcd), mode=Mode.FETCH, cache=tmp_path) is None
    assert made(Mode.FETCH).origin is Origin.RELEASE
    asked = len(server.asked)
    assert made(Mode.PROBE).path("etcd").read_bytes() == CONTENT
    assert len(server.asked) == asked
    assert cached(program(etcd), mode=Mode.BUILD, cache=tmp_path) is None
    assert made(Mode.BUILD).path("etcd").read_bytes() == b"compiled here"


# --- archives


def archive(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def packed(server: Server, content: bytes) -> Download:
    server.files[f"/etcd-{ARCH}.tar.gz"] = content
    return Download(file="etcd", url=f"{server.address}/etcd-{{arch}}.tar.gz", members=("etcd", "etcdctl"))


def test_archive_binaries_are_unpacked_from_any_folder(server: Server, tmp_path: Path) -> None:
    content = archive({"etcd-v3/etcd": b"server", "etcd-v3/etcdctl": b"client", "etcd-v3/README.md": b"text"})
    download = packed(server, content)
    result = build(program(download), upstream=asking(listed((download, content))), cache=tmp_path)
    assert {name: result.path(name).read_bytes() for name in result.sha256} == {"etcd": b"server", "etcdctl": b"client"}
    assert result.release["etcd"].read_bytes() == content


@pytest.mark.parametrize(
    ("content", "why"),
    [(archive({"etcd-v3/etcd": b"server"}), "the archive has no etcdctl"), (b"no archive", "cannot be read")],
)
def test_an_archive_that_is_not_as_it_should_be_is_not_taken(
    server: Server, tmp_path: Path, content: bytes, why: str
) -> None:
    download = packed(server, content)
    told: list[Progress] = []
    upstream = asking(listed((download, content)))
    with pytest.raises(ToolchainError, match="it came to a build"):
        build(program(download), upstream=upstream, cache=tmp_path, on_progress=told.append)
    assert why in told[-1].detail


# --- the probe


def test_hosts_are_probed_side_by_side(tmp_path: Path) -> None:
    both = threading.Barrier(2, timeout=PATIENT.probe)

    def when_both_are_asked(handler: Handler, content: bytes) -> None:
        both.wait()
        handler.well(content)

    with serving() as first, serving() as second:
        for server in (first, second):
            server.files[FILE] = CONTENT
            server.behaviours[FILE] = when_both_are_asked
        one, other = plain(first.address), plain(second.address, "etcdctl")
        second.files[f"/3.6.14/etcdctl-{ARCH}"] = second.files.pop(FILE)
        second.behaviours[f"/3.6.14/etcdctl-{ARCH}"] = second.behaviours.pop(FILE)
        upstream = asking(listed((one, CONTENT), (other, CONTENT)))
        builder.probe([(program(one, other), None)], upstream, cache=tmp_path)
        first.behaviours.clear()
        second.behaviours.clear()
        assert build(program(one, other), upstream=upstream, cache=tmp_path).origin is Origin.RELEASE


def test_a_host_that_does_not_answer_is_asked_once(server: Server, etcd: Download, tmp_path: Path) -> None:
    server.behaviours[FILE] = Handler.silence
    upstream = asking(listed((etcd, CONTENT)), limits=HASTY)
    for _ in range(2):
        with pytest.raises(ToolchainError, match="it came to a build"):
            build(program(etcd), upstream=upstream, cache=tmp_path)
    assert len(server.asked) == 1


def test_nobody_is_probed_where_the_cache_has_all(server: Server, etcd: Download, tmp_path: Path) -> None:
    build(program(etcd), upstream=asking(listed((etcd, CONTENT))), cache=tmp_path)
    server.asked.clear()
    builder.probe([(program(etcd), None)], asking({}), cache=tmp_path)
    build(program(etcd), upstream=asking({}), cache=tmp_path)
    assert server.asked == []


def test_a_host_that_stalled_is_not_waited_for_again(server: Server, etcd: Download, tmp_path: Path) -> None:
    server.behaviours[FILE] = Handler.drip
    other = plain(server.address, "etcdctl")
    server.files[f"/3.6.14/etcdctl-{ARCH}"] = CONTENT
    upstream = asking(listed((etcd, CONTENT), (other, CONTENT)), limits=IMPATIENT)
    for one in (etcd, other):
        with pytest.raises(ToolchainError, match="it came to a build"):
            build(program(one), upstream=upstream, cache=tmp_path)
    assert server.ranges(f"/3.6.14/etcdctl-{ARCH}") == []


def test_a_machine_without_a_network_says_so_at_once(tmp_path: Path) -> None:
    etcd = plain("http://127.0.0.1:9")  # the discard port: nobody listens
    told: list[Progress] = []
    with pytest.raises(ToolchainError, match="it came to a build"):
        build(program(etcd), upstream=asking(listed((etcd, CONTENT))), cache=tmp_path, on_progress=told.append)
    assert told[-1].detail == "127.0.0.1:9: [Errno 111] Connection refused"


# --- what the environment asks for


@pytest.mark.parametrize(
    ("environment", "mode"),
    [
        ({}, Mode.PROBE),
        ({"TRIPLANE_BUILD": "0", "TRIPLANE_FETCH": ""}, Mode.PROBE),
        ({"TRIPLANE_BUILD": "1"}, Mode.BUILD),
        ({"TRIPLANE_FETCH": "1"}, Mode.FETCH),
    ],
)
def test_the_environment_says_where_programs_come_from(environment: dict[str, str], mode: Mode) -> None:
    assert Upstream.from_environment(environment).mode is mode


def test_both_at_once_are_refused() -> None:
    with pytest.raises(ToolchainError, match="TRIPLANE_BUILD=1 and TRIPLANE_FETCH=1 contradict each other"):
        Upstream.from_environment({"TRIPLANE_BUILD": "1", "TRIPLANE_FETCH": "1"})


def test_a_mirror_that_is_no_url_is_refused() -> None:
    with pytest.raises(ToolchainError, match=r"TRIPLANE_UPSTREAM=mirror\.example is not a URL: write http://HOST"):
        Upstream.from_environment({"TRIPLANE_UPSTREAM": "mirror.example"})


@pytest.mark.parametrize("mode", [Mode.PROBE, Mode.FETCH])
def test_a_proxy_that_cannot_be_used_is_told(
    server: Server, etcd: Download, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: Mode
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ALL_PROXY", "gopher://127.0.0.1:9")
    told: list[Progress] = []
    with pytest.raises(ToolchainError) as caught:
        build(program(etcd), upstream=asking(listed((etcd, CONTENT)), mode), cache=tmp_path, on_progress=told.append)
    said = str(told[-1] if mode is Mode.PROBE else caught.value)
    assert "the proxy that is set cannot be used" in said
    assert server.asked == []


def test_a_mirror_with_its_own_catalog_replaces_upstream(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    etcd = plain("https://upstream.example")
    server.files[f"/below/upstream.example{FILE}"] = CONTENT
    release_catalog.dump(listed((etcd, CONTENT)), tmp_path / "releases.yaml")
    monkeypatch.setenv(upstreams.FETCH_VARIABLE, "1")
    monkeypatch.setenv(upstreams.UPSTREAM_VARIABLE, f"{server.address}/below/")
    monkeypatch.setenv(upstreams.CATALOG_VARIABLE, str(tmp_path / "releases.yaml"))
    assert build(program(etcd), cache=tmp_path).path("etcd").read_bytes() == CONTENT


def test_a_catalog_that_is_none_is_told_with_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "releases.yaml").write_text("etcd: [1]\n")
    monkeypatch.setenv(upstreams.CATALOG_VARIABLE, str(tmp_path / "releases.yaml"))
    with pytest.raises(ToolchainError, match=r"releases\.yaml is not a catalog"):
        build(program(plain("http://127.0.0.1:9")), cache=tmp_path)


# --- Pulumi's own release, whose digest is in a list of upstream's

VERSION = PULUMI_RELEASE.versions[0]
TARBALL = PULUMI_RELEASE.downloads[0].address(VERSION, ARCH).removeprefix("https:/")
LIST = PULUMI_RELEASE.downloads[0].list_address(VERSION, ARCH).removeprefix("https:/")


@pytest.fixture
def pulumi(server: Server) -> Upstream:
    """A mirror with the archive and the list, as upstream has them."""
    server.files[TARBALL] = archive({f"pulumi/{name}": name.encode() for name in PULUMI_RELEASE.binaries})
    digest = hashlib.sha256(server.files[TARBALL]).hexdigest()
    others = "".join(f"{'0' * 64}  pulumi-v{VERSION}-{system}.tar.gz\n" for system in ("darwin-x64", "windows-x64"))
    server.files[LIST] = f"{others}{digest}  {TARBALL.rsplit('/', 1)[1]}\n".encode()
    return asking({}, mirror=server.address)


def test_the_archive_and_the_list_are_upstreams_on_two_hosts() -> None:
    assert TARBALL.startswith("/github.com/pulumi/pulumi/releases/download/v3.")
    assert TARBALL.endswith({"amd64": "-linux-x64.tar.gz", "arm64": "-linux-arm64.tar.gz"}[ARCH])
    assert f"/get.pulumi.com/releases/sdk/pulumi-{VERSION}-checksums.txt" == LIST


def test_pulumis_release_is_checked_against_upstreams_list(pulumi: Upstream, server: Server, tmp_path: Path) -> None:
    made = take_release(PULUMI_RELEASE, upstream=pulumi, cache=tmp_path)
    assert made
    assert made.path("pulumi-language-python").read_bytes() == b"pulumi-language-python"
    server.asked.clear()
    assert take_release(PULUMI_RELEASE, upstream=pulumi, cache=tmp_path) == made
    assert server.asked == []


@pytest.mark.parametrize("content", [b"", b"zzz  pulumi\n", b"<html>log in</html>"])
def test_a_list_without_the_file_is_no_reason_to_trust_it(
    pulumi: Upstream, server: Server, tmp_path: Path, content: bytes
) -> None:
    server.files[LIST] = content
    told: list[Progress] = []
    assert take_release(PULUMI_RELEASE, upstream=pulumi, cache=tmp_path, on_progress=told.append) is None
    assert "it has no SHA-256 of pulumi-v" in told[-1].detail
    assert kept(tmp_path) == []


def test_a_list_that_changed_since_the_first_time_is_loudly_told(
    pulumi: Upstream, server: Server, tmp_path: Path
) -> None:
    assert take_release(PULUMI_RELEASE, upstream=pulumi, cache=tmp_path)
    (tmp_path / "bin/pulumi-release" / VERSION / ARCH / "pulumi").unlink()
    server.files[TARBALL] = archive({f"pulumi/{name}": b"evil" for name in PULUMI_RELEASE.binaries})
    digest = hashlib.sha256(server.files[TARBALL]).hexdigest()
    server.files[LIST] = f"{digest} *release/{TARBALL.rsplit('/', 1)[1]}\n".encode()
    told: list[Progress] = []
    again = asking({}, mirror=server.address)
    assert take_release(PULUMI_RELEASE, upstream=again, cache=tmp_path, on_progress=told.append) is None
    assert told[-1].step is Step.WRONG_RELEASE
    assert "before" in told[-1].detail
    assert list(json.loads((tmp_path / "releases/first-use.json").read_text())) == [f"https:/{TARBALL}"]
