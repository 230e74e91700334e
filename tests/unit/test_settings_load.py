"""How a stack's configuration reaches the settings: the engine's map, the accounts' tokens, the stack files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml

from model.cluster import Cluster
from model.roles import Role
from settings.cluster import cluster_of
from settings.load import load, parse
from settings.schema import Settings

ROOT = Path(__file__).parents[2]
DIGITALOCEAN = "dop_v1_" + "0123456789abcdef" * 4
CLOUDFLARE = "abcdefghij-KLMNOPQRST_0123456789-abcdefg"
MINIMAL = {
    "triplane:cluster": "dev",
    "triplane:domain": "k8s.example.com",
    "triplane:zone": json.dumps({"id": "0123456789abcdef0123456789abcdef", "name": "example.com"}),
    "triplane:sshAllowed": '["203.0.113.7/32"]',
}
TOKENS = {"digitalocean:token": DIGITALOCEAN, "cloudflare:apiToken": CLOUDFLARE}


@pytest.fixture(autouse=True)
def _no_tokens_of_ours(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("DIGITALOCEAN_TOKEN", "DIGITALOCEAN_ACCESS_TOKEN", "CLOUDFLARE_API_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    yield
    pulumi.runtime.set_all_config({}, [])


def configure(config: dict[str, str], *secrets: str) -> None:
    """Put configuration where the engine's Python host puts it."""
    pulumi.runtime.set_all_config(config, list(secrets))


def mistakes() -> list[str]:
    with pytest.raises(pulumi.RunError) as caught:
        load()
    return [line.removeprefix("  - ") for line in str(caught.value).splitlines()[1:]]


def test_settings_are_read_from_the_engines_configuration() -> None:
    configure(MINIMAL | TOKENS | {"triplane:apiPort": "7443"}, *TOKENS)
    settings = load()
    assert isinstance(settings, Settings)
    assert (settings.cluster, settings.api_port) == ("dev", 7443)


def test_a_misspelt_setting_in_the_stacks_file_is_seen() -> None:
    configure(MINIMAL | TOKENS | {"triplane:podCdir": "10.0.0.0/16"}, *TOKENS)
    assert mistakes() == ["triplane:podCdir is not a setting. Did you mean podCidr?"]


def test_both_missing_tokens_are_reported_with_the_fix() -> None:
    configure(MINIMAL)
    digitalocean, cloudflare = mistakes()
    assert digitalocean == (
        "digitalocean:token is missing: DigitalOcean asks for it. Run: pulumi config set --secret digitalocean:token "
        "(or set DIGITALOCEAN_TOKEN or DIGITALOCEAN_ACCESS_TOKEN in the environment)."
    )
    assert cloudflare == (
        "cloudflare:apiToken is missing: Cloudflare asks for it. Run: pulumi config set --secret cloudflare:apiToken "
        "(or set CLOUDFLARE_API_TOKEN in the environment)."
    )


@pytest.mark.parametrize("variable", ["DIGITALOCEAN_TOKEN", "DIGITALOCEAN_ACCESS_TOKEN"])
def test_tokens_may_be_in_the_plugins_environment_variables(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, DIGITALOCEAN)
    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", CLOUDFLARE)
    configure(MINIMAL)
    assert load().cluster == "dev"


def test_a_token_in_plain_text_is_refused_and_not_shown() -> None:
    configure(MINIMAL | TOKENS, "cloudflare:apiToken")
    [line] = mistakes()
    assert line == (
        "digitalocean:token stands in plain text in the stack's file. Revoke it, make a new one. "
        "Run: pulumi config set --secret digitalocean:token"
    )


def test_a_plain_token_is_refused_despite_one_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIGITALOCEAN_TOKEN", DIGITALOCEAN)
    configure(MINIMAL | TOKENS, "cloudflare:apiToken")
    assert len(mistakes()) == 1


@pytest.mark.parametrize(
    ("key", "token"),
    [
        ("digitalocean:token", DIGITALOCEAN[:-1]),
        ("digitalocean:token", f"{DIGITALOCEAN}\n"),
        ("digitalocean:token", CLOUDFLARE),
        ("cloudflare:apiToken", CLOUDFLARE[:-1]),
        ("cloudflare:apiToken", f"Bearer {CLOUDFLARE}"),
    ],
)
def test_a_token_that_cannot_be_one_is_told_without_showing_it(key: str, token: str) -> None:
    configure(MINIMAL | TOKENS | {key: token}, *TOKENS)
    [line] = mistakes()
    assert line.startswith(f"{key} does not look like a ")
    assert token.strip() not in line


def test_a_bad_token_from_the_environment_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", "changeme")
    configure(MINIMAL | {"digitalocean:token": DIGITALOCEAN}, "digitalocean:token")
    [line] = mistakes()
    assert line.startswith("CLOUDFLARE_API_TOKEN does not look like a Cloudflare token")


def test_an_api_address_that_is_none_is_refused() -> None:
    configure(MINIMAL | TOKENS | {"digitalocean:apiEndpoint": "198.18.0.1:8000"}, *TOKENS)
    [line] = mistakes()
    assert line == (
        'digitalocean:apiEndpoint = "198.18.0.1:8000" is not an http or https address. '
        "Write e.g. https://server.example.com/path."
    )


def test_wrong_settings_and_missing_tokens_are_told_together() -> None:
    configure(MINIMAL | {"triplane:domain": "k8s.example.org"})
    assert [line.split(" ", 1)[0] for line in mistakes()] == [
        "digitalocean:token",
        "cloudflare:apiToken",
        "triplane:domain",
    ]


def test_services_see_every_field_of_theirs_from_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("settings.cluster.Cluster", dict)
    given: Any = cluster_of(settings_of("prod"))
    assert {field.name for field in fields(Cluster)} == given.keys()


# --- the stack files --------------------------------------------------------------------------------------------------


def stack(name: str) -> dict[str, Any]:
    """A stack's configuration as its file has it."""
    config: dict[str, Any] = yaml.safe_load((ROOT / f"Pulumi.{name}.yaml").read_text())["config"]
    return config


def settings_of(name: str) -> Settings:
    return parse({key.removeprefix("triplane:"): value for key, value in stack(name).items() if "triplane:" in key})


def hosts(name: str) -> dict[Role, int]:
    return {role: sum(pool.count for pool in settings_of(name).pools if role in pool.roles) for role in Role}


@pytest.mark.parametrize("path", sorted(ROOT.glob("Pulumi.*.yaml")), ids=lambda path: path.name)
def test_a_shipped_stack_file_is_valid_and_holds_no_token(path: Path) -> None:
    name = path.name.split(".")[1]
    assert settings_of(name).cluster == name
    assert not TOKENS.keys() & stack(name).keys()


def test_only_dev_stacks_etcd_and_masters_on_the_same_hosts() -> None:
    assert hosts("lab") == {Role.ETCD: 3, Role.KUBE_MASTER: 3, Role.KUBE_NODE: 2}
    assert hosts("prod") == {Role.ETCD: 3, Role.KUBE_MASTER: 3, Role.KUBE_NODE: 3}
    assert sum(pool.count for pool in settings_of("prod").pools) == 9
    assert hosts("dev") == {Role.ETCD: 3, Role.KUBE_MASTER: 3, Role.KUBE_NODE: 3}
    assert sum(pool.count for pool in settings_of("dev").pools) == 3


def test_dev_and_prod_can_live_in_one_account() -> None:
    dev, prod = settings_of("dev"), settings_of("prod")
    assert not dev.vpc_cidr.overlaps(prod.vpc_cidr)
    assert dev.cluster != prod.cluster
    assert dev.domain != prod.domain


def test_only_the_lab_talks_to_another_api_than_the_real_one() -> None:
    for name in ("dev", "prod"):
        assert not {"digitalocean:apiEndpoint", "cloudflare:baseUrl"} & stack(name).keys()
    assert stack("lab")["cloudflare:baseUrl"] == stack("lab")["digitalocean:apiEndpoint"] + "/client/v4"
