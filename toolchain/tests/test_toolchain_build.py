"""Builds of small Go modules, made for real: progress, caching, locking, interruption and errors."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import threading
import uuid
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from toolchain import Build, Program, Progress, Step, ToolchainError, build, cached, go, host_arch
from toolchain.build_cache import cache_directory

pytestmark = pytest.mark.engine

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
def mark() -> str:
    """A text that no build before this one had in it: Go's own cache knows those."""
    return uuid.uuid4().hex


@pytest.fixture
def program(tmp_path: Path, mark: str) -> Program:
    """A program of two packages and no dependencies."""
    folder = tmp_path / "modules" / "hello-1.2.3"
    (folder / "greeting").mkdir(parents=True)
    (folder / "go.mod").write_text("module example.test/hello\n\ngo 1.26\n")
    (folder / "go.sum").touch()
    (folder / "main.go").write_text(MAIN)
    (folder / "greeting/greeting.go").write_text(f'package greeting\n\nconst Text = "hello {mark}"\n')
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


def commands() -> Iterator[str]:
    """The command lines of all processes."""
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it ended meanwhile
            yield file.read_text(errors="replace")


def steps(told: list[Progress]) -> list[Step]:
    return list(dict.fromkeys(progress.step for progress in told))


def entries(cache: Path) -> set[str]:
    """Names of all that is in the program's folder of the cache, but for the lock."""
    return {entry.name for entry in (cache / "bin/hello/1.2.3").iterdir() if not entry.name.endswith(".lock")}


def test_a_build_has_the_binary_with_its_version_and_the_scripts(program: Program, cache: Path, mark: str) -> None:
    result = build(program, cache=cache)
    assert result.directory == cache / "bin/hello/1.2.3" / result.arch
    assert run(result.path("greeter")) == f"hello {mark} 1.2.3"
    assert run(result.path("hello-helper")) == "helping"
    assert set(result.sha256) == {"greeter", "hello-helper"}
    assert result.built_from.startswith("Go module example.test/hello v1.2.3 with go1.")


def test_a_build_includes_package_tests_and_c_programs(program: Program, cache: Path, tmp_path: Path) -> None:
    folder = tmp_path / "modules/hello-1.2.3"
    (folder / "greeting/greeting_test.go").write_text(
        'package greeting\n\nimport ("testing"; "testing/quick")\n\n'
        "func TestText(t *testing.T) { _ = quick.Check; t.Log(Text) }\n"
    )
    (folder / "waiter.c").write_text('#include <stdio.h>\nint main() { puts("waiting"); return 0; }\n')
    both = dataclasses.replace(
        program, tests={"hello.test": "example.test/hello/greeting"}, c_sources={"waiter": "waiter.c"}
    )
    told: list[Progress] = []
    result = build(both, cache=cache, on_progress=told.append)
    assert "--- PASS: TestText" in run(result.path("hello.test"), "-test.v")
    assert run(result.path("waiter")) == "waiting"
    assert (
        "not a dynamic executable"
        in subprocess.run(["ldd", result.path("waiter")], capture_output=True, text=True, check=False).stderr
    )
    assert any("hello.test" in progress.detail for progress in told), told


def test_c_compile_errors_show_the_compilers_output(program: Program, cache: Path, tmp_path: Path) -> None:
    (tmp_path / "modules/hello-1.2.3/waiter.c").write_text("int main() { return wrong; }\n")
    with pytest.raises(ToolchainError, match=r"(?s)hello 1.2.3: compiling C.*wrong"):
        build(dataclasses.replace(program, c_sources={"waiter": "waiter.c"}), cache=cache)


def test_progress_counts_every_package_and_ends_as_ready(program: Program, cache: Path) -> None:
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


def test_another_recipe_is_another_build(program: Program, cache: Path, mark: str) -> None:
    build(program, cache=cache)
    assert cached(program, cache=cache)
    changes: list[dict[str, Any]] = [
        {"stamps": {"main.version": "v{version}"}},
        {"packages": {}},
        {"scripts": ()},
        {"tests": {"hello.test": "example.test/hello/greeting"}},
        {"c_sources": {"waiter": "waiter.c"}},
        {"tags": ("osusergo",)},
    ]
    for change in changes:
        assert cached(dataclasses.replace(program, **change), cache=cache) is None
    with (program.folder("1.2.3") / "go.mod").open("a") as pins:
        pins.write("// pinned again\n")
    assert cached(program, cache=cache) is None

    changed = dataclasses.replace(program, stamps={"main.version": "v{version}"})
    result = build(changed, cache=cache)
    assert run(result.path("greeter")) == f"hello {mark} v1.2.3"
    assert entries(cache) == {result.arch}


def test_a_damaged_build_is_made_again(program: Program, cache: Path) -> None:
    first = build(program, cache=cache)
    stamp, script = first.directory / ".build.json", first.path("hello-helper")
    for file in (stamp, script):
        content = file.read_text()
        for damage in (file.unlink, lambda: file.write_text("{")):  # noqa: B023 - called at once
            damage()
            assert cached(program, cache=cache) is None
        file.write_text(content)
        assert cached(program, cache=cache) == first
    first.path("greeter").unlink()
    assert build(program, cache=cache).sha256 == first.sha256
    assert first.path("greeter").exists()


def test_a_parallel_build_waits_and_reuses_the_first_result(program: Program, cache: Path) -> None:
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


def test_an_interrupted_build_leaves_nothing_and_can_be_repeated(program: Program, cache: Path) -> None:
    told: list[Progress] = []

    def interrupt(progress: Progress) -> None:
        told.append(progress)
        if progress.step is Step.COMPILING:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(program, cache=cache, on_progress=interrupt)
    assert told[-1].step is Step.COMPILING
    assert not [command for command in commands() if str(cache) in command]
    assert entries(cache) == set()
    assert run(build(program, cache=cache).path("greeter")).endswith("1.2.3")


def test_leftovers_of_a_killed_build_are_cleared_by_the_next(program: Program, cache: Path) -> None:
    leftover = cache / "bin/hello/1.2.3" / f".{host_arch()}-killed"
    leftover.mkdir(parents=True)
    (leftover / "greeter").write_text("half a binary")
    result = build(program, cache=cache)
    assert entries(cache) == {result.arch}


def test_a_compile_error_names_program_step_and_line(program: Program, cache: Path) -> None:
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


# --- with a dependency, from a module proxy that is a folder


@pytest.fixture
def dependent(
    program: Program, tmp_path: Path, mark: str, compiler: go.Go, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Program]:
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
    greeting = f'package greeting\n\nimport "example.test/Loud"\n\nconst Text = "{mark}" + loud.Mark\n'
    (folder / "greeting/greeting.go").write_text(greeting)
    pin = {**os.environ, "GOFLAGS": "-mod=mod -modcacherw", "GOSUMDB": "off", "GOMODCACHE": str(tmp_path / "first")}
    subprocess.run(
        [compiler.binary, "get", "example.test/Loud@v1.0.0"], cwd=folder, env=pin, check=True, capture_output=True
    )
    yield program
    clean = {**os.environ, "GOFLAGS": ""}
    subprocess.run([compiler.binary, "clean", "-modcache"], cwd=folder, env=clean, check=True)


def test_modules_are_downloaded_and_counted_once(dependent: Program, cache: Path, tmp_path: Path, mark: str) -> None:
    told: list[Progress] = []
    result = build(dependent, cache=cache, on_progress=told.append)
    assert run(result.path("greeter")) == f"{mark}! 1.2.3"
    assert [(p.done, p.total) for p in told if p.step is Step.MODULES] == [(0, 1), (1, 1)]

    told.clear()
    build(dependent, cache=tmp_path / "another-cache", on_progress=told.append)
    assert Step.MODULES not in steps(told)


def test_a_version_whose_info_is_refused_is_built_from_source(
    dependent: Program, cache: Path, tmp_path: Path, mark: str
) -> None:
    (tmp_path / "proxy/example.test/!loud/@v/v1.0.0.info").unlink()
    assert run(build(dependent, cache=cache).path("greeter")) == f"{mark}! 1.2.3"


def test_a_module_that_is_not_what_go_sum_pins_is_refused(dependent: Program, cache: Path) -> None:
    go_sum = dependent.folder("1.2.3") / "go.sum"
    lines = [line.split() for line in go_sum.read_text().splitlines()]
    go_sum.write_text("".join(f"{path} {version} h1:{'A' * 43}=\n" for path, version, _ in lines))
    with pytest.raises(ToolchainError, match=r"is not what go\.sum pins"):
        build(dependent, cache=cache)


def test_an_unreachable_module_registry_is_reported_as_such(
    dependent: Program, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOPROXY", "http://127.0.0.1:9")  # the discard port: nobody listens
    with pytest.raises(ToolchainError, match=r"hello 1\.2\.3: downloading modules failed") as caught:
        build(dependent, cache=cache)
    assert "The Go module registry did not deliver" in str(caught.value)
    assert "modules that arrived are kept" in str(caught.value)
