. /usr/local/lib/triplane/step.sh
step kube-scheduler
UNIT=kube-scheduler

put_bundle
put /etc/kubernetes/scheduler.yaml root:root 600 <<'TRIPLANE_END_OF_FILE'
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
clientConnection:
  kubeconfig: /etc/kubernetes/scheduler.kubeconfig
leaderElection:
  leaderElect: true
enableProfiling: false
TRIPLANE_END_OF_FILE

put /etc/systemd/system/kube-scheduler.service root:root 600 <<'TRIPLANE_END_OF_FILE'
[Unit]
Description=kube-scheduler, which finds a node for every pod
Documentation=https://kubernetes.io/docs/reference/command-line-tools-reference/kube-scheduler/
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart=/opt/triplane/kubernetes/1.37.1/kube-scheduler \
    --config=/etc/kubernetes/scheduler.yaml \
    --authentication-kubeconfig=/etc/kubernetes/scheduler.kubeconfig \
    --authorization-kubeconfig=/etc/kubernetes/scheduler.kubeconfig \
    --bind-address=127.0.0.1 \
    --secure-port=10259 \
    --tls-min-version=VersionTLS12 \
    --tls-cipher-suites=TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 \
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

DEPENDS_ON=(/etc/kubernetes/scheduler.yaml /etc/systemd/system/kube-scheduler.service /etc/kubernetes/scheduler.kubeconfig)
healthy() { curl --fail --silent --show-error --max-time 3 --insecure https://127.0.0.1:10259/healthz; }

wait_until 60 'the names that it calls' resolvable k8s-master-0.internal.k8s.example.com
if needs_restart kube-scheduler "${DEPENDS_ON[@]}"; then
  free_port kube-scheduler 10259
  restart kube-scheduler
fi
wait_until 120 'kube-scheduler to be healthy' healthy
passed kube-scheduler "${DEPENDS_ON[@]}"
say 'kube-scheduler is healthy'
