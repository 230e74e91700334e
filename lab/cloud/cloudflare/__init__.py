"""The part of Cloudflare's v4 API that the lab supports: zones, their A and CNAME records, the token."""

from __future__ import annotations

from lab.cloud.cloudflare import records, tokens, zones
from lab.cloud.cloudflare.permissions import EDIT_RECORDS, READ_RECORDS, READ_ZONES
from lab.cloud.messages import Routes

__all__ = ["EDIT_RECORDS", "READ_RECORDS", "READ_ZONES", "ROUTES"]

ROUTES: Routes = {**tokens.ROUTES, **zones.ROUTES, **records.ROUTES}
