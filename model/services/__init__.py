"""Services that run on hosts: one file per service, which defines all of it."""
