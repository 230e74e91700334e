"""What the program does with DigitalOcean's answers, before it registers anything."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pulumi
import pytest

from tests.components.graph import OFFERS, Engine, config_of, run_program

SIZES, REGIONS, DROPLETS = OFFERS


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    told: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", lambda text, *_, **__: told.append(text))
    return told


def without(size: str, region: str) -> dict[str, Any]:
    """Everything everywhere, but this size in this region."""
    offers = deepcopy(OFFERS)
    next(each for each in offers[REGIONS]["regions"] if each["slug"] == region)["sizes"].remove(size)
    return offers


def test_a_size_missing_in_the_region_is_refused_at_preview(warnings: list[str]) -> None:
    engine = Engine(without("s-2vcpu-4gb", "fra1"))
    with pytest.raises(pulumi.RunError) as caught:
        run_program("prod", engine)
    title, masters, nodes = str(caught.value).splitlines()
    assert "nothing was created" in title
    assert masters.startswith('  - triplane:pools[1].size = "s-2vcpu-4gb" is not offered in fra1 now. Write e.g. ')
    assert nodes.startswith("  - triplane:pools[2].size")
    assert engine.registered == []
    assert warnings == []


def test_a_size_that_is_sold_out_everywhere_is_refused(warnings: list[str]) -> None:
    offers = deepcopy(OFFERS)
    next(each for each in offers[SIZES]["sizes"] if each["slug"] == "s-1vcpu-2gb")["available"] = False
    with pytest.raises(pulumi.RunError, match="s-1vcpu-2gb"):
        run_program("lab", Engine(offers))


def test_a_stack_whose_hosts_exist_is_only_warned(warnings: list[str]) -> None:
    there = [
        {"name": f"{pool}-{n}.k8s.example.com", "size": "s-2vcpu-4gb", "region": "fra1"}
        for pool in ("k8s-master", "k8s-node")
        for n in range(3)
    ]
    graph = run_program("prod", Engine(without("s-2vcpu-4gb", "fra1") | {DROPLETS: {"droplets": there}}))
    assert len(graph.of(":Droplet")) == 9
    assert len(warnings) == 2


@pytest.mark.parametrize("refused", [SIZES, REGIONS])
def test_a_token_without_rights_gets_one_warning_and_the_table(refused: str, warnings: list[str]) -> None:
    graph = run_program("dev", Engine({token: answer for token, answer in OFFERS.items() if token != refused}))
    assert len(graph.of(":Droplet")) == 3
    [warning] = warnings
    assert warning.startswith("DigitalOcean could not be asked for its sizes and regions")
    assert warning.endswith("403 You are missing the required permission sizes:read")


def test_a_stack_on_what_is_offered_is_told_nothing(warnings: list[str]) -> None:
    run_program("dev", Engine())
    assert warnings == []


def test_a_pool_boots_from_an_image_of_its_own(warnings: list[str]) -> None:
    pools = config_of("lab")["triplane:pools"].replace('"k8s-node",', '"k8s-node", "image": "debian-12-x64",')
    graph = run_program("lab", Engine(), pools=pools)
    images = {each.name: each.inputs["image"] for each in graph.of(":Droplet")}
    assert images["k8s-node-1"] == "debian-12-x64"
    assert images["etcd-0"] == images["k8s-master-0"] == "debian-13-x64"
    assert warnings == []
