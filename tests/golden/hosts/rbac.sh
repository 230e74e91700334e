. /usr/local/lib/triplane/step.sh
step rbac
# The administrator's kubeconfig comes on stdin, and is in memory until this step ends, however it ends.
export KUBECONFIG=/run/triplane/rbac.kubeconfig KUBERC=off KUBECACHEDIR=/run/triplane/rbac.kubeconfig.cache
trap 'rm -rf "$KUBECONFIG"*' EXIT
# A signal that is left to bash ends it now and then without what is to be done on EXIT.
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
put_bundle >/dev/null
PATH=/usr/local/bin:$PATH
# What has a limit of its own is called past this: a request that is watched lasts as long as that.
kubectl() { command kubectl --request-timeout=30s "$@"; }

manifests() {
  cat <<'TRIPLANE_END_OF_FILE'
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: triplane:kubelet-api-admin
  labels:
    app.kubernetes.io/managed-by: triplane
    triplane/objects: rbac
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: system:kubelet-api-admin
subjects:
- apiGroup: rbac.authorization.k8s.io
  kind: User
  name: kube-apiserver-kubelet-client
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: triplane:nodes-renew-their-certificates
  labels:
    app.kubernetes.io/managed-by: triplane
    triplane/objects: rbac
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: system:certificates.k8s.io:certificatesigningrequests:selfnodeclient
subjects:
- apiGroup: rbac.authorization.k8s.io
  kind: Group
  name: system:nodes
TRIPLANE_END_OF_FILE
}

wait_until 60 "this master's API server" kubectl get namespace kube-system --output=name
manifests | kubectl apply --server-side --field-manager=triplane --force-conflicts --filename=-

# What earlier manifests had and these have not: it carries our label, and the API remembers that we applied it.
kept=$(manifests | kubectl get --filename=- --output='jsonpath={.items[*].metadata.uid}')
kubectl get clusterroles,clusterrolebindings,serviceaccounts,configmaps,services,deployments,poddisruptionbudgets --all-namespaces --selector=triplane/objects=rbac --output='jsonpath={range .items[*]}{.metadata.managedFields[?(@.manager=="triplane")].operation}|{.metadata.uid}|{.kind}|{.metadata.name}|{.metadata.namespace}{"\n"}{end}' |
  while IFS='|' read -r operation uid kind name namespace; do
    if [[ $operation == *Apply* && " $kept " != *" $uid "* ]]; then
      kubectl delete "$kind" "$name" ${namespace:+--namespace="$namespace"}
    fi
  done
