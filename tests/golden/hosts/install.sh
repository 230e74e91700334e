. /usr/local/lib/triplane/step.sh
step install-etcd
fetch /opt/triplane/etcd/3.6.14 https://example.com/etcd-v3.6.14-linux-amd64.tar.gz 0000000000000000000000000000000000000000000000000000000000000000
ln -sfn /opt/triplane/etcd/3.6.14/etcdctl /usr/local/bin/etcdctl
