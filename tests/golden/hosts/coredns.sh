. /usr/local/lib/triplane/step.sh
step coredns
# The administrator's kubeconfig comes on stdin, and is in memory until this step ends, however it ends.
export KUBECONFIG=/run/triplane/coredns.kubeconfig KUBERC=off KUBECACHEDIR=/run/triplane/coredns.kubeconfig.cache
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
apiVersion: v1
kind: ServiceAccount
metadata:
  name: coredns
  namespace: kube-system
  labels:
    k8s-app: kube-dns
    app.kubernetes.io/managed-by: triplane
    triplane/objects: coredns
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: system:coredns
  labels:
    app.kubernetes.io/managed-by: triplane
    triplane/objects: coredns
rules:
- apiGroups:
  - ''
  resources:
  - services
  - pods
  - namespaces
  verbs:
  - list
  - watch
- apiGroups:
  - discovery.k8s.io
  resources:
  - endpointslices
  verbs:
  - list
  - watch
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: system:coredns
  labels:
    app.kubernetes.io/managed-by: triplane
    triplane/objects: coredns
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: system:coredns
subjects:
- kind: ServiceAccount
  name: coredns
  namespace: kube-system
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: coredns
  namespace: kube-system
  labels:
    k8s-app: kube-dns
    app.kubernetes.io/managed-by: triplane
    triplane/objects: coredns
data:
  Corefile: |
    .:53 {
        errors
        health :8080 {
            lameduck 5s
        }
        ready :8181
        kubernetes cluster.local in-addr.arpa ip6.arpa {
            pods insecure
            fallthrough in-addr.arpa ip6.arpa
            ttl 30
        }
        prometheus :9153
        forward . /etc/resolv.conf {
            max_concurrent 1000
        }
        cache 30 {
            disable success cluster.local
            disable denial cluster.local
        }
        loop
        loadbalance
    }
---
apiVersion: v1
kind: Service
metadata:
  name: kube-dns
  namespace: kube-system
  labels:
    k8s-app: kube-dns
    kubernetes.io/cluster-service: 'true'
    kubernetes.io/name: CoreDNS
    app.kubernetes.io/managed-by: triplane
    triplane/objects: coredns
spec:
  clusterIP: 10.32.0.10
  selector:
    k8s-app: kube-dns
  ports:
  - name: dns
    port: 53
    protocol: UDP
  - name: dns-tcp
    port: 53
    protocol: TCP
  - name: metrics
    port: 9153
    protocol: TCP
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: coredns
  namespace: kube-system
  labels:
    k8s-app: kube-dns
    app.kubernetes.io/managed-by: triplane
    triplane/objects: coredns
spec:
  replicas: 2
  revisionHistoryLimit: 3
  strategy:
    type: RollingUpdate
    rollingUpdate:
      maxUnavailable: 1
      maxSurge: 1
  selector:
    matchLabels:
      k8s-app: kube-dns
  template:
    metadata:
      labels:
        k8s-app: kube-dns
      annotations:
        triplane/corefile: be515f0fc5714d905575697ec3fbcef6e2e6cf21f5ef358a6cfb4cb3971dd177
    spec:
      serviceAccountName: coredns
      priorityClassName: system-cluster-critical
      dnsPolicy: Default
      securityContext:
        runAsNonRoot: true
        runAsUser: 65532
        runAsGroup: 65532
        seccompProfile:
          type: RuntimeDefault
      affinity:
        nodeAffinity:
          preferredDuringSchedulingIgnoredDuringExecution:
          - weight: 100
            preference:
              matchExpressions:
              - key: node-role.kubernetes.io/control-plane
                operator: DoesNotExist
      topologySpreadConstraints:
      - maxSkew: 1
        topologyKey: kubernetes.io/hostname
        whenUnsatisfiable: DoNotSchedule
        nodeTaintsPolicy: Honor
        labelSelector:
          matchLabels:
            k8s-app: kube-dns
        matchLabelKeys:
        - pod-template-hash
      tolerations:
      - key: CriticalAddonsOnly
        operator: Exists
      - key: node-role.kubernetes.io/control-plane
        operator: Exists
        effect: NoSchedule
      - key: node.cloudprovider.kubernetes.io/uninitialized
        operator: Exists
        effect: NoSchedule
      - key: node.kubernetes.io/not-ready
        operator: Exists
        effect: NoExecute
        tolerationSeconds: 30
      - key: node.kubernetes.io/unreachable
        operator: Exists
        effect: NoExecute
        tolerationSeconds: 30
      containers:
      - name: coredns
        image: registry.example.com/coredns@sha256:0000000000000000000000000000000000000000000000000000000000000000
        imagePullPolicy: IfNotPresent
        args:
        - -conf
        - /etc/coredns/Corefile
        ports:
        - name: dns
          containerPort: 53
          protocol: UDP
        - name: dns-tcp
          containerPort: 53
          protocol: TCP
        - name: metrics
          containerPort: 9153
          protocol: TCP
        resources:
          requests:
            cpu: 100m
            memory: 70Mi
          limits:
            memory: 170Mi
        securityContext:
          allowPrivilegeEscalation: false
          readOnlyRootFilesystem: true
          capabilities:
            drop:
            - ALL
            add:
            - NET_BIND_SERVICE
        livenessProbe:
          httpGet:
            path: /health
            port: 8080
          timeoutSeconds: 5
          failureThreshold: 5
        readinessProbe:
          httpGet:
            path: /ready
            port: 8181
          periodSeconds: 5
        volumeMounts:
        - name: config
          mountPath: /etc/coredns
          readOnly: true
      volumes:
      - name: config
        configMap:
          name: coredns
          items:
          - key: Corefile
            path: Corefile
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: coredns
  namespace: kube-system
  labels:
    k8s-app: kube-dns
    app.kubernetes.io/managed-by: triplane
    triplane/objects: coredns
spec:
  maxUnavailable: 1
  selector:
    matchLabels:
      k8s-app: kube-dns
  unhealthyPodEvictionPolicy: AlwaysAllow
TRIPLANE_END_OF_FILE
}

wait_until 60 "this master's API server" kubectl get namespace kube-system --output=name
manifests | kubectl apply --server-side --field-manager=triplane --force-conflicts --filename=-

# What earlier manifests had and these have not: it carries our label, and the API remembers that we applied it.
kept=$(manifests | kubectl get --filename=- --output='jsonpath={.items[*].metadata.uid}')
kubectl get clusterroles,clusterrolebindings,serviceaccounts,configmaps,services,deployments,poddisruptionbudgets --all-namespaces --selector=triplane/objects=coredns --output='jsonpath={range .items[*]}{.metadata.managedFields[?(@.manager=="triplane")].operation}|{.metadata.uid}|{.kind}|{.metadata.name}|{.metadata.namespace}{"\n"}{end}' |
  while IFS='|' read -r operation uid kind name namespace; do
    if [[ $operation == *Apply* && " $kept " != *" $uid "* ]]; then
      kubectl delete "$kind" "$name" ${namespace:+--namespace="$namespace"}
    fi
  done

# The pods with their hosts and, of those that are not ready, the last warnings and words.
pods() {
  local pod ready
  kubectl get pods --namespace=kube-system --selector=k8s-app=kube-dns --output=wide
  kubectl get pods --namespace=kube-system --selector=k8s-app=kube-dns --output='jsonpath={range .items[*]}{.metadata.name} {.status.conditions[?(@.type=="Ready")].status}{"\n"}{end}' |
    while read -r pod ready; do
      [ "$ready" != True ] || continue
      kubectl get events --namespace=kube-system --field-selector="involvedObject.name=$pod,type=Warning" --output="jsonpath={range .items[*]}$pod: {.reason}: {.message}{'\n'}{end}" | tail -n 3
      kubectl logs --namespace=kube-system --tail=5 --prefix "$pod" 2>/dev/null || true
    done
}

if ! answer=$(command kubectl rollout status deployment/coredns --namespace=kube-system --timeout=300s 2>&1); then
  fail "coredns is not available after 300 s: ${answer##*$'\n'}
$(trap - ERR && pods 2>&1)"
fi
say "${answer##*$'\n'}"
