. /usr/local/lib/triplane/step.sh
step flannel-network
PATH=/usr/local/bin:$PATH
set -a
. /etc/etcd/etcdctl.env
set +a
found=$(etcdctl get /flannel.com/network/config --print-value-only)
if [ "$found" != '{"Network":"10.200.0.0/16","EnableNFTables":true,"Backend":{"Type":"vxlan","VNI":1}}' ]; then

  fail "etcd has no network of pods, or another one (${found:-none}): it is not the etcd that this cluster ran on, and nothing is written to it; look at its members (etcdctl member list) and at its data, and restore a snapshot if it is lost (docs/operations.md)"

fi
