"""One API call as a handler sees it: it takes an `ApiRequest`, gives an `ApiResponse`, and knows no HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from pydantic import BaseModel

from lab.cloud.backend import Backend
from lab.cloud.errors import MalformedBodyError
from lab.faults import Faults

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, kw_only=True)
class ApiRequest:
    """A request with a valid token, routed."""

    backend: Backend
    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    content: bytes = b""
    base: str = ""
    """Scheme and authority the client used, for the links in answers."""
    url_path: str = ""
    allowed: Callable[[str], bool] = lambda _scope: True
    """True if the caller's token has a scope."""

    @property
    def faults(self) -> Faults:
        """The lab's switches as they are now."""
        return self.backend.switches.now()

    @cached_property
    def body(self) -> dict[str, Any]:
        """The JSON object that was sent."""
        try:
            body = json.loads(self.content)
        except ValueError as error:
            message = f"the body is not JSON: {error}"
            raise MalformedBodyError(message) from None
        if not isinstance(body, dict):
            message = "the body must be a JSON object"
            raise MalformedBodyError(message)
        return body

    def parse(self, model: type[Model]) -> Model:
        """Read the body as `model`; a body that does not fit raises pydantic's ValidationError."""
        return model.model_validate(self.body)


@dataclass(frozen=True, kw_only=True)
class ApiResponse:
    """Status and JSON body; no body at all where `body` is None."""

    status: int = 200
    body: Mapping[str, Any] | None = None


Handler = Callable[[ApiRequest], ApiResponse]
Routes = Mapping[tuple[str, str], Handler]
"""(method, path template) → handler."""
