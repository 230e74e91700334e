. /usr/local/lib/triplane/step.sh
step kube-apiserver
UNIT=kube-apiserver

put_bundle
put /etc/kubernetes/etcd-members root:root 600 <<'TRIPLANE_END_OF_FILE'
ETCD_MEMBERS="https://etcd-0.internal.k8s.example.com:2379,https://etcd-1.internal.k8s.example.com:2379,https://etcd-2.internal.k8s.example.com:2379"
TRIPLANE_END_OF_FILE

put /etc/kubernetes/authentication.yaml root:root 600 <<'TRIPLANE_END_OF_FILE'
apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
anonymous:
  enabled: true
  conditions:
  - path: /livez
  - path: /readyz
  - path: /healthz
TRIPLANE_END_OF_FILE

put /etc/kubernetes/admission.yaml root:root 600 <<'TRIPLANE_END_OF_FILE'
apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
- name: EventRateLimit
  path: /etc/kubernetes/event-rate-limit.yaml
TRIPLANE_END_OF_FILE

put /etc/kubernetes/event-rate-limit.yaml root:root 600 <<'TRIPLANE_END_OF_FILE'
apiVersion: eventratelimit.admission.k8s.io/v1alpha1
kind: Configuration
limits:
- type: Server
  qps: 500
  burst: 5000
- type: Namespace
  qps: 50
  burst: 500
  cacheSize: 2000
TRIPLANE_END_OF_FILE

put /etc/kubernetes/audit-policy.yaml root:root 600 <<'TRIPLANE_END_OF_FILE'
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages:
- RequestReceived
rules:
- level: None
  nonResourceURLs:
  - /healthz*
  - /livez*
  - /readyz*
  - /version
- level: None
  resources:
  - group: coordination.k8s.io
    resources:
    - leases
  - group: ''
    resources:
    - events
- level: Metadata
  resources:
  - group: ''
    resources:
    - secrets
    - configmaps
    - serviceaccounts/token
  - group: authentication.k8s.io
    resources:
    - tokenreviews
- level: Request
  resources:
  - group: ''
    resources:
    - pods/exec
    - pods/portforward
    - pods/proxy
    - services/proxy
- level: Request
  verbs:
  - create
  - update
  - patch
  - delete
  - deletecollection
- level: Metadata
TRIPLANE_END_OF_FILE

put /etc/systemd/system/kube-apiserver.service root:root 600 <<'TRIPLANE_END_OF_FILE'
[Unit]
Description=kube-apiserver, the front of the Kubernetes control plane
Documentation=https://kubernetes.io/docs/reference/command-line-tools-reference/kube-apiserver/
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
Type=notify
EnvironmentFile=/etc/triplane/host.env
EnvironmentFile=/etc/kubernetes/etcd-members
ExecStart=/opt/triplane/kubernetes/1.37.1/kube-apiserver \
    --advertise-address=${PRIVATE_ADDRESS} \
    --bind-address=0.0.0.0 \
    --secure-port=6443 \
    --etcd-servers=${ETCD_MEMBERS} \
    --etcd-cafile=/etc/kubernetes/pki/etcd-server-ca.crt \
    --etcd-certfile=/etc/kubernetes/pki/apiserver-etcd-client.crt \
    --etcd-keyfile=/etc/kubernetes/pki/apiserver-etcd-client.key \
    --tls-cert-file=/etc/kubernetes/pki/apiserver.crt \
    --tls-private-key-file=/etc/kubernetes/pki/apiserver.key \
    --tls-min-version=VersionTLS12 \
    --tls-cipher-suites=TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 \
    --client-ca-file=/etc/kubernetes/pki/client-ca.crt \
    --authentication-config=/etc/kubernetes/authentication.yaml \
    --authorization-mode=Node,RBAC \
    --enable-admission-plugins=NodeRestriction,DenyServiceExternalIPs,EventRateLimit \
    --admission-control-config-file=/etc/kubernetes/admission.yaml \
    --allow-privileged=true \
    --service-cluster-ip-range=10.32.0.0/24 \
    --service-node-port-range=30000-32767 \
    --service-account-issuer=https://api.internal.k8s.example.com:6443 \
    --service-account-jwks-uri=https://api.internal.k8s.example.com:6443/openid/v1/jwks \
    --service-account-key-file=/etc/kubernetes/pki/service-account.pub \
    --service-account-signing-key-file=/etc/kubernetes/pki/apiserver-service-account.key \
    --service-account-extend-token-expiration=false \
    --kubelet-client-certificate=/etc/kubernetes/pki/apiserver-kubelet-client.crt \
    --kubelet-client-key=/etc/kubernetes/pki/apiserver-kubelet-client.key \
    --kubelet-certificate-authority=/etc/kubernetes/pki/cluster-signing-ca.crt \
    --kubelet-preferred-address-types=Hostname \
    --requestheader-client-ca-file=/etc/kubernetes/pki/front-proxy-ca.crt \
    --requestheader-allowed-names=front-proxy-client \
    --requestheader-username-headers=X-Remote-User \
    --requestheader-group-headers=X-Remote-Group \
    --requestheader-extra-headers-prefix=X-Remote-Extra- \
    --proxy-client-cert-file=/etc/kubernetes/pki/front-proxy-client.crt \
    --proxy-client-key-file=/etc/kubernetes/pki/front-proxy-client.key \
    --enable-aggregator-routing=true \
    --encryption-provider-config=/etc/kubernetes/encryption.yaml \
    --audit-policy-file=/etc/kubernetes/audit-policy.yaml \
    --audit-log-path=/var/log/kubernetes/audit.log \
    --audit-log-maxage=30 \
    --audit-log-maxbackup=10 \
    --audit-log-maxsize=100 \
    --profiling=false \
    --request-timeout=60s \
    --shutdown-delay-duration=5s \
    --shutdown-watch-termination-grace-period=5s \
    --goaway-chance=0.001 \
    --v=2

Restart=always
RestartSec=2
TimeoutStartSec=3min
# Longer than the server takes to finish the requests that it has.
TimeoutStopSec=60
LimitNOFILE=65536
LogsDirectory=kubernetes
LogsDirectoryMode=0700
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

DEPENDS_ON=(/etc/kubernetes/etcd-members /etc/kubernetes/authentication.yaml /etc/kubernetes/admission.yaml /etc/kubernetes/event-rate-limit.yaml /etc/kubernetes/audit-policy.yaml /etc/systemd/system/kube-apiserver.service /etc/triplane/host.env /etc/kubernetes/pki/ca.crt /etc/kubernetes/pki/cluster-signing-ca.crt /etc/kubernetes/pki/client-ca.crt /etc/kubernetes/pki/front-proxy-ca.crt /etc/kubernetes/pki/etcd-server-ca.crt /etc/kubernetes/pki/service-account.pub /etc/kubernetes/pki/apiserver-service-account.key /etc/kubernetes/pki/apiserver.crt /etc/kubernetes/pki/apiserver.key /etc/kubernetes/pki/apiserver-etcd-client.crt /etc/kubernetes/pki/apiserver-etcd-client.key /etc/kubernetes/pki/apiserver-kubelet-client.crt /etc/kubernetes/pki/apiserver-kubelet-client.key /etc/kubernetes/pki/front-proxy-client.crt /etc/kubernetes/pki/front-proxy-client.key /etc/kubernetes/encryption.yaml)
healthy() { curl --fail --silent --show-error --max-time 3 --cacert /etc/kubernetes/pki/ca.crt https://127.0.0.1:6443/readyz; }

wait_until 60 'the names that it calls' resolvable etcd-0.internal.k8s.example.com etcd-1.internal.k8s.example.com etcd-2.internal.k8s.example.com
if needs_restart kube-apiserver "${DEPENDS_ON[@]}"; then
  free_port kube-apiserver 6443
  restart kube-apiserver
fi
wait_until 120 'kube-apiserver to be healthy' healthy
passed kube-apiserver "${DEPENDS_ON[@]}"
say 'kube-apiserver is healthy'
