. /usr/local/lib/triplane/step.sh
step flannel-network
PATH=/opt/triplane/etcd/3.6.14:$PATH
set -a
. /etc/etcd/etcdctl.env
set +a
if [ "$(etcdctl get /flannel.com/network/config --print-value-only)" != '{"Network":"10.200.0.0/16","EnableNFTables":true,"Backend":{"Type":"vxlan","VNI":1}}' ]; then
  etcdctl put /flannel.com/network/config '{"Network":"10.200.0.0/16","EnableNFTables":true,"Backend":{"Type":"vxlan","VNI":1}}'
fi
