. /usr/local/lib/triplane/step.sh
step k8s-master-0-registration
# The administrator's kubeconfig comes on stdin, and is in memory until this step ends, however it ends.
export KUBECONFIG=/run/triplane/k8s-master-0-registration.kubeconfig KUBERC=off KUBECACHEDIR=/run/triplane/k8s-master-0-registration.kubeconfig.cache
trap 'rm -rf "$KUBECONFIG"*' EXIT
put_bundle >/dev/null
PATH=/usr/local/bin:$PATH

NODE=k8s-master-0.internal.k8s.example.com

id_of() { printf '%s:%s' "${1%%[=:]*}" "${1##*:}"; }

wait_until 60 "$NODE to register with the API, which its kubelet does when it starts" kubectl get node "$NODE" --output=name
# Taints that settings once had and have no more; those of operators and of Kubernetes itself are not ours to touch.
earlier=$(kubectl get node "$NODE" --output='jsonpath={.metadata.annotations.triplane/taints}')
present=$(kubectl get node "$NODE" --output='jsonpath={range .spec.taints[*]}{.key}:{.effect} {end}')
for taint in ${earlier//,/ }; do
  id=$(id_of "$taint")
  if [[ " node-role.kubernetes.io/control-plane:NoSchedule " != *" $id "* && " $present" == *" $id "* ]]; then
    kubectl taint node "$NODE" "$id-"
  fi
done
# Labels need no such memory: the API knows which ones we applied, and takes away what we apply no more.
kubectl apply --server-side --field-manager=triplane --force-conflicts --filename=- <<'TRIPLANE_END_OF_FILE'
apiVersion: v1
kind: Node
metadata:
  name: k8s-master-0.internal.k8s.example.com
  labels:
    node-role.kubernetes.io/control-plane: ''
  annotations:
    triplane/taints: node-role.kubernetes.io/control-plane:NoSchedule
TRIPLANE_END_OF_FILE
kubectl taint node "$NODE" --overwrite node-role.kubernetes.io/control-plane:NoSchedule
