"""Meaning of each script of the program, in the world of a play.

The meaning is taken from the rendered text: variables, files, and the names that it waits for. A script that is not
known here is refused, and so is one that would fail on a real host.
"""

from __future__ import annotations

import re

from tests.plays import etcd_scripts, texts
from tests.plays.wire import RefusedError, Step
from tests.plays.world import Host, Node, World


def run(world: World, host: Host, step: Step) -> bool:
    """Run a step on a host; tell if a service restarted."""
    kind = texts.step_name(step.text)
    if kind == "identity":
        return _identity(host)
    _log_in(host, step)
    if kind == "host":
        host.door, host.ready = False, True
        host.files["/etc/triplane/host.env"] = str(host.id)
        return False
    if not host.ready:
        raise RefusedError(f"{host.name}: the step library is not there")
    if names := texts.names(step.text):
        world.wait_until(lambda: all(map(world.addresses, names)), f"{', '.join(names)} to resolve")
    unit = texts.variable(step.text, "UNIT").split(" ")[0]
    if etcd_scripts.concerns(step, unit):
        return etcd_scripts.run(world, host, step, unit)
    if unit:
        return _service(world, host, step, unit)
    _other(world, host, step, kind)
    return False


def _log_in(host: Host, step: Step) -> None:
    if not host.identified or host.host_key not in ("", step.host_key):
        raise RefusedError(f"ssh: host key mismatch: {host.name} (droplet {host.id}) shows another key")
    host.host_key = step.host_key
    if step.on_droplet not in ("", str(host.id)):
        raise RefusedError(f"{step.name} is for droplet {step.on_droplet}, and {host.name} is {host.id}")


def _other(world: World, host: Host, step: Step, kind: str) -> None:
    if kind.startswith("install-"):
        host.installed.update(texts.FETCHED.findall(step.text), texts.LINKED.findall(step.text))
    elif kind.startswith("uninstall-"):
        _uninstall(world, host, step, kind)
    elif "KUBECONFIG=" in step.text:
        _with_kubectl(world, host, step)
    else:
        raise RefusedError(f"the plays do not know what {step.name} means: teach it to tests/plays/scripts.py")


def _uninstall(world: World, host: Host, step: Step, kind: str) -> None:
    """assets/steps/uninstall.sh.j2."""
    if kind == "uninstall-etcd" and host.data is not None:
        cluster, member = world.state.clusters.founded[host.data.cluster], host.data.member
        world.wait_until(lambda: cluster.member(member) is None, f"the members to have let {host.name} go")
        host.data, host.healthy_once = None, False
    for unit in texts.stopped(step.text):
        host.applied.pop(unit, None)
    gone = tuple(texts.removed(step.text))
    host.files = {path: digest for path, digest in host.files.items() if not path.startswith(gone)}
    host.installed = {path for path in host.installed if not path.startswith(gone)}
    if not host.runs("kube-apiserver"):
        host.etcd_urls, host.api_cluster = [], None
    world.changed()


def _identity(host: Host) -> bool:
    if not host.door:
        raise RefusedError(f"dial tcp {host.public}: connection refused: the bootstrap port of {host.name} is shut")
    host.identified, host.host_key = True, ""
    return False


def _service(world: World, host: Host, step: Step, unit: str) -> bool:
    digest = host.write(step)
    members = re.search(r'^ETCD_MEMBERS="(.*)"$', step.text, re.MULTILINE)
    asked = texts.urls(members[1]) if members else []
    if asked:
        world.wait_until(lambda: world.answering(asked) is not None, f"etcd at {', '.join(asked)}")
    cluster = world.answering(asked)
    if unit == "kube-apiserver":
        assert cluster is not None
        host.etcd_urls, host.api_cluster = asked, cluster.number
        issuer = re.search(r"--service-account-issuer=https://([^:/\s]+)", step.text)
        world.state.api_name = issuer[1] if issuer else ""
    elif unit == "flanneld":
        assert cluster is not None
        if not cluster.network:
            raise RefusedError(f"{host.name}: flanneld finds no network in etcd")
    elif unit == "kubelet":
        _kubelet(world, host, step)
    elif unit in ("kube-controller-manager", "kube-scheduler"):
        _local_api(world, host)
    restarted = host.applied.get(unit) != digest
    host.applied[unit] = digest
    world.changed()
    return restarted


def _kubelet(world: World, host: Host, step: Step) -> None:
    def reachable() -> bool:
        addresses = world.addresses(world.state.api_name) if world.state.api_name else []
        return any(each.private in addresses and world.api_on(each) for each in world.state.hosts.values())

    if "containerd" not in host.applied:
        raise RefusedError(f"{host.name}: containerd does not run")
    world.wait_until(reachable, "an API server at the API's name")
    found = re.search(r"--hostname-override=(\S+)", step.text)
    assert found, "the kubelet's unit names its node"
    # One that registered with another droplet's id keeps that: the API does not let it be changed.
    world.state.nodes.setdefault(found[1], Node(str(host.id)))


def _local_api(world: World, host: Host) -> None:
    world.wait_until(lambda: world.api_on(host), f"the API server on {host.name}")


def _with_kubectl(world: World, host: Host, step: Step) -> None:
    if "/usr/local/bin/kubectl" not in host.installed:
        raise RefusedError(f"{host.name}: kubectl is not installed")
    _local_api(world, host)
    name, nodes = texts.variable(step.text, "NODE"), world.state.nodes
    if not name:
        world.state.objects[step.name.removeprefix(f"{host.name}-")] = texts.digest(step.text)
    elif "kubectl drain" in step.text:
        nodes.pop(name, None)
    elif "LABELS=" in step.text:
        found = nodes.get(name)
        if found is None or found.droplet != step.droplet:
            raise RefusedError(f"{name} is {found or 'not there'}, and must be of droplet {step.droplet}")
        found.labelled = True
    elif name in nodes and nodes[name].droplet != step.droplet:
        del nodes[name]
