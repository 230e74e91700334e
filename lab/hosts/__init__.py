"""Droplets as systemd-nspawn machines: image, boot, network, firewall, name service and metadata."""
