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

# This master may be new itself: it takes over before the next one goes.
wait_until 60 "this master's API server, to let $NODE go (bring it back and run the same again)" kubectl get namespace kube-system --output=name
if [ -z "$(kubectl get node "$NODE" --ignore-not-found --output=name)" ]; then
  say "$NODE is not a node any more"
  exit
fi

# True, False (its kubelet says no) or Unknown (it says nothing).
ready() { kubectl get node "$NODE" --output='jsonpath={.status.conditions[?(@.type=="Ready")].status}'; }

# Other nodes that could take its pods: ready, not cordoned, and with no taint that this one has not as well.
others() {
  kubectl get nodes --output='jsonpath={range .items[*]}{.metadata.name}|{.spec.unschedulable}|{.status.conditions[?(@.type=="Ready")].status}|{range .spec.taints[*]}{.key}:{.effect},{end}{"\n"}{end}' |
    awk -F '|' -v self="$NODE" '
    $1 == self { own = "," $4 }
    $1 != self && $2 != "true" && $3 == "True" { taints[$1] = $4 }
    END {
      for (name in taints) {
        fits = 1
        count = split(taints[name], each, ",")
        for (i = 1; i < count; i++) if (each[i] !~ /:PreferNoSchedule$/ && !index(own, "," each[i] ",")) fits = 0
        if (fits) print name
      }
    }'
}

# Why it is not drained: the pods that are left, and the budgets that let none of theirs go.
obstacles() {
  kubectl get pods --all-namespaces --field-selector="spec.nodeName=$NODE,status.phase!=Succeeded,status.phase!=Failed" --output='jsonpath={range .items[*]}{.metadata.ownerReferences[0].kind}|  pod {.metadata.namespace}/{.metadata.name}{"\n"}{end}' |
    sed -n '/^DaemonSet|\|^Node|/!s/^[^|]*|//p'
  kubectl get poddisruptionbudgets --all-namespaces --output='jsonpath={range .items[?(@.status.disruptionsAllowed==0)]}  budget {.metadata.namespace}/{.metadata.name} lets no pod go: {.status.currentHealthy} are healthy, {.status.desiredHealthy} must be{"\n"}{end}'
}

# Pods of daemons stay, local data goes with the host, and so do pods that nobody would start again.
drain() { command kubectl drain "$NODE" --ignore-daemonsets --delete-emptydir-data --force --timeout=30s; }

kubectl cordon "$NODE"
deadline=$((SECONDS + 600))
while true; do
  state=$(ready)
  if [ "$state" != True ]; then
    say "$NODE is not ready: its pods are started elsewhere once it is gone"
    break
  fi
  if answer=$(trap - ERR && drain 2>&1); then
    say "$answer"
    break
  fi
  takers=$(others)
  if [ -z "$takers" ]; then
    say "no other node can take the pods of $NODE: they end with it"
    break
  fi
  if ((SECONDS >= deadline)); then
    fail "$NODE could not be drained in 600 s, and stays cordoned: ${answer##*$'\n'}
Make room for its pods or loosen their budgets, and run the same again; to go without them: kubectl delete node $NODE, and run the same again. In the way:
$(obstacles)"
  fi
done
kubectl delete node "$NODE" --ignore-not-found
