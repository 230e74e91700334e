"""The stand-ins as the engine sees them: processes that speak gRPC."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc, status_pb2
from pulumi.runtime.proto.provider_pb2 import DiffResponse, PropertyDiff

from lab import plugins
from lab.plugins import digitalocean, tls
from lab.plugins.digitalocean import DigitalOceanPlugin
from lab.plugins.engine import EngineLog
from lab.plugins.plugin import Plugin
from lab.plugins.server import start
from lab.plugins.values import SECRET, SIGNATURE, UNKNOWN, UNKNOWN_STRING, Secret, decode, encode
from lab.tests.cloud.service import Service
from lab.tests.plugins.conftest import QUICK

KEY = "tls:index/privateKey:PrivateKey"
DROPLET = "digitalocean:index/droplet:Droplet"
VPC = "digitalocean:index/vpc:Vpc"
TAG = "digitalocean:index/tag:Tag"
SSH_KEY = "digitalocean:index/sshKey:SshKey"
URN = "urn:pulumi:lab::triplane::{}::it"


@contextmanager
def served(plugin: Plugin) -> Iterator[Any]:
    server, port = start(plugin, EngineLog(None))
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield provider_pb2_grpc.ResourceProviderStub(channel)
    server.stop(0).wait()


@pytest.fixture
def keys() -> Iterator[Any]:
    with served(tls.plugin()) as stub:
        yield stub


def check(stub: Any, token: str, news: dict[str, Any], olds: dict[str, Any] | None = None, **more: Any) -> Any:
    return stub.Check(
        provider_pb2.CheckRequest(
            urn=URN.format(token), name="it", type=token, news=encode(news), olds=encode(olds or {}), **more
        )
    )


def create(stub: Any, token: str, inputs: dict[str, Any], *, preview: bool = False) -> Any:
    return stub.Create(
        provider_pb2.CreateRequest(
            urn=URN.format(token), name="it", type=token, properties=encode(inputs), preview=preview
        )
    )


def test_the_engine_is_told_to_keep_track_of_secrets_itself(keys: Any) -> None:
    shaken = keys.Handshake(provider_pb2.ProviderHandshakeRequest(engine_address="127.0.0.1:1"))
    configured = keys.Configure(provider_pb2.ConfigureRequest(acceptSecrets=True))
    assert not shaken.accept_secrets
    assert not configured.acceptSecrets
    assert configured.supportsPreview
    assert shaken.supports_autonaming_configuration
    assert keys.GetPluginInfo(Empty()).version == version("pulumi-tls")


def test_an_unknown_type_is_an_error_that_names_the_known_ones(keys: Any) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        check(keys, "tls:index/pkcs12:Pkcs12", {})
    assert raised.value.code() is grpc.StatusCode.UNKNOWN
    details = raised.value.details() or ""
    assert "no resource type tls:index/pkcs12:Pkcs12; it has tls:index/certRequest:CertRequest" in details


def test_an_unknown_function_is_an_error_that_names_it(keys: Any) -> None:
    with pytest.raises(grpc.RpcError, match="has no function tls:index/getCertificate:getCertificate"):
        keys.Invoke(provider_pb2.InvokeRequest(tok="tls:index/getCertificate:getCertificate"))


def test_an_unknown_property_is_a_failed_check(keys: Any) -> None:
    failures = check(keys, KEY, {"algorithm": "RSA", "size": 4096}).failures
    assert [(failure.property, failure.reason.split(";")[0]) for failure in failures] == [
        ("size", "size: unknown property")
    ]


def test_private_keys_leave_the_plugin_marked_as_secret(keys: Any) -> None:
    made = create(keys, KEY, {"algorithm": "ED25519"})
    for name in ("privateKeyPem", "privateKeyPemPkcs8", "privateKeyOpenssh"):
        fields = made.properties.fields[name].struct_value.fields
        assert fields[SIGNATURE].string_value == SECRET
        assert "PRIVATE KEY" in fields["value"].string_value
    plain = {
        name: value for name, value in made.properties.fields.items() if value.WhichOneof("kind") == "string_value"
    }
    assert not any("PRIVATE" in value.string_value for value in plain.values())
    assert len(made.id) == 40


def test_a_preview_gives_unknowns_and_no_id(keys: Any) -> None:
    planned = create(keys, KEY, {"algorithm": "ED25519"}, preview=True)
    assert planned.id == ""
    assert planned.properties.fields["publicKeyPem"].string_value == UNKNOWN_STRING
    assert planned.properties.fields["privateKeyPem"].struct_value.fields["value"].string_value == UNKNOWN_STRING


def test_a_difference_is_told_with_its_kind_and_what_it_replaces(keys: Any) -> None:
    request = provider_pb2.DiffRequest(
        id="x",
        urn=URN.format(KEY),
        type=KEY,
        olds=encode({"algorithm": "ECDSA", "ecdsaCurve": "P256", "rsaBits": 2048}),
        old_inputs=encode({"algorithm": "ECDSA", "ecdsaCurve": "P256"}),
        news=encode({"algorithm": "RSA", "ecdsaCurve": "P256"}),
    )
    found = keys.Diff(request)
    assert found.changes == DiffResponse.DIFF_SOME
    assert list(found.replaces) == list(found.diffs) == ["algorithm"]
    assert found.hasDetailedDiff
    assert {path: each.kind for path, each in found.detailedDiff.items()} == {"algorithm": PropertyDiff.UPDATE_REPLACE}
    assert not found.deleteBeforeReplace
    request.ignoreChanges.append("algorithm")
    assert keys.Diff(request).changes == DiffResponse.DIFF_NONE


@pytest.mark.parametrize(
    ("token", "given", "change", "first"),
    [
        (DROPLET, {"name": "a"}, {"image": "debian-13-x64"}, True),
        (DROPLET, {"name": "a"}, {"userData": "#cloud-config\n"}, True),
        (DROPLET, {"name": "a"}, {"region": "nyc3"}, True),
        (DROPLET, {"name": "a"}, {"image": "debian-13-x64", "name": "b"}, True),
        (DROPLET, {"name": "a"}, {"size": "s-2vcpu-2gb"}, False),
        (DROPLET, {"name": "a"}, {"name": "b"}, False),
        (DROPLET, {}, {"image": "debian-13-x64"}, False),
        (VPC, {"name": "a"}, {"ipRange": "10.20.0.0/20"}, True),
        (VPC, {}, {"ipRange": "10.20.0.0/20"}, False),
        (TAG, {"name": "a"}, {"name": "b"}, True),
        (SSH_KEY, {"name": "a"}, {"publicKey": "ssh-ed25519 AAAAB"}, True),
    ],
)
def test_a_resource_with_a_given_name_is_deleted_then_replaced(
    clean_environment: None, token: str, given: dict[str, Any], change: dict[str, Any], *, first: bool
) -> None:
    base: dict[str, dict[str, Any]] = {
        DROPLET: {"image": "debian-12-x64", "size": "s-1vcpu-1gb", "region": "fra1"},
        VPC: {"region": "fra1", "ipRange": "10.10.0.0/20"},
        TAG: {},
        SSH_KEY: {"publicKey": "ssh-ed25519 AAAAA"},
    }
    with served(digitalocean.plugin(QUICK)) as stub:
        olds = check(stub, token, base[token] | given).inputs
        news = check(stub, token, base[token] | given | change, decode(olds)).inputs
        request = provider_pb2.DiffRequest(
            id="x", urn=URN.format(token), type=token, olds=olds, old_inputs=olds, news=news
        )
        found = stub.Diff(request)
        assert found.changes == DiffResponse.DIFF_SOME
        assert found.deleteBeforeReplace is first
        request.ignoreChanges.extend(change)
        assert not stub.Diff(request).deleteBeforeReplace


def test_names_come_from_the_engines_seed_or_the_stacks_pattern(clean_environment: None) -> None:
    options = provider_pb2.CheckRequest.AutonamingOptions
    with served(digitalocean.plugin(QUICK)) as stub:
        seeded = decode(check(stub, VPC, {"region": "fra1"}, randomSeed=b"\x12\x34\x56\x78").inputs)
        assert seeded["name"] == "it-1234567"
        kept = check(stub, VPC, {"region": "fra1"}, olds=seeded, randomSeed=b"\xff" * 8)
        assert decode(kept.inputs)["name"] == "it-1234567"
        proposed = options(proposed_name="lab-it", mode=options.PROPOSE)
        assert decode(check(stub, VPC, {"region": "fra1"}, autonaming=proposed).inputs)["name"] == "lab-it"
        disabled = check(stub, VPC, {"region": "fra1"}, autonaming=options(mode=options.DISABLE))
        assert [failure.property for failure in disabled.failures] == ["name"]


def test_configuration_that_nobody_knows_is_a_failed_check(clean_environment: None) -> None:
    with served(digitalocean.plugin(QUICK)) as stub:
        news = encode({"token": "t", "endpoint": "x", "version": "4.84.1"})
        checked = stub.CheckConfig(provider_pb2.CheckRequest(news=news))
        assert [failure.property for failure in checked.failures] == ["endpoint"]
        assert decode(checked.inputs)["apiEndpoint"] == "https://api.digitalocean.com"
        assert checked.inputs.fields["token"].struct_value.fields[SIGNATURE].string_value == SECRET


def test_a_changed_token_replaces_nothing() -> None:
    with served(digitalocean.plugin(QUICK)) as stub:
        request = provider_pb2.DiffRequest(old_inputs=encode({"token": "a"}), news=encode({"token": "b"}))
        found = stub.DiffConfig(request)
        assert (found.changes, list(found.replaces)) == (DiffResponse.DIFF_SOME, [])


def test_what_is_half_made_is_handed_over_with_the_error(ocean: DigitalOceanPlugin, service: Service) -> None:
    inputs = {"name": "a", "image": "debian-12-x64", "size": "s-1vcpu-1gb", "region": "fra1"}
    with served(ocean) as stub, service.machines.held("create"):
        request = provider_pb2.CreateRequest(
            urn=URN.format(DROPLET), type=DROPLET, name="it", properties=encode(inputs), timeout=0.05
        )
        with pytest.raises(grpc.RpcError, match="timeout while waiting") as raised:
            stub.Create(request)
    trailers: dict[str, Any] = dict(raised.value.trailing_metadata() or ())  # type: ignore[arg-type]
    status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
    failed = provider_pb2.ErrorResourceInitFailed()
    assert status.details[0].Unpack(failed)
    assert failed.id.isdecimal()
    assert decode(failed.properties)["status"] == "new"


def test_something_gone_is_read_as_nothing(ocean: DigitalOceanPlugin) -> None:
    with served(ocean) as stub:
        found = stub.Read(provider_pb2.ReadRequest(id="12345", type=DROPLET, properties=encode({"name": "a"})))
        assert found.id == ""
        assert not found.HasField("properties")


def test_an_error_of_the_plugins_own_says_so_and_shows_no_value(keys: Any, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        create(keys, KEY, {"s3cr3t": "s3cr3t"})  # unchecked: a required input is missing
    assert raised.value.details() == "an error of the stand-in plugin itself: KeyError"
    assert "s3cr3t" not in capfd.readouterr().err


def test_values_survive_the_wire() -> None:
    values = {
        "none": None,
        "flag": True,
        "count": 3,
        "share": 0.5,
        "text": "é\n",
        "list": [1, "a", [False]],
        "object": {"a": {"b": UNKNOWN}},
    }
    assert decode(encode(values)) == values
    assert decode(encode({"secret": Secret({"a": 1})})) == {"secret": {"a": 1}}
    assert repr(Secret("s3cr3t")) == "Secret(…)"


@pytest.mark.parametrize("name", plugins.PLUGINS)
def test_an_installed_plugin_starts_answers_and_stops_when_told(name: str, tmp_path: Path) -> None:
    programs = plugins.install(tmp_path / "bin", Path(sys.executable))
    program = next(path for path in programs if path.name == f"pulumi-resource-{name}")
    poisoned = {"PATH": "/usr/bin:/bin", "PYTHONPATH": "/nowhere", "PYTHONSTARTUP": "/nowhere"}
    with subprocess.Popen(
        [program, "127.0.0.1:1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd="/", env=poisoned
    ) as process:
        assert process.stdout
        assert process.stderr
        port = int(process.stdout.readline())
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub = provider_pb2_grpc.ResourceProviderStub(channel)
            assert stub.GetPluginInfo(Empty()).version == version(f"pulumi-{name}")
            stub.Cancel(Empty())
            process.send_signal(signal.SIGINT)
            assert process.wait(4) == 0
        assert process.stderr.read() == ""


def test_reinstalling_changes_nothing_but_replaces_foreign_files(tmp_path: Path) -> None:
    first = plugins.install(tmp_path / "bin", Path(sys.executable))
    stamps = [path.stat().st_mtime_ns for path in first]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("another's")
    first[0].unlink()
    first[0].symlink_to(elsewhere)
    time.sleep(0.01)
    again = plugins.install(tmp_path / "bin", Path(sys.executable))
    assert [path.stat().st_mtime_ns for path in again][1:] == stamps[1:]
    assert not again[0].is_symlink()
    assert elsewhere.read_text() == "another's"
    assert all(path.stat().st_mode & 0o111 for path in again)


def test_a_plugin_that_does_not_exist_is_named(tmp_path: Path) -> None:
    main = Path(plugins.__file__).with_name("__main__.py")
    ended = subprocess.run([sys.executable, "-I", main, "aws"], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr == "no plugin 'aws'; there are digitalocean, cloudflare, tls, command\n"
