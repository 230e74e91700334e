"""The digitalocean stand-in against the lab's switches: it gets through where the official plugin does, or says why."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lab.cloud import tokens
from lab.plugins import digitalocean
from lab.plugins.digitalocean import DigitalOceanPlugin
from lab.plugins.resource import PluginError
from lab.tests.cloud.service import Service
from lab.tests.plugins.conftest import QUICK
from lab.tests.plugins.test_plugins_digitalocean import DROPLET, TAG, VPC, droplet_inputs, made


def names(service: Service, kind: str) -> list[str]:
    with service.digitalocean() as client:
        return [found["name"] for found in client.get(f"/v2/{kind}?per_page=200").json()[kind]]


def test_it_gets_through_a_burst_of_refusals(ocean: DigitalOceanPlugin, service: Service) -> None:
    service.switch(throttled_every=2, throttled_calls=1)
    made(ocean, TAG, name="lab-etcd").delete()
    assert ("POST", "/v2/tags") in service.arrived
    assert len(service.arrived) > 3  # the tag, a look at it, its end, and what was refused


def test_a_burst_that_is_longer_than_its_patience_is_told(service: Service, clean_environment: None) -> None:
    plugin = digitalocean.plugin(QUICK)
    plugin.configure({"token": service.cloud.tokens.digitalocean, "apiEndpoint": service.url, "httpRetryMax": 1})
    service.switch(throttled_every=1, throttled_calls=2)
    with pytest.raises(PluginError, match=r"429 .*Too many requests"):
        made(plugin, TAG, name="lab-etcd")


@pytest.mark.parametrize(
    ("switch", "message"),
    [
        ({"sold_out": ["fra1/s-1vcpu-1gb"]}, "Size is not available in this region"),
        ({"droplet_limit": 0}, "creating this/these droplet.s. will exceed your droplet limit"),
    ],
)
def test_a_refused_droplet_leaves_the_resources_made_before_it(
    ocean: DigitalOceanPlugin, service: Service, switch: dict[str, Any], message: str
) -> None:
    vpc = made(ocean, VPC, name="lab", region="fra1", ipRange="10.10.0.0/20")
    service.switch(**switch)
    with pytest.raises(PluginError, match=rf"422 .*{message}"):
        made(ocean, DROPLET, **droplet_inputs(vpcUuid=vpc.id))
    assert names(service, "droplets") == []
    assert "lab" in names(service, "vpcs")
    vpc.delete()


def test_droplets_and_vpcs_that_take_long_to_go_are_waited_for(ocean: DigitalOceanPlugin, service: Service) -> None:
    service.switch(droplet_deletion_seconds=0.2, vpc_members_seconds=0.2)
    vpc = made(ocean, VPC, name="lab", region="fra1", ipRange="10.10.0.0/20")
    droplet = made(ocean, DROPLET, **droplet_inputs(vpcUuid=vpc.id))
    droplet.delete()
    assert names(service, "droplets") == []
    vpc.delete()
    assert "lab" not in names(service, "vpcs")


def test_a_vpc_that_became_the_default_cannot_be_deleted(ocean: DigitalOceanPlugin, service: Service) -> None:
    service.switch(fresh_regions=["fra1"])
    vpc = made(ocean, VPC, name="lab", region="fra1", ipRange="10.10.0.0/20")
    assert vpc.outputs["default"] is True
    call = replace(vpc.call, timeout=0.05)
    with pytest.raises(PluginError, match=r"403 .*Can not delete default VPCs"):
        ocean.delete(VPC, vpc.id, vpc.outputs, call)
    # The way out that the documents name: another default, and then again.
    with service.digitalocean() as client:
        other = client.post("/v2/vpcs", json={"name": "default-fra1", "region": "fra1"}).json()["vpc"]["id"]
        assert client.patch(f"/v2/vpcs/{other}", json={"default": True}).status_code == 200
    vpc.delete()
    assert "lab" not in names(service, "vpcs")


def test_a_token_without_a_scope_fails_at_the_call_that_needs_it(service: Service, clean_environment: None) -> None:
    token = tokens.grant(service.directory, tokens.Account.DIGITALOCEAN, ["account:read", "tag:read", "vpc:read"])
    plugin = digitalocean.plugin(QUICK)
    plugin.configure({"token": token, "apiEndpoint": service.url})
    with pytest.raises(PluginError, match=r"POST .*/v2/tags: 403 .*You are not authorized to perform this operation"):
        made(plugin, TAG, name="lab-etcd")
