"""Every service that runs on hosts: a file each, which says all of it."""
