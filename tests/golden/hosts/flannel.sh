. /usr/local/lib/triplane/step.sh
step flannel
UNIT=flanneld

put_bundle
put /etc/sysctl.d/80-triplane-flannel.conf root:root 644 <<'TRIPLANE_END_OF_FILE'
net.ipv4.ip_forward = 1
TRIPLANE_END_OF_FILE

put /etc/flannel/etcd-members root:root 600 <<'TRIPLANE_END_OF_FILE'
ETCD_MEMBERS="https://etcd-0.internal.k8s.example.com:2379,https://etcd-1.internal.k8s.example.com:2379,https://etcd-2.internal.k8s.example.com:2379"
TRIPLANE_END_OF_FILE

put /etc/systemd/system/flanneld.service root:root 600 <<'TRIPLANE_END_OF_FILE'
[Unit]
Description=flannel, the pod network
Documentation=https://github.com/flannel-io/flannel
Wants=network-online.target
After=network-online.target
# The member list may come later than the unit: try again until it is there.
StartLimitIntervalSec=0

[Service]
Type=notify
EnvironmentFile=/etc/triplane/host.env
EnvironmentFile=/etc/flannel/etcd-members
ExecStart=/opt/triplane/flannel/0.27.4/flanneld-amd64 \
    -etcd-endpoints=${ETCD_MEMBERS} \
    -etcd-prefix=/flannel.com/network \
    -etcd-cafile=/etc/flannel/pki/etcd-server-ca.crt \
    -etcd-certfile=/etc/flannel/pki/etcd-client.crt \
    -etcd-keyfile=/etc/flannel/pki/etcd-client.key \
    -iface=${PRIVATE_ADDRESS} \
    -ip-masq=true \
    -healthz-ip=127.0.0.1 \
    -healthz-port=8471 \
    -subnet-file=/run/flannel/subnet.env

Restart=always
RestartSec=2
TimeoutStartSec=2min
RuntimeDirectory=flannel
RuntimeDirectoryPreserve=yes
# It makes an interface, routes and packet filter rules, and nothing else.
CapabilityBoundingSet=CAP_NET_ADMIN CAP_NET_RAW
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
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

DEPENDS_ON=(/etc/flannel/etcd-members /etc/systemd/system/flanneld.service /etc/triplane/host.env /etc/flannel/pki/etcd-server-ca.crt /etc/flannel/pki/etcd-client.crt /etc/flannel/pki/etcd-client.key)
sysctl --quiet --load /etc/sysctl.d/80-triplane-flannel.conf

subnet_leased() { grep --quiet '^FLANNEL_SUBNET=' /run/flannel/subnet.env 2>/dev/null; }
healthy() { curl --fail --silent --show-error --max-time 2 http://127.0.0.1:8471/healthz; }

wait_until 60 'the names of the etcd members' resolvable etcd-0.internal.k8s.example.com etcd-1.internal.k8s.example.com etcd-2.internal.k8s.example.com
if needs_restart flanneld "${DEPENDS_ON[@]}"; then
  restart flanneld --no-block
fi
wait_until 60 'flanneld to start' systemctl is-active --quiet flanneld
wait_until 60 'a subnet lease' subnet_leased
wait_until 30 'the interface flannel.1' ip link show flannel.1 up
wait_until 30 'flanneld to be healthy' healthy
passed flanneld "${DEPENDS_ON[@]}"
say "$(grep FLANNEL_SUBNET /run/flannel/subnet.env)"
