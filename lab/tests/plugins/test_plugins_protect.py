"""Protected resources and single targets of `pulumi destroy`, under the real engine."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from components import rolling
from lab.tests.plugins.stack import Stack

pytestmark = pytest.mark.engine

ROOT = Path(rolling.__file__).parents[1]
PROTECTED = """\
import pulumi
import pulumi_tls as tls

protect = pulumi.Config().require_bool("protect")
tls.PrivateKey("authority", algorithm="ED25519", opts=pulumi.ResourceOptions(protect=protect))
hosts = [tls.PrivateKey(name, algorithm="ED25519") for name in pulumi.Config().require_object("hosts")]
pulumi.Stash("protection", input="hosts", opts=pulumi.ResourceOptions(depends_on=hosts, protect=protect))
"""
CHAIN = f"""\
import sys
sys.path.insert(0, "{ROOT}")
import provider_packages
provider_packages.install()
import pulumi
import pulumi_tls as tls
from components.rolling import waits_for

before = []
for name in ("first", "second", "third"):
    host = tls.PrivateKey(name, algorithm="ED25519", opts=pulumi.ResourceOptions(depends_on=before))
    step = tls.CertRequest(
        name + "-step",
        private_key_pem=host.private_key_pem,
        subject={{"common_name": name}},
    )
    before = [waits_for(step)]
"""


def test_protection_is_no_change_and_destroy_is_refused(tmp_path: Path) -> None:
    stack = Stack(tmp_path / "stack", PROTECTED, {"tiny:protect": False, "tiny:hosts": ["first", "second"]})
    stack.up()
    stack.configure(protect=True)
    assert stack.plan() == {}
    assert stack.up() == {"same": 5}
    for more in ((), ("--skip-preview",), ("--skip-preview", "--target", "**::first", "--target-dependents")):
        refused = stack.pulumi("destroy", "--yes", *more)
        assert refused.code != 0
        assert "protect" in refused.out + refused.err
        assert stack.plan() == {}  # nothing went, not even what is not protected
    stack.configure(hosts=["first"])
    assert stack.up() == {"same": 4, "delete": 1}  # a host may go
    stack.configure(protect=False)
    assert stack.up() == {"same": 4}
    assert stack.pulumi("destroy", "--yes", "--skip-preview").code == 0


def test_one_host_of_a_chain_is_destroyed_alone(tmp_path: Path) -> None:
    stack = Stack(tmp_path / "stack", CHAIN)
    stack.up()
    (made,) = (re.findall(r"::(\w+(?:-step)?)\"", each) for each in [re.sub(r"\s", "", stack.state())])
    order = list(dict.fromkeys(name for name in made if name.split("-")[0] in {"first", "second", "third"}))
    assert order == ["first", "first-step", "second", "second-step", "third", "third-step"]
    gone = stack.pulumi("destroy", "--yes", "--skip-preview", "--target", "**::first", "--target-dependents")
    assert gone.code == 0, gone.out + gone.err
    assert stack.plan() == {"first": "create", "first-step": "create"}
