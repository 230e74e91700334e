"""The program that the tests run: one of each resource type, put together as Triplane does."""

from __future__ import annotations

import pulumi
import pulumi_cloudflare as cloudflare
import pulumi_command as command
import pulumi_digitalocean as digitalocean
import pulumi_tls as tls

config = pulumi.Config()


def key(name: str) -> tls.PrivateKey:
    return tls.PrivateKey(name, algorithm="ECDSA", ecdsa_curve="P256")


ca_key, leaf_key = key("ca-key"), key("leaf-key")
ca = tls.SelfSignedCert(
    "ca",
    private_key_pem=ca_key.private_key_pem,
    subject={"common_name": "a CA"},
    is_ca_certificate=True,
    validity_period_hours=1000,
    allowed_uses=["cert_signing", "crl_signing", "digital_signature"],
)
request = tls.CertRequest(
    "request",
    private_key_pem=leaf_key.private_key_pem,
    subject={"common_name": "leaf"},
    dns_names=config.require_object("names"),
)
leaf = tls.LocallySignedCert(
    "leaf",
    cert_request_pem=request.cert_request_pem,
    ca_cert_pem=ca.cert_pem,
    ca_private_key_pem=ca_key.private_key_pem,
    validity_period_hours=100,
    allowed_uses=["digital_signature", "server_auth"],
)
tag = digitalocean.Tag("tag", name="tiny-etcd")
vpc = digitalocean.Vpc("vpc", name="tiny", region="fra1", ip_range=config.require("range"))
ssh = tls.PrivateKey("ssh", algorithm="ED25519")
ssh_key = digitalocean.SshKey("ssh-key", name="tiny", public_key=ssh.public_key_openssh)
droplet = digitalocean.Droplet(
    "droplet",
    name="etcd-0.tiny.test",
    image="debian-12-x64",
    region="fra1",
    size=config.require("size"),
    ssh_keys=[ssh_key.fingerprint],
    vpc_uuid=vpc.id,
    tags=[tag.name],
    user_data=config.require("userData"),
    opts=pulumi.ResourceOptions(delete_before_replace=config.get_bool("deleteFirst")),
)
firewall = digitalocean.Firewall(
    "firewall",
    name="tiny",
    tags=[tag.name],
    inbound_rules=[
        {"protocol": "tcp", "port_range": port, "source_tags": [tag.name]} for port in config.require_object("ports")
    ],
    outbound_rules=[{"protocol": "udp", "port_range": "53", "destination_addresses": ["0.0.0.0/0"]}],
)
record = cloudflare.DnsRecord(
    "record",
    zone_id=config.require("zone"),
    name="etcd-0.tiny.triplane.test",
    type="A",
    content=droplet.ipv4_address,
    ttl=60,
    proxied=False,
)
host = config.require_object("host")
install = command.remote.Command(
    "install",
    connection={
        "host": host["host"],
        "port": host["port"],
        "user": "root",
        "private_key": config.require_secret("hostPrivateKey"),
        "host_key": host["hostKey"],
        "dial_error_limit": 2,
    },
    create=config.require("command"),
    stdin=pulumi.Output.concat(leaf_key.private_key_pem, config.require("stdin")),
    triggers=config.get_object("triggers"),
    logging=command.remote.Logging.NONE,
    add_previous_output_in_env=False,
    opts=pulumi.ResourceOptions(depends_on=[record]),
)
pulumi.export("address", droplet.ipv4_address)
pulumi.export("droplet", droplet.id)
pulumi.export("ca", ca.cert_pem)
pulumi.export("leaf", leaf.cert_pem)
pulumi.export("stdout", install.stdout)
