"""Messages to the engine: lines that it shows beside a resource during a step."""

from __future__ import annotations

from typing import Any

import grpc


class EngineLog:
    """Log that sends lines to the engine; it does nothing if there is no engine (in tests)."""

    def __init__(self, address: str | None) -> None:
        self._address = address
        self._stub: Any = None

    def status(self, urn: str, text: str) -> None:
        """Show a line beside the resource, until the next one."""
        self._send(urn, text, severity="INFO", ephemeral=True)

    def warn(self, urn: str, text: str) -> None:
        """Show a warning, and keep it in the run's summary."""
        self._send(urn, text, severity="WARNING", ephemeral=False)

    def _send(self, urn: str, text: str, *, severity: str, ephemeral: bool) -> None:
        if self._address is None:
            return
        from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc

        if self._stub is None:
            self._stub = engine_pb2_grpc.EngineStub(grpc.insecure_channel(self._address))
        request = engine_pb2.LogRequest(
            severity=engine_pb2.LogSeverity.Value(severity), message=text, urn=urn, ephemeral=ephemeral
        )
        self._stub.Log.future(request)  # in order, and without waiting: a lost line does not fail a run
