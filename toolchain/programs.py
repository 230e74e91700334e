"""Programs, versions, and the packages of Go modules that they are built from. Data only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

MODULES = Path(__file__).parent / "modules"
_MACHINES = {"amd64": "x64"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Download:
    """A file that upstream publishes for a release: one binary, or an archive of several."""

    file: str
    url: str
    """URL with {version} in it, and {arch} as Go names it or {machine} as Node.js does (x64)."""
    members: tuple[str, ...]
    """The binaries in it."""
    folder: str = ""
    """Folder in the archive, if not the one with the archive's name."""
    checksums: str = ""
    """URL of upstream's list of SHA-256 digests, like `url`, for a file without a pinned one."""

    @property
    def is_archive(self) -> bool:
        """True if the binaries are packed."""
        return self.url.endswith((".tar.gz", ".tgz"))

    def address(self, version: str, arch: str) -> str:
        """Return upstream's URL of it."""
        return self.url.format(version=version, arch=arch, machine=_MACHINES.get(arch, arch))

    def list_address(self, version: str, arch: str) -> str:
        """Return upstream's URL of the list of digests; empty if no list is needed."""
        return self.checksums.format(version=version, arch=arch)


@dataclass(frozen=True, kw_only=True, slots=True)
class Program:
    """One source tree, which a single `go build` turns into one or more binaries."""

    name: str
    versions: tuple[str, ...]
    """The default comes first."""
    module: str
    """The Go module with the version's number and the scripts."""
    packages: Mapping[str, str]
    """Binary → the main package that it is built from. Empty if the program exists only as a release."""
    stamps: Mapping[str, str] = field(default_factory=dict)
    """Go variable → its value at link time, with {version}, {major} and {minor} in it."""
    tests: Mapping[str, str] = field(default_factory=dict)
    """Binary → the package whose tests it runs."""
    c_sources: Mapping[str, str] = field(default_factory=dict)
    """Binary → the one C file of the module that it is built from."""
    scripts: tuple[str, ...] = ()
    """Files of the module that must stand beside the binaries."""
    cgo: bool = False
    """True if it needs a C compiler; the result is still linked statically."""
    tags: tuple[str, ...] = ()
    """Go build tags."""
    downloads: tuple[Download, ...] = ()
    notes: Mapping[str, str] = field(default_factory=dict)
    """Version → a note for readers of its catalog entry."""
    on_demand: bool = False
    """True if it takes long and is rarely needed: it is built only if it is named."""
    pins: Path = MODULES
    """Folder with one module folder per version."""

    @property
    def binaries(self) -> tuple[str, ...]:
        """Names of all files that it has."""
        built = (*self.packages, *self.tests, *self.c_sources, *(Path(script).name for script in self.scripts))
        return built or tuple(member for download in self.downloads for member in download.members)

    def folder(self, version: str) -> Path:
        """Return the folder with the go.mod and go.sum that pin every module of a version."""
        return self.pins / f"{self.name}-{version}"

    def linker_flags(self, version: str) -> str:
        """Return the value of `go build -ldflags`: no symbol table, the version stamps, and static linking."""
        major, minor = version.split(".")[:2]
        values = {name: value.format(version=version, major=major, minor=minor) for name, value in self.stamps.items()}
        static = "-linkmode external -extldflags -static " if self.cgo else ""
        return "-s -w " + static + " ".join(f"-X {name}={value}" for name, value in values.items())

    def source(self, version: str) -> str:
        """Return the source of a build, for its catalog entry."""
        note = self.notes.get(version)
        return f"Go module {self.module} v{version}" + (f" ({note})" if note else "")


_KUBERNETES = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl", "kubelet", "kube-proxy")
_KUBERNETES_VERSION = {
    "gitVersion": "v{version}",
    "gitMajor": "{major}",
    "gitMinor": "{minor}",
    "gitCommit": "",  # a module does not have its commit, and the default value is a template of git
    "gitTreeState": "archive",
}

_KUBERNETES_STAMPS = {
    f"{package}.{name}": value
    for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    for name, value in _KUBERNETES_VERSION.items()
}
_CNI = "github.com/containernetworking/plugins"
_CNI_PLUGINS = {
    "ipam": ("dhcp", "host-local", "static"),
    "main": ("bridge", "dummy", "host-device", "ipvlan", "loopback", "macvlan", "ptp", "tap", "vlan"),
    "meta": ("bandwidth", "firewall", "portmap", "sbr", "tuning", "vrf"),
}
_COREDNS = "https://github.com/coredns/coredns"
_CONTAINERD = "github.com/containerd/containerd"

_PROGRAMS = (
    Program(
        name="pulumi",
        versions=("3.259.0",),
        module="github.com/pulumi/pulumi/pkg/v3",
        packages={"pulumi": "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"},
        stamps={"github.com/pulumi/pulumi/sdk/v3/go/common/version.Version": "v{version}"},
    ),
    Program(
        name="pulumi-language-python",
        versions=("3.79.0",),  # the newest version that is still part of the SDK's module
        module="github.com/pulumi/pulumi/sdk/v3",
        packages={"pulumi-language-python": "github.com/pulumi/pulumi/sdk/v3/python/cmd/pulumi-language-python"},
        stamps={"github.com/pulumi/pulumi/sdk/v3/go/common/version.Version": "v{version}"},
        scripts=(
            "python/cmd/pulumi-language-python-exec",
            "python/dist/pulumi-analyzer-policy-python",
            "python/dist/pulumi-resource-pulumi-python",
        ),
    ),
    Program(
        name="etcd",
        versions=("3.6.14", "3.6.13"),
        module="go.etcd.io/etcd/server/v3",
        packages={
            "etcd": "go.etcd.io/etcd/server/v3",
            "etcdctl": "go.etcd.io/etcd/etcdctl/v3",
            "etcdutl": "go.etcd.io/etcd/etcdutl/v3",
        },
        downloads=(
            Download(
                file="etcd",
                url="https://github.com/etcd-io/etcd/releases/download/v{version}/etcd-v{version}-linux-{arch}.tar.gz",
                members=("etcd", "etcdctl", "etcdutl"),
            ),
        ),
        notes={"3.6.13": "etcdctl and etcdutl from their v3.6.14, compiled against the 3.6.13 libraries"},
    ),
    Program(
        name="kubernetes",
        versions=("1.37.1", "1.36.3"),
        module="k8s.io/kubernetes",
        packages={name: f"k8s.io/kubernetes/cmd/{name}" for name in _KUBERNETES},
        stamps=_KUBERNETES_STAMPS,
        downloads=tuple(
            Download(
                file=name, url=f"https://dl.k8s.io/release/v{{version}}/bin/linux/{{arch}}/{name}", members=(name,)
            )
            for name in _KUBERNETES
        ),
    ),
    Program(
        name="flannel",
        versions=("0.27.4",),
        module="github.com/flannel-io/flannel",
        packages={"flanneld": "github.com/flannel-io/flannel"},
        stamps={"github.com/flannel-io/flannel/pkg/version.Version": "v{version}"},
        cgo=True,
        tags=("netgo", "osusergo"),  # libc's own look-ups do not work in a static binary
        downloads=(
            Download(
                file="flanneld",
                url="https://github.com/flannel-io/flannel/releases/download/v{version}/flanneld-{arch}",
                members=("flanneld",),
            ),
        ),
    ),
    Program(
        name="containerd",
        versions=("2.3.4",),
        module=f"{_CONTAINERD}/v2",
        packages={name: f"{_CONTAINERD}/v2/cmd/{name}" for name in ("containerd", "containerd-shim-runc-v2", "ctr")},
        stamps={f"{_CONTAINERD}/v2/version.Version": "v{version}"},
        downloads=(
            Download(
                file="containerd",
                url=f"https://{_CONTAINERD}/releases/download/v{{version}}/containerd-{{version}}-linux-{{arch}}.tar.gz",
                members=("containerd", "containerd-shim-runc-v2", "ctr"),
                folder="bin",
            ),
        ),
    ),
    Program(
        name="runc",
        versions=("1.4.3",),
        module="github.com/opencontainers/runc",
        packages={"runc": "github.com/opencontainers/runc"},
        cgo=True,
        tags=("netgo", "osusergo", "seccomp", "urfave_cli_no_docs"),  # upstream's tags, and those for a static binary
        downloads=(
            Download(
                file="runc",
                url="https://github.com/opencontainers/runc/releases/download/v{version}/runc.{arch}",
                members=("runc",),
            ),
        ),
    ),
    Program(
        name="cni-plugins",
        versions=("1.9.1",),
        module=_CNI,
        packages={name: f"{_CNI}/plugins/{kind}/{name}" for kind, names in _CNI_PLUGINS.items() for name in names},
        stamps={f"{_CNI}/pkg/utils/buildversion.BuildVersion": "v{version}"},
        downloads=(
            Download(
                file="cni-plugins",
                url=f"https://{_CNI}/releases/download/v{{version}}/cni-plugins-linux-{{arch}}-v{{version}}.tgz",
                members=tuple(sorted(name for names in _CNI_PLUGINS.values() for name in names)),
                folder=".",
            ),
        ),
    ),
    # The last ones are not on hosts: they are for container images, and for the tests of the cluster.
    Program(
        name="coredns",
        versions=("1.14.6",),
        module="github.com/coredns/coredns",
        packages={"coredns": "github.com/coredns/coredns"},
        downloads=(
            Download(
                file="coredns",
                url=f"{_COREDNS}/releases/download/v{{version}}/coredns_{{version}}_linux_{{arch}}.tgz",
                members=("coredns",),
                folder=".",
                checksums=f"{_COREDNS}/releases/download/v{{version}}/coredns_{{version}}_linux_{{arch}}.tgz.sha256",
            ),
        ),
    ),
    Program(
        name="kubernetes-images",
        versions=("1.37.1", "1.36.3"),
        module="k8s.io/kubernetes",
        packages={"agnhost": "k8s.io/kubernetes/test/images/agnhost"},
        c_sources={"pause": "build/pause/linux/pause.c"},
        scripts=tuple(
            f"test/images/agnhost/{name}" for name in ("VERSION", "porter/localhost.crt", "porter/localhost.key")
        ),
        stamps=_KUBERNETES_STAMPS,
    ),
    Program(
        name="kubernetes-e2e",
        versions=("1.37.1", "1.36.3"),
        module="k8s.io/kubernetes",
        packages={"ginkgo": "github.com/onsi/ginkgo/v2/ginkgo", "nnp": "k8s.io/kubernetes/test/images/nonewprivs"},
        tests={"e2e.test": "k8s.io/kubernetes/test/e2e"},
        scripts=("test/images/kitten/html/data.json", "test/images/kitten/html/kitten.jpg"),
        stamps=_KUBERNETES_STAMPS,
        on_demand=True,
    ),
)

PULUMI_RELEASE = Program(
    name="pulumi-release",
    versions=_PROGRAMS[0].versions,
    module="github.com/pulumi/pulumi/pkg/v3",
    packages={},
    downloads=(
        Download(
            file="pulumi",
            url="https://github.com/pulumi/pulumi/releases/download/v{version}/pulumi-v{version}-linux-{machine}.tar.gz",
            members=(
                "pulumi",
                "pulumi-language-python",
                "pulumi-language-python-exec",
                "pulumi-analyzer-policy-python",
                "pulumi-resource-pulumi-python",
            ),
            checksums="https://get.pulumi.com/releases/sdk/pulumi-{version}-checksums.txt",
        ),
    ),
)
"""The engine and its language host as upstream releases them: one archive; a build makes two programs.

Its digest is not pinned here: it comes from upstream's list, which is on another server than the archive. The first
answer is remembered.
"""

PROGRAMS: Mapping[str, Program] = {program.name: program for program in _PROGRAMS}
"""Programs in the order in which they are built: those that the others wait for come first."""
