"""The plugin protocol's server: gRPC on loopback, one thread per call under way."""

# ruff: noqa: N802 - the methods' names and arguments are the protocol's

from __future__ import annotations

import os
import re
import sys
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

import grpc
from google.protobuf.empty_pb2 import Empty
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from lab.plugins.diff import Change
from lab.plugins.engine import EngineLog
from lab.plugins.plugin import Autonaming, Plugin
from lab.plugins.resource import Call, PartialError, PluginError
from lab.plugins.schema import Failure
from lab.plugins.values import decode, encode
from lab.signals import asked_to_stop

THREADS: Final = 256
"""More than the engine ever runs at once; a droplet holds one for as long as it takes to boot."""

_KINDS: Final = {
    (Change.ADD, False): provider_pb2.PropertyDiff.ADD,
    (Change.ADD, True): provider_pb2.PropertyDiff.ADD_REPLACE,
    (Change.DELETE, False): provider_pb2.PropertyDiff.DELETE,
    (Change.DELETE, True): provider_pb2.PropertyDiff.DELETE_REPLACE,
    (Change.UPDATE, False): provider_pb2.PropertyDiff.UPDATE,
    (Change.UPDATE, True): provider_pb2.PropertyDiff.UPDATE_REPLACE,
}


Context = grpc.ServicerContext


class Servicer(provider_pb2_grpc.ResourceProviderServicer):
    """Service that answers the engine's calls with a plugin. Calls that no plugin here needs stay unimplemented."""

    def __init__(self, plugin: Plugin, log: EngineLog) -> None:
        self.plugin = plugin
        self.log = log

    # Handshake and Configure say the same: secrets come unwrapped, because the engine tracks which inputs are
    # secret and marks the outputs of the same names.

    def Handshake(
        self, request: provider_pb2.ProviderHandshakeRequest, context: Context
    ) -> provider_pb2.ProviderHandshakeResponse:
        """Agree on the protocol's features."""
        return provider_pb2.ProviderHandshakeResponse(supports_autonaming_configuration=True)

    def GetPluginInfo(self, request: Empty, context: Context) -> plugin_pb2.PluginInfo:
        """Return the version of the official plugin that this one replaces."""
        return plugin_pb2.PluginInfo(version=self.plugin.version)

    def Attach(self, request: plugin_pb2.PluginAttach, context: Context) -> Empty:
        """Take the engine's address, where the engine did not start this process."""
        self.log = EngineLog(request.address)
        return Empty()

    def CheckConfig(self, request: provider_pb2.CheckRequest, context: Context) -> provider_pb2.CheckResponse:
        """Validate the provider's configuration."""
        with _errors(context):
            inputs, failures = self.plugin.check_config(decode(request.news))
            return provider_pb2.CheckResponse(inputs=encode(inputs), failures=_failures(failures))

    def DiffConfig(self, request: provider_pb2.DiffRequest, context: Context) -> provider_pb2.DiffResponse:
        """Tell whether the configuration changed; no change of it ever replaces a resource."""
        same = request.old_inputs == request.news
        return provider_pb2.DiffResponse(
            changes=provider_pb2.DiffResponse.DIFF_NONE if same else provider_pb2.DiffResponse.DIFF_SOME
        )

    def Configure(self, request: provider_pb2.ConfigureRequest, context: Context) -> provider_pb2.ConfigureResponse:
        """Take the provider's configuration."""
        with _errors(context):
            self.plugin.configure(decode(request.args))
            return provider_pb2.ConfigureResponse(supportsPreview=True, supports_autonaming_configuration=True)

    def Check(self, request: provider_pb2.CheckRequest, context: Context) -> provider_pb2.CheckResponse:
        """Validate a resource's inputs."""
        with _errors(context):
            options = request.autonaming
            autonaming = Autonaming(
                resource=request.name,
                seed=request.randomSeed or os.urandom(8),
                proposed=options.proposed_name,
                disabled=options.mode == provider_pb2.CheckRequest.AutonamingOptions.DISABLE,
            )
            inputs, failures = self.plugin.check(
                request.type, decode(request.news), olds=decode(request.olds), autonaming=autonaming
            )
            return provider_pb2.CheckResponse(inputs=encode(inputs), failures=_failures(failures))

    def Diff(self, request: provider_pb2.DiffRequest, context: Context) -> provider_pb2.DiffResponse:
        """Tell what changed."""
        with _errors(context):
            news = decode(request.news)
            found = self.plugin.diff(
                request.type,
                state=decode(request.olds),
                old_inputs=decode(request.old_inputs),
                news=news,
                ignore=request.ignoreChanges,
            )
            response = provider_pb2.DiffResponse(
                changes=provider_pb2.DiffResponse.DIFF_SOME if found else provider_pb2.DiffResponse.DIFF_NONE,
                diffs=sorted({_top(path) for path in found}),
                replaces=sorted({_top(path) for path, difference in found.items() if difference.replace}),
                deleteBeforeReplace=self.plugin.deletes_first(request.type, news, found),
                hasDetailedDiff=True,
            )
            for path, difference in found.items():
                response.detailedDiff[path].kind = _KINDS[difference.change, difference.replace]
            return response

    def Create(self, request: provider_pb2.CreateRequest, context: Context) -> provider_pb2.CreateResponse:
        """Make a resource."""
        with _errors(context):
            id_, outputs = self.plugin.create(
                request.type, decode(request.properties), self._call(request), preview=request.preview
            )
            return provider_pb2.CreateResponse(id=id_, properties=encode(outputs))

    def Read(self, request: provider_pb2.ReadRequest, context: Context) -> provider_pb2.ReadResponse:
        """Look at a resource."""
        with _errors(context):
            found = self.plugin.read(
                request.type,
                request.id,
                self._call(request),
                state=decode(request.properties),
                inputs=decode(request.inputs),
            )
            if found is None:
                return provider_pb2.ReadResponse()
            return provider_pb2.ReadResponse(id=found.id, properties=encode(found.outputs), inputs=encode(found.inputs))

    def Update(self, request: provider_pb2.UpdateRequest, context: Context) -> provider_pb2.UpdateResponse:
        """Change a resource in place."""
        with _errors(context):
            outputs = self.plugin.update(
                request.type,
                request.id,
                decode(request.news),
                self._call(request),
                state=decode(request.olds),
                preview=request.preview,
            )
            return provider_pb2.UpdateResponse(properties=encode(outputs))

    def Delete(self, request: provider_pb2.DeleteRequest, context: Context) -> Empty:
        """Remove a resource."""
        with _errors(context):
            self.plugin.delete(request.type, request.id, decode(request.properties), self._call(request))
            return Empty()

    def Invoke(self, request: provider_pb2.InvokeRequest, context: Context) -> provider_pb2.InvokeResponse:
        """Answer a function of the plugin's; in previews too, because it makes nothing."""
        with _errors(context):
            answer, failures = self.plugin.ask(
                request.tok, decode(request.args), Call(name=request.tok, cancelled=self.plugin.cancelled)
            )
            return provider_pb2.InvokeResponse(**{"return": encode(answer)}, failures=_failures(failures))

    def Cancel(self, request: Empty, context: Context) -> Empty:
        """Stop the steps that run."""
        self.plugin.cancel()
        return Empty()

    def _call(self, request: Any) -> Call:  # noqa: ANN401 - four request types have these fields
        return Call(
            name=request.name,
            timeout=request.timeout or None,
            cancelled=self.plugin.cancelled,
            status=partial(self.log.status, request.urn),
            warn=partial(self.log.warn, request.urn),
        )


def _top(path: str) -> str:
    return re.split(r"[.[]", path, maxsplit=1)[0]


def _failures(failures: list[Failure]) -> list[provider_pb2.CheckFailure]:
    return [provider_pb2.CheckFailure(property=each.property, reason=each.reason) for each in failures]


@contextmanager
def _errors(context: Context) -> Iterator[None]:
    """Turn errors into the protocol's."""
    try:
        yield
    except PartialError as error:
        _abort_with_state(context, error)
    except PluginError as error:
        context.abort(grpc.StatusCode.UNKNOWN, str(error))
    except Exception as error:  # noqa: BLE001 - nothing may leave this process with a value in its message
        frames = "".join(traceback.format_tb(error.__traceback__))  # no values in it: they could be secrets
        sys.stderr.write(f"{type(error).__name__}\n{frames}")
        context.abort(grpc.StatusCode.INTERNAL, f"an error of the stand-in plugin itself: {type(error).__name__}")


def _abort_with_state(context: Context, error: PartialError) -> None:
    """Fail, but return the state that exists by now, so that the engine does not lose track of it."""
    from pulumi.runtime.proto import status_pb2

    status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=str(error))
    detail = provider_pb2.ErrorResourceInitFailed(id=error.id, properties=encode(error.outputs), reasons=[str(error)])
    status.details.add().Pack(detail)
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(grpc.StatusCode.UNKNOWN, str(error))


def start(plugin: Plugin, log: EngineLog) -> tuple[grpc.Server, int]:
    """Serve a plugin on a free loopback port."""
    server = grpc.server(
        ThreadPoolExecutor(THREADS),
        options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)],
    )
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Servicer(plugin, log), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port


def run(plugin: Plugin, engine: str | None) -> None:
    """Serve a plugin until the engine says stop: print the port, as the engine expects, and wait for a signal."""
    wait = asked_to_stop()
    server, port = start(plugin, EngineLog(engine))
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    wait()
    plugin.close()
    server.stop(grace=0.5).wait()
    os._exit(0)  # the engine waits for the end of this process: skip the interpreter's cleanup
