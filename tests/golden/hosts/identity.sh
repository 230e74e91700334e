set -euo pipefail
# The host key that every later connection is held to; it came on stdin and stands nowhere else.
umask 077
cat >/etc/ssh/ssh_host_ecdsa_key.new
ssh-keygen -y -f /etc/ssh/ssh_host_ecdsa_key.new >/etc/ssh/ssh_host_ecdsa_key.pub
chmod 644 /etc/ssh/ssh_host_ecdsa_key.pub
mv -f /etc/ssh/ssh_host_ecdsa_key.new /etc/ssh/ssh_host_ecdsa_key
rm -f /etc/ssh/ssh_host_rsa_key* /etc/ssh/ssh_host_ed25519_key* /etc/ssh/ssh_host_dsa_key*
systemctl restart ssh
