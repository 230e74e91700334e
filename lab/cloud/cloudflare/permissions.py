"""Permissions of tokens; "Zone / DNS / Edit" on Cloudflare's token page is `dns_records:edit`."""

from __future__ import annotations

READ_RECORDS, EDIT_RECORDS, READ_ZONES = "dns_records:read", "dns_records:edit", "zone:read"

ALL = frozenset({READ_RECORDS, EDIT_RECORDS, READ_ZONES})
IMPLIED = {EDIT_RECORDS: frozenset({READ_RECORDS})}
"""Permissions that another one includes."""
