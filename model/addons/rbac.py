"""Role bindings besides those that Kubernetes makes at its first start (system:kube-proxy among them)."""

from __future__ import annotations

from model.addons import Object

KUBELET_CLIENT = "kube-apiserver-kubelet-client"
"""User in the API servers' client certificate for kubelets."""
NODES = "system:nodes"


def rbac() -> tuple[Object, ...]:
    """The bindings that kubelets and API servers need (docs/reference/access-authn-authz/rbac)."""
    return (
        # Logs, exec, port-forward: a kubelet sends a SubjectAccessReview for its caller, which is the API server.
        _binding("triplane:kubelet-api-admin", role="system:kubelet-api-admin", kind="User", name=KUBELET_CLIENT),
        # A kubelet renews its own client certificate (docs/reference/access-authn-authz/kubelet-tls-bootstrapping).
        _binding(
            "triplane:nodes-renew-their-certificates",
            role="system:certificates.k8s.io:certificatesigningrequests:selfnodeclient",
            kind="Group",
            name=NODES,
        ),
    )


def _binding(binding: str, *, role: str, kind: str, name: str) -> Object:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": binding},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name}],
    }
