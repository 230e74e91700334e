"""The container images that the cluster itself needs: upstream's, by the digests of their multi-architecture indexes.

The versions are those that kubeadm 1.37 installs; containerd 2.3 has the same pause image. The registry publishes no
list of digests, but many public projects pin the same two.
"""

from __future__ import annotations

PAUSE = "registry.k8s.io/pause:3.10.2@sha256:f548e0e8e3dc1896ca956272154dde3314e8cc4fde0a57577ee9fa1c63f5baf4"
"""Image of the container that holds a pod's namespaces."""

COREDNS = (
    "registry.k8s.io/coredns/coredns:v1.14.6@sha256:900f9c109f7a33545d3c811516e8376df9019147b750f5ce3e254468769176ea"
)
"""The cluster's DNS server."""
