. /usr/local/lib/triplane/step.sh
step gpu-0-removal
# The administrator's kubeconfig comes on stdin, and is in memory until this step ends, however it ends.
export KUBECONFIG=/run/triplane/gpu-0-removal.kubeconfig KUBERC=off KUBECACHEDIR=/run/triplane/gpu-0-removal.kubeconfig.cache
trap 'rm -rf "$KUBECONFIG"*' EXIT
# A signal that is left to bash ends it now and then without what is to be done on EXIT.
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
put_bundle >/dev/null
PATH=/usr/local/bin:$PATH
# What has a limit of its own is called past this: a request that is watched lasts as long as that.
kubectl() { command kubectl --request-timeout=30s "$@"; }

NODE=gpu-0.internal.k8s.example.com
PROVIDER_ID=digitalocean://$(</run/triplane/gpu-0-removal.kubeconfig.droplet)

wait_until 60 "this master's API server" kubectl get namespace kube-system --output=name
found=$(kubectl get node "$NODE" --ignore-not-found --output='jsonpath={.metadata.name}|{.spec.providerID}')
case $found in
'' | "$NODE|$PROVIDER_ID") ;;
"$NODE|") kubectl patch node "$NODE" --patch "{\"spec\": {\"providerID\": \"$PROVIDER_ID\"}}" ;;
*)
  kubectl delete node "$NODE"
  say "removed the node $NODE of another droplet, ${found#*|}"
  ;;
esac
