. /usr/local/lib/triplane/step.sh
step kube-controller-manager
UNIT=kube-controller-manager

put_bundle
put /etc/systemd/system/kube-controller-manager.service root:root 600 <<'TRIPLANE_END_OF_FILE'
[Unit]
Description=kube-controller-manager, the control loops of Kubernetes
Documentation=https://kubernetes.io/docs/reference/command-line-tools-reference/kube-controller-manager/
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart=/opt/triplane/kubernetes/1.37.1/kube-controller-manager \
    --kubeconfig=/etc/kubernetes/controller-manager.kubeconfig \
    --authentication-kubeconfig=/etc/kubernetes/controller-manager.kubeconfig \
    --authorization-kubeconfig=/etc/kubernetes/controller-manager.kubeconfig \
    --bind-address=127.0.0.1 \
    --secure-port=10257 \
    --tls-min-version=VersionTLS12 \
    --tls-cipher-suites=TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 \
    --leader-elect=true \
    --cluster-name=lab \
    --cluster-cidr=10.200.0.0/16 \
    --service-cluster-ip-range=10.32.0.0/24 \
    --allocate-node-cidrs=false \
    --cluster-signing-cert-file=/etc/kubernetes/controller-manager/cluster-signing-ca.crt \
    --cluster-signing-key-file=/etc/kubernetes/controller-manager/cluster-signing-ca.key \
    --root-ca-file=/etc/kubernetes/controller-manager/ca.crt \
    --requestheader-client-ca-file=/etc/kubernetes/controller-manager/front-proxy-ca.crt \
    --service-account-private-key-file=/etc/kubernetes/controller-manager/service-account.key \
    --use-service-account-credentials=true \
    --terminated-pod-gc-threshold=1000 \
    --profiling=false

Restart=always
RestartSec=2
TimeoutStartSec=3min
LimitNOFILE=65536
# Root, for it owns the files, but root without any of its powers.
CapabilityBoundingSet=
ProtectKernelTunables=yes
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

DEPENDS_ON=(/etc/systemd/system/kube-controller-manager.service /etc/kubernetes/controller-manager.kubeconfig /etc/kubernetes/controller-manager/ca.crt /etc/kubernetes/controller-manager/cluster-signing-ca.crt /etc/kubernetes/controller-manager/cluster-signing-ca.key /etc/kubernetes/controller-manager/front-proxy-ca.crt /etc/kubernetes/controller-manager/service-account.key)
healthy() { curl --fail --silent --show-error --max-time 3 --insecure https://127.0.0.1:10257/healthz; }

wait_until 60 'the names that it calls' resolvable k8s-master-0.internal.k8s.example.com
if needs_restart kube-controller-manager "${DEPENDS_ON[@]}"; then
  free_port kube-controller-manager 10257
  restart kube-controller-manager
fi
wait_until 120 'kube-controller-manager to be healthy' healthy
passed kube-controller-manager "${DEPENDS_ON[@]}"
say 'kube-controller-manager is healthy'
