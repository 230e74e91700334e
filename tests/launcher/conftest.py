from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path

import pytest

from lab.config import LabConfig
from launcher.workspace import Workspace

PROJECT = """\
name: triplane
runtime:
  name: python
  options:
    virtualenv: .venv
"""
LAB = """\
# why this is so
config:
  triplane:cluster: lab
  triplane:domain: lab.triplane.test
  triplane:sshAllowed: [198.18.0.1/32, 10.0.0.0/8]
"""
PROD = """\
config:
  triplane:cluster: prod
  triplane:domain: k8s.example.com
  triplane:zone: {id: 0123456789abcdef0123456789abcdef, name: example.com}
  triplane:sshAllowed: [203.0.113.7/32]
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A checkout with the project's files and nothing else, and an empty folder for what is made at run time."""
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    (checkout / "Pulumi.yaml").write_text(PROJECT)
    (checkout / "Pulumi.lab.yaml").write_text(LAB)
    (checkout / "Pulumi.prod.yaml").write_text(PROD)
    directory = checkout / ".triplane"
    lab = LabConfig(
        directory=directory / "lab", name="unit", block=IPv4Network("198.19.7.0/24"), cache=tmp_path / "cache"
    )
    made = Workspace(directory=directory, lab=lab, checkout=checkout)
    made.prepare()
    return made
