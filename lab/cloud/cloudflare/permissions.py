"""What a token may be allowed to do; "Zone / DNS / Edit" on Cloudflare's token page is `dns_records:edit`."""

from __future__ import annotations

READ_RECORDS, EDIT_RECORDS, READ_ZONES = "dns_records:read", "dns_records:edit", "zone:read"

ALL = frozenset({READ_RECORDS, EDIT_RECORDS, READ_ZONES})
IMPLIED = {EDIT_RECORDS: frozenset({READ_RECORDS})}
"""What is allowed along with another permission."""
