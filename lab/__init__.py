"""The lab: a local cloud whose droplets are real Linux hosts on this machine. It knows nothing of Kubernetes."""
