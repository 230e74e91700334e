"""Verification of the token."""

from __future__ import annotations

from lab.cloud.cloudflare.envelope import result
from lab.cloud.messages import ApiRequest, ApiResponse, Routes

TOKEN_ID = "1ab0000000004000800000000000c1f4"  # noqa: S105 - names the token, opens nothing


def _verify(_call: ApiRequest) -> ApiResponse:
    # Only requests with the right token get here.
    message = {"code": 10000, "message": "This API Token is valid and active", "type": None}
    return result({"id": TOKEN_ID, "status": "active"}, messages=[message])


ROUTES: Routes = {("GET", "/user/tokens/verify"): _verify}
