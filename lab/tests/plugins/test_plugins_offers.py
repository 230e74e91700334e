"""The whole program on the real engine asks what is offered before it makes anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.tests.cloud.service import Service
from lab.tests.plugins.stack import Stack
from tests.components.graph import ROOT, config_of

PROGRAM = f"""\
import runpy, sys
sys.path.insert(0, {str(ROOT)!r})
runpy.run_path({str(ROOT / "__main__.py")!r}, run_name="__main__")
"""


@pytest.mark.engine
def test_an_unknown_size_stops_an_up_before_anything_is_made(service: Service, tmp_path: Path) -> None:
    config = config_of("dev") | {
        "digitalocean:apiEndpoint": service.url,
        "cloudflare:baseUrl": f"{service.url}/client/v4",
        "triplane:pools": config_of("dev")["triplane:pools"].replace("s-2vcpu-4gb", "s-2vcpu-5gb"),
    }
    stack = Stack(tmp_path / "stack", PROGRAM, config)
    tokens = service.cloud.tokens
    stack.environment |= {"DIGITALOCEAN_TOKEN": tokens.digitalocean, "CLOUDFLARE_API_TOKEN": tokens.cloudflare}
    run = stack.pulumi("up", "--yes", "--skip-preview")
    assert run.code != 0
    assert (
        'triplane:pools[0].size = "s-2vcpu-5gb" is not a size of DigitalOcean. Did you mean s-2vcpu-4gb?' in run.out
    ), run.out
    assert "Traceback" not in run.out
    asked = {(method, path.split("?")[0]) for method, path in service.arrived}
    assert asked - {("GET", "/v2/account")} == {
        ("GET", "/v2/sizes"),
        ("GET", "/v2/regions"),
        ("GET", "/v2/droplets"),
    }
