. /usr/local/lib/triplane/step.sh
step gpu-0-registration
# The administrator's kubeconfig comes on stdin, and is in memory until this step ends, however it ends.
export KUBECONFIG=/run/triplane/gpu-0-registration.kubeconfig KUBERC=off KUBECACHEDIR=/run/triplane/gpu-0-registration.kubeconfig.cache
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
LABELS=(node-role.kubernetes.io/node)
TAINTS=(dedicated:NoSchedule)
PROVIDER_ID=digitalocean://$(</run/triplane/gpu-0-registration.kubeconfig.droplet)

annotation() { kubectl get node "$NODE" --output="jsonpath={.metadata.annotations.$1}"; }

registered() {
  local provider_id
  provider_id=$(kubectl get node "$NODE" --output='jsonpath={.spec.providerID}') && [ "$provider_id" = "$PROVIDER_ID" ] || {
    say "$NODE is ${provider_id:-not there}, and must be $PROVIDER_ID"
    return 1
  }
}
wait_until 60 "$NODE to register with the API, which its kubelet does when it starts" registered

# What settings once asked for and ask for no more; what operators and Kubernetes itself set is not ours to touch.
earlier=$(annotation triplane/labels)
for key in ${earlier//,/ }; do
  if [[ " ${LABELS[*]} " != *" $key "* ]]; then
    kubectl label node "$NODE" "$key-"
  fi
done
earlier=$(annotation triplane/taints)
present=$(kubectl get node "$NODE" --output='jsonpath={range .spec.taints[*]}{.key}:{.effect} {end}')
for id in ${earlier//,/ }; do
  if [[ " ${TAINTS[*]} " != *" $id "* && " $present" == *" $id "* ]]; then
    kubectl taint node "$NODE" "$id-"
  fi
done

IFS=,
kubectl annotate node "$NODE" --overwrite "triplane/labels=${LABELS[*]}" "triplane/taints=${TAINTS[*]}"
kubectl label node "$NODE" --overwrite \
  node-role.kubernetes.io/node=
kubectl taint node "$NODE" --overwrite \
  dedicated=gpu:NoSchedule

