"""One mistake, one clear error: what each wrong setting is told."""

from __future__ import annotations

import base64
import copy
import re
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from pydantic import ValidationError

from model import releases
from model.roles import Role
from model.services import registry
from settings.load import parse
from settings.mistakes import SettingsError
from settings.schema import Component, Settings

MINIMAL = {
    "cluster": "dev",
    "domain": "k8s.example.com",
    "zone": {"id": "0123456789abcdef0123456789abcdef", "name": "example.com"},
    "sshAllowed": ["203.0.113.7/32"],
}
DIGEST = "0" * 64
ED25519 = "ssh-ed25519 " + base64.b64encode(b"\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x20" + bytes(32)).decode()


def wrong(**changes: Any) -> list[str]:
    """The lines of the error that these changes to a minimal stack file bring; None takes a setting out."""
    values = copy.deepcopy(MINIMAL) | changes
    with pytest.raises(SettingsError) as caught:
        parse({name: value for name, value in values.items() if value is not None})
    title, *lines = str(caught.value).splitlines()
    assert "nothing was created" in title
    return [line.removeprefix("  - triplane:") for line in lines]


def pool(**changes: Any) -> dict[str, Any]:
    return {"name": "k8s", "roles": ["etcd", "kube-master"], "count": 3, "size": "s-2vcpu-4gb"} | changes


def flags(component: str, **values: Any) -> dict[str, Any]:
    return {"extraFlags": {component: {name.replace("_", "-"): value for name, value in values.items()}}}


MISTAKES = yaml.safe_load((Path(__file__).parent / "settings_mistakes.yaml").read_text())


@pytest.mark.parametrize("mistake", MISTAKES, ids=[mistake["when"] for mistake in MISTAKES])
def test_a_mistake_gets_one_clear_error(mistake: dict[str, Any]) -> None:
    assert wrong(**mistake["change"]) == [mistake["told"]]


def test_every_setting_has_a_mistake_in_the_list() -> None:
    told = {re.split(r"[^A-Za-z]", mistake["told"])[0] for mistake in MISTAKES}
    assert {field.alias for field in Settings.model_fields.values()} - told == set()


def test_mistakes_in_several_settings_are_told_together() -> None:
    lines = wrong(domain="k8s.example.org", podCidr="10.240.0.0/16", apiPort=22)
    assert [line.split(" ", 1)[0] for line in lines] == ["domain", "podCidr", "apiPort"]


@pytest.mark.parametrize(
    "value",
    [
        "-----BEGIN EC PRIVATE KEY-----",
        "https://admin:hunter2hunter2@proxy.example.com",
        "dop_v1_" + "a1" * 32,
    ],
)
def test_a_secret_in_a_flag_is_refused_and_not_shown(value: str) -> None:
    lines = wrong(**flags("kube-apiserver", oidc_issuer_url=value))
    assert len(lines) == 1
    assert lines[0].startswith("extraFlags.kube-apiserver.oidc-issuer-url has a secret in its value, and flags stand")
    assert value not in lines[0]


def test_a_private_key_given_as_ssh_ca_public_key_is_not_shown() -> None:
    [line] = wrong(sshCaPublicKey="-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjE\n")
    assert line.startswith("sshCaPublicKey is a private key")
    assert "b3Blbn" not in line


def test_a_password_in_the_mirrors_address_is_not_shown() -> None:
    [line] = wrong(mirror={"url": "https://me:hunter2@mirror.example.com"})
    assert line == (
        "mirror.url has a user name or password in it, and it lands on hosts in plain view. Write it without."
    )


def test_a_setting_stored_as_a_secret_is_refused_and_never_shown() -> None:
    with pytest.raises(SettingsError) as caught:
        parse(MINIMAL | {"domain": "hush.example.org"}, secrets=["domain"])
    assert "triplane:domain is stored as a secret" in str(caught.value)
    assert "hush" not in str(caught.value)


def test_extra_flags_are_for_every_service_that_takes_them() -> None:
    assert {*get_args(Component)} == {service.NAME for service in registry.SERVICES if service.FLAG_RULES is not None}


# --- what is right ----------------------------------------------------------------------------------------------------


def test_the_minimal_file_makes_three_members_and_three_masters() -> None:
    settings = parse(MINIMAL)
    assert [(pool.name, pool.roles, pool.count) for pool in settings.pools] == [
        ("etcd", (Role.ETCD,), 3),
        ("k8s-master", (Role.KUBE_MASTER,), 3),
    ]


def test_the_api_is_open_to_the_ssh_ranges_by_default() -> None:
    assert parse(MINIMAL).api_allowed == (IPv4Network("203.0.113.7/32"),)
    assert parse(MINIMAL | {"apiAllowed": []}).api_allowed == ()
    assert parse(MINIMAL | {"apiAllowed": ["0.0.0.0/0"]}).api_allowed == (IPv4Network("0.0.0.0/0"),)


def test_the_world_may_reach_ssh_when_it_is_asked_for() -> None:
    settings = parse(MINIMAL | {"sshAllowed": ["0.0.0.0/0"], "allowWorldSsh": True})
    assert settings.ssh_allowed == (IPv4Network("0.0.0.0/0"),)


def test_a_private_range_is_not_the_world_however_wide() -> None:
    assert parse(MINIMAL | {"sshAllowed": ["10.0.0.0/8"]}).ssh_allowed == (IPv4Network("10.0.0.0/8"),)


def test_a_range_that_another_region_keeps_is_free() -> None:
    assert parse(MINIMAL | {"region": "ams3", "vpcCidr": "10.19.0.0/20"}).vpc_cidr == IPv4Network("10.19.0.0/20")


def test_the_zone_itself_can_be_the_domain() -> None:
    assert parse(MINIMAL | {"domain": "example.com"}).domain == "example.com"


def test_a_flags_value_becomes_text_as_the_component_reads_it() -> None:
    settings = parse(MINIMAL | flags("kube-apiserver", v=2, profiling=False, event_ttl="2h"))
    assert settings.extra_flags == {"kube-apiserver": {"v": "2", "profiling": "false", "event-ttl": "2h"}}


def test_values_from_the_engine_are_read_like_those_in_the_file() -> None:
    encoded = {
        "cluster": "123",
        "domain": "k8s.example.com",
        "zone": '{"id":"0123456789abcdef0123456789abcdef","name":"example.com"}',
        "sshAllowed": '["203.0.113.7/32"]',
        "apiPort": "7443",
        "allowWorldSsh": "true",
        "vpcCidr": "10.1.0.0/20",
        "versions": '{"kubernetes":"1.36.3"}',
        "pools": '[{"name":"k8s","roles":["etcd","kube-master"],"count":1,"size":"s-2vcpu-4gb"}]',
    }
    settings = parse(encoded)
    assert (settings.cluster, settings.api_port, settings.allow_world_ssh) == ("123", 7443, True)
    assert settings.vpc_cidr == IPv4Network("10.1.0.0/20")
    assert settings.versions.kubernetes == "1.36.3"
    assert settings.pools[0].count == 1


def test_a_node_pool_accepts_labels_and_taints() -> None:
    labels = {
        "example.com/disk": "NVMe_0.5-a",
        "tier": "",
        "topology.kubernetes.io/zone": "fra1",
        "team.node-restriction.kubernetes.io/pci": "yes",
        "node.kubernetes.io/instance-type": "s-2vcpu-4gb",
        "notkubernetes.io/mine": "1",
    }
    taints = ["dedicated=gpu:NoSchedule", "dedicated=gpu:NoExecute", "example.com/spot:PreferNoSchedule"]
    settings = parse(MINIMAL | {"pools": [pool(), pool(name="n", roles=["kube-node"], labels=labels, taints=taints)]})
    assert settings.pools[1].labels == labels
    assert list(map(str, settings.pools[1].taints)) == taints


def test_a_pool_of_nodes_may_be_empty_or_missing() -> None:
    empty = parse(MINIMAL | {"pools": [pool(), pool(name="n", roles=["kube-node"], count=0)]})
    assert [each.count for each in empty.pools] == [3, 0]
    assert parse(MINIMAL | {"pools": [pool()]})


def test_sizes_regions_and_images_not_in_tables_are_accepted() -> None:
    """What there is, is DigitalOcean's to say: settings/offers.py."""
    settings = parse(MINIMAL | {"region": "ric1", "image": "debian-14-x64", "pools": [pool(size="s-3vcpu-3gb")]})
    assert (settings.region, settings.image, settings.pools[0].size) == ("ric1", "debian-14-x64", "s-3vcpu-3gb")


def test_more_rules_than_a_firewall_takes_are_refused() -> None:
    many = [{"ports": port, "ranges": ["0.0.0.0/0"]} for port in range(5000, 5044)]
    advice = "and DigitalOcean takes 50. Write ranges of ports, such as 8000-8999."
    assert wrong(outboundAllowed=many) == [f"outboundAllowed makes 51 rules in the firewall hosts, {advice}"]
    assert len(parse(MINIMAL | {"outboundAllowed": many[:-1]}).outbound_allowed) == 43
    nodes = {"pools": [pool(roles=["etcd", "kube-master", "kube-node"])]}
    doors = [{"ports": port, "ranges": ["0.0.0.0/0"]} for port in range(5000, 5051)]
    assert wrong(ingressPorts=doors, **nodes) == [f"ingressPorts makes 51 rules in the firewall ingress, {advice}"]


def test_ports_are_written_as_a_number_a_range_or_all() -> None:
    ways = [{"ports": ports, "ranges": ["0.0.0.0/0"]} for ports in (22, "25060-25061", "all", "1-65535")]
    settings = parse(MINIMAL | {"outboundAllowed": ways[:3]})
    assert [way.port.range for way in settings.outbound_allowed] == ["22", "25060-25061", "all"]
    assert parse(MINIMAL | {"outboundAllowed": ways[3:]}).outbound_allowed[0].port.range == "all"


def test_nothing_more_is_open_until_it_is_said() -> None:
    settings = parse(MINIMAL)
    assert (settings.ingress_ports, settings.outbound_allowed, settings.icmp_allowed) == ((), (), ())
    assert settings.nodes_reach_kubelets is False
    assert "ingress" not in {wall.name for wall in settings.firewalls}


def test_node_ports_are_closed_by_default_and_may_be_public() -> None:
    assert parse(MINIMAL).node_ports_allowed == ()
    assert parse(MINIMAL | {"nodePortsAllowed": ["0.0.0.0/0"]}).node_ports_allowed == (IPv4Network("0.0.0.0/0"),)


@pytest.mark.parametrize(
    "image",
    [
        "registry.example.com/pause@sha256:" + DIGEST,
        "registry.example.com:5000/team/a-b__c.d/pause:3.10_x@sha256:" + DIGEST,
        "localhost:5000/pause@sha256:" + DIGEST,
        "127.0.0.1:5000/pause@sha256:" + DIGEST,
    ],
)
def test_an_image_of_any_registry_is_taken_by_its_digest(image: str) -> None:
    assert parse(MINIMAL | {"images": {"pause": image}}).images.pause == image


def test_the_catalog_has_every_version_under_its_components_name() -> None:
    versions = parse(MINIMAL).versions.by_component()
    assert versions.keys() == releases.load().components.keys()
    assert versions["cni-plugins"] == "1.9.1"


def test_a_registry_alone_is_a_mirror() -> None:
    mirror = parse(MINIMAL | {"mirror": {"registry": "https://registry.example.com/"}}).mirror
    assert mirror
    assert (mirror.url, mirror.registry) == (None, "https://registry.example.com")


def test_effective_flags_of_kubelet_and_kube_proxy_are_accepted() -> None:
    settings = parse(MINIMAL | {"extraFlags": {"kubelet": {"max-pods": 200, "v": 4}, "kube-proxy": {"v": 4}}})
    assert settings.extra_flags == {"kubelet": {"max-pods": "200", "v": "4"}, "kube-proxy": {"v": "4"}}


def test_the_mirrors_address_loses_its_last_slash() -> None:
    settings = parse(MINIMAL | {"mirror": {"url": "http://198.18.0.1:8001/"}})
    assert settings.mirror
    assert settings.mirror.url == "http://198.18.0.1:8001"


def test_an_ssh_ca_key_loses_the_files_last_newline() -> None:
    assert parse(MINIMAL | {"sshCaPublicKey": f"{ED25519} people@example.com\n"}).ssh_ca_public_key == (
        f"{ED25519} people@example.com"
    )


def test_settings_cannot_be_changed_after_they_were_checked() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        parse(MINIMAL).cluster = "other"  # type: ignore[misc]  # it is what the test refuses


# --- properties of address plans --------------------------------------------------------------------------------------

TEN = IPv4Network("10.0.0.0/8")
KEPT = [IPv4Network(text) for text in ("10.229.0.0/16", "10.244.0.0/16", "10.245.0.0/16", "10.246.0.0/24")]
KEPT_IN_FRA1 = IPv4Network("10.19.0.0/16")


unhurried = examples(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A busy machine does not fail the test."""


def networks(shortest: int, longest: int) -> st.SearchStrategy[IPv4Network]:
    """Any network of these prefix lengths inside 10.0.0.0/8."""
    return st.integers(shortest, longest).flatmap(
        lambda prefix: st.integers(0, 2 ** (prefix - 8) - 1).map(
            lambda number: IPv4Network((int(TEN.network_address) + number * 2 ** (32 - prefix), prefix))
        )
    )


def outcome(values: dict[str, Any]) -> tuple[Settings | None, str]:
    """The settings, or the text of the error."""
    try:
        return parse(values), ""
    except SettingsError as error:
        return None, str(error)


VPCS, PODS, SERVICES = networks(16, 27), networks(10, 20), networks(12, 28)


@unhurried
@given(vpc=VPCS, pods=PODS, services=SERVICES)
def test_a_plan_is_accepted_exactly_when_nothing_in_it_overlaps(
    vpc: IPv4Network, pods: IPv4Network, services: IPv4Network
) -> None:
    plan = MINIMAL | {"vpcCidr": str(vpc), "podCidr": str(pods), "serviceCidr": str(services)}
    clash = (
        vpc.overlaps(pods)
        or vpc.overlaps(services)
        or pods.overlaps(services)
        or any(vpc.overlaps(kept) for kept in KEPT)
        or any(network.overlaps(KEPT_IN_FRA1) for network in (vpc, pods, services))
    )
    settings, error = outcome(plan)
    assert ("overlaps with" in error) == clash
    if not clash:
        assert settings
        assert (settings.vpc_cidr, settings.pod_cidr, settings.service_cidr) == (vpc, pods, services)


@unhurried
@given(outer=networks(12, 16), data=st.data(), names=st.permutations(["vpcCidr", "podCidr", "serviceCidr"]))
def test_a_range_inside_another_is_always_refused(outer: IPv4Network, data: st.DataObject, names: list[str]) -> None:
    outer_name, inner_name, _ = names
    if outer_name == "vpcCidr":
        outer = next(outer.subnets(new_prefix=16))
    inner = data.draw(st.sampled_from(list(outer.subnets(new_prefix=20))))
    lines = wrong(**{outer_name: str(outer), inner_name: str(inner)})
    assert any("overlaps with" in line for line in lines)


@unhurried
@given(st.text(max_size=40))
def test_no_text_breaks_the_reading_of_a_range(text: str) -> None:
    settings, error = outcome(MINIMAL | {"podCidr": text})
    assert settings or "triplane:podCidr" in error


@unhurried
@given(
    st.dictionaries(
        st.text(max_size=12), st.one_of(st.none(), st.integers(), st.text(max_size=12)), min_size=1, max_size=4
    )
)
def test_any_stack_file_gives_settings_or_errors_that_name_keys(values: dict[str, Any]) -> None:
    settings, error = outcome(MINIMAL | values)
    assert settings or all(line.startswith("  - triplane:") for line in error.splitlines()[1:])
