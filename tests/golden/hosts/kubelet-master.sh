. /usr/local/lib/triplane/step.sh
step kubelet
# What keeps a node from being Ready is in the log of the one or of the other.
UNIT="kubelet containerd"

put_bundle
put /etc/sysctl.d/80-triplane-kubelet.conf root:root 644 <<'TRIPLANE_END_OF_FILE'
vm.overcommit_memory = 1
vm.panic_on_oom = 0
kernel.panic = 10
kernel.panic_on_oops = 1
kernel.keys.root_maxkeys = 1000000
kernel.keys.root_maxbytes = 25000000
TRIPLANE_END_OF_FILE

put /etc/kubernetes/kubelet.yaml root:root 600 <<'TRIPLANE_END_OF_FILE'
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
staticPodPath: /etc/kubernetes/manifests
clusterDomain: cluster.local
clusterDNS:
- 10.32.0.10
resolvConf: /etc/kubernetes/resolv.conf
registerWithTaints:
- key: node-role.kubernetes.io/control-plane
  effect: NoSchedule
port: 10250
readOnlyPort: 0
healthzBindAddress: 127.0.0.1
healthzPort: 10248
authentication:
  anonymous:
    enabled: false
  webhook:
    enabled: true
  x509:
    clientCAFile: /etc/kubernetes/kubelet/ca.crt
authorization:
  mode: Webhook
enableProfilingHandler: false
tlsCertFile: /etc/kubernetes/kubelet/serving.crt
tlsPrivateKeyFile: /etc/kubernetes/kubelet/serving.key
tlsMinVersion: VersionTLS12
tlsCipherSuites:
- TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
- TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
- TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
rotateCertificates: true
seccompDefault: true
podPidsLimit: 4096
protectKernelDefaults: true
makeIPTablesUtilChains: true
eventRecordQPS: 50
serializeImagePulls: false
maxParallelImagePulls: 4
shutdownGracePeriod: 30s
shutdownGracePeriodCriticalPods: 10s
kubeReserved:
  cpu: 400m
  memory: 1024Mi
  ephemeral-storage: 1Gi
systemReserved:
  cpu: 100m
  memory: 128Mi
  ephemeral-storage: 1Gi
TRIPLANE_END_OF_FILE

put /etc/systemd/system/kubelet.service root:root 600 <<'TRIPLANE_END_OF_FILE'
[Unit]
Description=kubelet, the agent of Kubernetes on this node
Documentation=https://kubernetes.io/docs/reference/command-line-tools-reference/kubelet/
Wants=network-online.target containerd.service pod-network.service
After=network-online.target containerd.service pod-network.service
StartLimitIntervalSec=0

[Service]
Type=notify
EnvironmentFile=/etc/triplane/host.env
# A master that has died answers nothing, not even with a refusal: ask every 5 s whether it is there, and after 5 more
# go to another one (k8s.io/apimachinery, pkg/util/net).
Environment=HTTP2_READ_IDLE_TIMEOUT_SECONDS=5 HTTP2_PING_TIMEOUT_SECONDS=5
ExecStart=/opt/triplane/kubernetes/1.37.1/kubelet \
    --config=/etc/kubernetes/kubelet.yaml \
    --config-dir=/etc/kubernetes/kubelet.conf.d \
    --kubeconfig=/etc/kubernetes/kubelet.kubeconfig \
    --hostname-override=k8s-master-0.internal.k8s.example.com \
    --node-ip=${PRIVATE_ADDRESS} \
    --provider-id=digitalocean://${DROPLET_ID} \
    --v=2

Restart=always
RestartSec=2
# Pods live through its end, and so does a helper that is at work on a volume.
KillMode=process
# None of the views of the file system that other services have: what it mounts for pods must be seen by all.
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
SystemCallArchitectures=native

[Install]
WantedBy=multi-user.target
TRIPLANE_END_OF_FILE

DEPENDS_ON=(/etc/kubernetes/kubelet.yaml /etc/systemd/system/kubelet.service /etc/triplane/host.env /etc/kubernetes/kubelet.kubeconfig /etc/kubernetes/kubelet/ca.crt /etc/kubernetes/kubelet/serving.crt /etc/kubernetes/kubelet/serving.key)
sysctl --quiet --load /etc/sysctl.d/80-triplane-kubelet.conf
install -d -m 700 /etc/kubernetes/manifests /etc/kubernetes/kubelet.conf.d
# A stub on the host's loopback is out of a pod's reach: it gets the servers behind it.
servers=/etc/resolv.conf
if grep --quiet '^nameserver 127\.0\.0\.53' "$servers" && [ -e /run/systemd/resolve/resolv.conf ]; then
  servers=/run/systemd/resolve/resolv.conf
fi
ln -sfn "$servers" /etc/kubernetes/resolv.conf
# It renews its client certificate itself; a newer one of the graph's comes before what it has renewed.
if [ /var/lib/kubelet/pki/kubelet-client-current.pem -ot /etc/kubernetes/kubelet.kubeconfig ]; then
  rm -f /var/lib/kubelet/pki/kubelet-client-*.pem
fi

healthy() { curl --fail --silent --show-error --max-time 3 http://127.0.0.1:10248/healthz; }

# The node as the API has it, asked for as the node: the key goes from the kubeconfig to curl, and nowhere else.
node() {
  curl --fail --silent --show-error --connect-timeout 2 --max-time 5 \
    --cacert <(kubeconfig_field /etc/kubernetes/kubelet.kubeconfig certificate-authority-data) \
    --cert <(kubeconfig_field /etc/kubernetes/kubelet.kubeconfig client-certificate-data) \
    --key <(kubeconfig_field /etc/kubernetes/kubelet.kubeconfig client-key-data) \
    'https://api.internal.k8s.example.com:6443/api/v1/nodes/k8s-master-0.internal.k8s.example.com?pretty=true'
}

field() { sed -n "s/.*\"$1\": \"\(.*\)\".*/\1/p" <<<"$2"; }

# Ready, in the words of the kubelet that runs now: an earlier one may have left its own.
ready() {
  local answer condition said started
  answer=$(node) || {
    say "$answer"
    return 1
  }
  condition=$(sed -n '/"type": "Ready"/,/}/p' <<<"$answer")
  # For date, no text is today's midnight.
  said=$(date --date "$(field lastHeartbeatTime "$condition" | grep . || printf @0)" +%s)
  started=$(date --date "$(systemctl show --property ExecMainStartTimestamp --value kubelet)" +%s)
  if ((said < started)); then
    say 'the kubelet has not told the API anything since it started'
    return 1
  fi
  [ "$(field status "$condition")" = True ] || {
    say "$(field message "$condition")"
    return 1
  }
}

wait_until 60 'the name of the API' resolvable api.internal.k8s.example.com
if needs_restart kubelet "${DEPENDS_ON[@]}"; then
  free_port kubelet 10250
  restart kubelet
fi
wait_until 60 'the kubelet to be healthy' healthy
wait_until 120 'node k8s-master-0.internal.k8s.example.com to be Ready' ready
passed kubelet "${DEPENDS_ON[@]}"
say 'node k8s-master-0.internal.k8s.example.com is Ready'
