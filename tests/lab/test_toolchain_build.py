"""Builds of small Go modules, made for real: progress, caching, locking, interruption and errors."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.config import cache_directory
from lab.toolchain import Build, Program, Progress, Step, ToolchainError, build, cached, go, host_arch
from lab.toolchain.errors import failure
from lab.toolchain.store import locked

MAIN = """package main

import "example.test/hello/greeting"

var version = "unstamped"

func main() { println(greeting.Text, version) }
"""


@pytest.fixture(scope="session", autouse=True)
def compiler() -> go.Go:
    """A Go for the builds below: a fresh machine gets one, like it does for the programs themselves."""
    cache = cache_directory()
    return go.find((1, 26, 0), cache) or go.install((1, 26, 0), cache)


@pytest.fixture(autouse=True)
def path_with_go(compiler: go.Go, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{compiler.binary.parent}:{os.environ['PATH']}")


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """A program of two packages and no dependencies."""
    folder = tmp_path / "modules" / "hello-1.2.3"
    (folder / "greeting").mkdir(parents=True)
    (folder / "go.mod").write_text("module example.test/hello\n\ngo 1.26\n")
    (folder / "go.sum").touch()
    (folder / "main.go").write_text(MAIN)
    (folder / "greeting/greeting.go").write_text(f'package greeting\n\nconst Text = "hello from {tmp_path.name}"\n')
    (folder / "hello-helper").write_text("#!/bin/sh\necho helping\n")
    return Program(
        name="hello",
        versions=("1.2.3",),
        module="example.test/hello",
        packages={"greeter": "example.test/hello"},
        stamps={"main.version": "{version}"},
        scripts=("hello-helper",),
        pins=tmp_path / "modules",
    )


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def run(*command: str | Path) -> str:
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    return (result.stdout + result.stderr).strip()


def steps(told: list[Progress]) -> list[Step]:
    return list(dict.fromkeys(progress.step for progress in told))


def entries(cache: Path) -> set[str]:
    """Names of all that is in the program's folder of the cache, but for the lock."""
    return {entry.name for entry in (cache / "bin/hello/1.2.3").iterdir() if not entry.name.endswith(".lock")}


def test_a_build_has_the_binary_with_its_version_and_the_scripts(program: Program, cache: Path, tmp_path: Path) -> None:
    result = build(program, cache=cache)
    assert result.directory == cache / "bin/hello/1.2.3" / result.arch
    assert run(result.path("greeter")) == f"hello from {tmp_path.name} 1.2.3"
    assert run(result.path("hello-helper")) == "helping"
    assert set(result.sha256) == {"greeter", "hello-helper"}
    assert result.built_from.startswith("Go module example.test/hello v1.2.3 with go1.")


def test_progress_counts_the_packages_up_to_the_last_and_ends_ready(program: Program, cache: Path) -> None:
    told: list[Progress] = []
    build(program, cache=cache, on_progress=told.append)
    assert steps(told) == [Step.PLANNING, Step.COMPILING, Step.LINKING, Step.READY]
    counts = [(progress.done, progress.total) for progress in told if progress.step is Step.COMPILING]
    assert [done for done, _ in counts] == list(range(1, len(counts) + 1))
    assert {total for _, total in counts} == {len(counts)}
    assert "compiling packages 1/" in next(str(progress) for progress in told if progress.step is Step.COMPILING)


def test_the_second_build_is_the_first_one_again_and_needs_no_go(
    program: Program, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = build(program, cache=cache)
    monkeypatch.setattr(go, "find", lambda *_: pytest.fail("a cached build looked for Go"))
    told: list[Progress] = []
    assert build(program, cache=cache, on_progress=told.append) == first
    assert steps(told) == [Step.READY]
    assert cached(program, cache=cache) == first


@pytest.mark.parametrize("change", ["pins", "stamp", "packages"])
def test_another_recipe_is_another_build(program: Program, cache: Path, change: str) -> None:
    build(program, cache=cache)
    match change:
        case "pins":
            with (program.folder("1.2.3") / "go.mod").open("a") as pins:
                pins.write("// pinned anew\n")
        case "stamp":
            program = dataclasses.replace(program, stamps={"main.version": "v{version}"})
        case "packages":
            program = dataclasses.replace(program, packages={"other": "example.test/hello"})
    assert cached(program, cache=cache) is None
    result = build(program, cache=cache)
    assert run(result.path(next(iter(program.packages)))).endswith(" v1.2.3" if change == "stamp" else " 1.2.3")
    assert entries(cache) == {result.arch}


@pytest.mark.parametrize("damage", ["gone", "cut short", "no stamp"])
def test_a_damaged_build_is_made_again(program: Program, cache: Path, damage: str) -> None:
    first = build(program, cache=cache)
    match damage:
        case "gone":
            first.path("greeter").unlink()
        case "cut short":
            os.truncate(first.path("greeter"), 100)
        case "no stamp":
            (first.directory / ".build.json").write_text("{")
    assert cached(program, cache=cache) is None
    assert build(program, cache=cache).sha256 == first.sha256


def test_of_two_builds_at_once_one_waits_and_takes_what_the_other_made(program: Program, cache: Path) -> None:
    told: dict[str, list[Progress]] = {"first": [], "second": []}
    results: dict[str, Build] = {}
    first_is_at_it, second_waits = threading.Event(), threading.Event()

    def first_tells(progress: Progress) -> None:
        told["first"].append(progress)
        first_is_at_it.set()
        assert second_waits.wait(60)

    def second_tells(progress: Progress) -> None:
        told["second"].append(progress)
        second_waits.set()

    first = threading.Thread(target=lambda: results.update(one=build(program, cache=cache, on_progress=first_tells)))
    first.start()
    assert first_is_at_it.wait(60)
    results["two"] = build(program, cache=cache, on_progress=second_tells)
    first.join(60)
    assert results["one"] == results["two"]
    assert Step.LINKING in steps(told["first"])
    assert steps(told["second"]) == [Step.WAITING, Step.READY]


def test_an_interrupted_build_leaves_nothing_and_the_next_one_finishes(program: Program, cache: Path) -> None:
    told: list[Progress] = []

    def interrupt(progress: Progress) -> None:
        told.append(progress)
        if progress.step is Step.COMPILING:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(program, cache=cache, on_progress=interrupt)
    assert told[-1].step is Step.COMPILING
    assert entries(cache) == set()
    assert run(build(program, cache=cache).path("greeter")).endswith("1.2.3")


def test_leftovers_of_a_killed_build_are_cleared_by_the_next(program: Program, cache: Path) -> None:
    leftover = cache / "bin/hello/1.2.3" / f".{host_arch()}-killed"
    leftover.mkdir(parents=True)
    (leftover / "greeter").write_text("half a binary")
    result = build(program, cache=cache)
    assert entries(cache) == {result.arch}


def test_a_lock_is_held_against_others_and_let_go_at_the_end(tmp_path: Path) -> None:
    waited: list[str] = []
    with locked(tmp_path / "lock", lambda: waited.append("first")):
        second = threading.Thread(target=lambda: _lock_once(tmp_path / "lock", waited))
        second.start()
        deadline = threading.Event()
        while not waited and not deadline.wait(0.01):
            assert second.is_alive()
        assert waited == ["second waits"]
    second.join(10)
    assert waited == ["second waits", "second has it"]


def _lock_once(file: Path, waited: list[str]) -> None:
    with locked(file, lambda: waited.append("second waits")):
        waited.append("second has it")


def test_what_does_not_compile_is_told_with_program_step_and_line(program: Program, cache: Path) -> None:
    (program.folder("1.2.3") / "greeting/greeting.go").write_text("package greeting\n\nconst Text = missing\n")
    with pytest.raises(ToolchainError, match=r"hello 1\.2\.3: compiling failed") as caught:
        build(program, cache=cache)
    assert "greeting.go:3:14: undefined: missing" in str(caught.value)
    assert entries(cache) == set()


def test_a_cache_that_cannot_be_written_is_told_with_its_place(program: Program, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ToolchainError, match=r"hello 1\.2\.3: Not a directory") as caught:
        build(program, cache=tmp_path / "file")
    assert str(tmp_path / "file") in str(caught.value)
    assert "TRIPLANE_CACHE" in str(caught.value)


@pytest.mark.hosts
def test_a_full_disk_is_told_and_the_next_build_goes_on(program: Program, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "triplane-test", small], check=True)
    try:
        with pytest.raises(ToolchainError, match="The disk is full"):
            build(program, cache=small)
        subprocess.run(["mount", "-o", "remount,size=20m", small], check=True)
        assert run(build(program, cache=small).path("greeter")).endswith("1.2.3")
    finally:
        subprocess.run(["umount", small], check=True)


def test_an_unknown_program_and_an_unknown_version_are_answered_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(ToolchainError, match=r"no program 'kubernets'; there are pulumi, .*kubernetes"):
        build("kubernets", cache=tmp_path)
    with pytest.raises(ToolchainError, match=r"kubernetes 1\.2\.3 .* pinned for 1\.37\.1, 1\.36\.3"):
        build("kubernetes", "1.2.3", cache=tmp_path)


# --- with a dependency, from a module proxy that is a folder


@pytest.fixture
def dependent(program: Program, tmp_path: Path, compiler: go.Go, monkeypatch: pytest.MonkeyPatch) -> Iterator[Program]:
    """The program, with a module of another author in it, which an empty module cache has to download."""
    versions = tmp_path / "proxy/example.test/!loud/@v"
    versions.mkdir(parents=True)
    (versions / "v1.0.0.info").write_text(json.dumps({"Version": "v1.0.0"}))
    (versions / "v1.0.0.mod").write_text("module example.test/Loud\n\ngo 1.26\n")
    with zipfile.ZipFile(versions / "v1.0.0.zip", "w") as archive:
        archive.writestr("example.test/Loud@v1.0.0/go.mod", (versions / "v1.0.0.mod").read_text())
        archive.writestr("example.test/Loud@v1.0.0/loud.go", 'package loud\n\nconst Mark = "!"\n')
    monkeypatch.setenv("GOPROXY", f"file://{tmp_path}/proxy")
    monkeypatch.setenv("GOMODCACHE", str(tmp_path / "module-cache"))
    folder = program.folder("1.2.3")
    greeting = f'package greeting\n\nimport "example.test/Loud"\n\nconst Text = "{tmp_path.name}" + loud.Mark\n'
    (folder / "greeting/greeting.go").write_text(greeting)
    pin = {**os.environ, "GOFLAGS": "-mod=mod -modcacherw", "GOSUMDB": "off", "GOMODCACHE": str(tmp_path / "first")}
    subprocess.run(
        [compiler.binary, "get", "example.test/Loud@v1.0.0"], cwd=folder, env=pin, check=True, capture_output=True
    )
    yield program
    clean = {**os.environ, "GOFLAGS": ""}
    subprocess.run([compiler.binary, "clean", "-modcache"], cwd=folder, env=clean, check=True)


def test_modules_are_downloaded_and_counted_once(dependent: Program, cache: Path, tmp_path: Path) -> None:
    told: list[Progress] = []
    result = build(dependent, cache=cache, on_progress=told.append)
    assert run(result.path("greeter")) == f"{tmp_path.name}! 1.2.3"
    assert [(p.done, p.total) for p in told if p.step is Step.MODULES] == [(0, 1), (1, 1)]

    told.clear()
    build(dependent, cache=tmp_path / "another-cache", on_progress=told.append)
    assert Step.MODULES not in steps(told)


def test_a_module_that_is_not_what_go_sum_pins_is_refused(dependent: Program, cache: Path) -> None:
    go_sum = dependent.folder("1.2.3") / "go.sum"
    lines = [line.split() for line in go_sum.read_text().splitlines()]
    go_sum.write_text("".join(f"{path} {version} h1:{'A' * 43}=\n" for path, version, _ in lines))
    with pytest.raises(ToolchainError, match=r"is not what go\.sum pins"):
        build(dependent, cache=cache)


def test_a_module_registry_that_cannot_be_reached_is_told_as_such(
    dependent: Program, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOPROXY", "http://127.0.0.1:9")  # the discard port: nobody listens
    with pytest.raises(ToolchainError, match=r"hello 1\.2\.3: downloading modules failed") as caught:
        build(dependent, cache=cache)
    assert "The Go module registry did not deliver" in str(caught.value)
    assert "modules that arrived are kept" in str(caught.value)


# --- the toolchain itself


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ("write /x/_pkg_.a: no space left on device", "The disk is full"),
        ("verifying k8s.io/api@v0.37.1: checksum mismatch", "not what go.sum pins"),
        ("dial tcp: lookup proxy.example: no such host", "registry did not deliver"),
        ("reading https://proxy.example/x.zip: 503 Service Unavailable", "registry did not deliver"),
        ('cgo: C compiler "gcc" not found: exec: "gcc": executable file not found in $PATH', "apt-get install gcc"),
        ("compile: signal: killed", "out of memory"),
        ("something nobody foresaw", "Run it again"),
    ],
)
def test_an_error_says_what_to_do(said: str, remedy: str) -> None:
    message = str(failure("etcd 3.6.14", "compiling", ["# get https://proxy.example/x", said]))
    assert message.startswith("etcd 3.6.14: compiling failed.")
    assert said in message
    assert remedy in message
    assert "# get" not in message


def fake(folder: Path, name: str, says: str) -> Path:
    """A command that answers with one line, whatever it is asked."""
    folder.mkdir(parents=True, exist_ok=True)
    command = folder / name
    command.write_text(f"#!/bin/sh\necho '{says}'\n")
    command.chmod(0o755)
    return command


def test_a_go_that_is_too_old_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(tmp_path / "old", "go", "go version go1.19.8 linux/amd64")
    monkeypatch.setenv("PATH", str(tmp_path / "old"))
    monkeypatch.setattr(go, "_SYSTEM_GO", tmp_path / "none")
    assert go.find((1, 19, 0), tmp_path) == go.Go(tmp_path / "old/go", (1, 19, 8))
    assert go.find((1, 26, 0), tmp_path) is None
    earlier = fake(tmp_path / "go/1.26.6/go/bin", "go", "go version go1.26.6 linux/amd64")
    assert go.find((1, 26, 0), tmp_path) == go.Go(earlier, (1, 26, 6))


def test_without_any_go_to_be_had_the_error_says_to_install_one(tmp_path: Path) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("--no-index\nno-such-go==1\n")
    with pytest.raises(ToolchainError, match=r"no Go 1\.26\.0 or newer") as caught:
        go.install((1, 26, 0), tmp_path / "cache", requirements)
    assert "no-such-go" in str(caught.value)
    assert "put `go` on PATH" in str(caught.value)
    assert list((tmp_path / "cache").iterdir()) == []
