. /usr/local/lib/triplane/step.sh
step flannel-network
PATH=/usr/local/bin:$PATH
set -a
. /etc/etcd/etcdctl.env
set +a
found=$(etcdctl get /flannel.com/network/config --print-value-only)
if [ "$found" != '{"Network":"10.200.0.0/16","EnableNFTables":true,"Backend":{"Type":"vxlan","VNI":1}}' ]; then

  etcdctl put /flannel.com/network/config '{"Network":"10.200.0.0/16","EnableNFTables":true,"Backend":{"Type":"vxlan","VNI":1}}'

fi
