. /usr/local/lib/triplane/step.sh
step kube-proxy
UNIT=kube-proxy

put_bundle
put /etc/systemd/system/kube-proxy.service root:root 600 <<'TRIPLANE_END_OF_FILE'
[Unit]
Description=kube-proxy, the addresses of services on this node
Documentation=https://kubernetes.io/docs/reference/command-line-tools-reference/kube-proxy/
Wants=network-online.target
After=network-online.target flanneld.service
StartLimitIntervalSec=0

[Service]
Type=exec
# A master that has died answers nothing, not even with a refusal: ask every 5 s whether it is there, and after 5 more
# go to another one (k8s.io/apimachinery, pkg/util/net).
Environment=HTTP2_READ_IDLE_TIMEOUT_SECONDS=5 HTTP2_PING_TIMEOUT_SECONDS=5
ExecStart=/opt/triplane/kubernetes/1.37.1/kube-proxy \
    --config=/etc/kubernetes/kube-proxy.yaml \
    --v=2

Restart=always
RestartSec=2
LimitNOFILE=65536
# It makes packet filter rules, and nothing else; iptables has its lock in /run.
CapabilityBoundingSet=CAP_NET_ADMIN CAP_NET_RAW
ReadWritePaths=/run
ProtectProc=invisible
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallFilter=@system-service
# No more of the host than it needs (systemd.exec(5)).
NoNewPrivileges=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectSystem=strict
ProtectHome=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictNamespaces=yes
SystemCallArchitectures=native

[Install]
WantedBy=multi-user.target
TRIPLANE_END_OF_FILE

# nftables where Linux 5.13 or later has it (docs/reference/networking/virtual-ips), else iptables.
mode=iptables
if command -v nft >/dev/null && printf '5.13\n%s\n' "$(uname --kernel-release)" | sort --version-sort --check=quiet; then
  mode=nftables
fi
{
  cat <<'TRIPLANE_END_OF_FILE'
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection:
  kubeconfig: /etc/kubernetes/kube-proxy.kubeconfig
hostnameOverride: k8s-master-0.internal.k8s.example.com
clusterCIDR: 10.200.0.0/16
healthzBindAddress: 127.0.0.1:10256
metricsBindAddress: 127.0.0.1:10249
bindAddressHardFail: true
nodePortAddresses:
- 0.0.0.0/0
iptables:
  localhostNodePorts: false
conntrack:
  maxPerCore: 0
  min: 0
TRIPLANE_END_OF_FILE
  printf 'mode: %s\n' "$mode"
} | put /etc/kubernetes/kube-proxy.yaml root:root 600
DEPENDS_ON=(/etc/systemd/system/kube-proxy.service /etc/kubernetes/kube-proxy.yaml /etc/kubernetes/kube-proxy.kubeconfig)

healthy() { curl --fail --silent --show-error --max-time 3 http://127.0.0.1:10256/healthz; }

# What every pod stands on: the API at its address as a service, which only kube-proxy's rules lead anywhere.
serves() {
  curl --fail --silent --show-error --connect-timeout 2 --max-time 5 \
    --cacert <(kubeconfig_field /etc/kubernetes/kube-proxy.kubeconfig certificate-authority-data) https://10.32.0.1:443/livez
}

wait_until 60 'the name of the API' resolvable api.internal.k8s.example.com
if needs_restart kube-proxy "${DEPENDS_ON[@]}"; then
  free_port kube-proxy 10256
  restart kube-proxy
fi
wait_until 60 'kube-proxy to be healthy' healthy
wait_until 60 'the API at its service address, https://10.32.0.1:443' serves
passed kube-proxy "${DEPENDS_ON[@]}"
say "kube-proxy is healthy, in $mode mode"
