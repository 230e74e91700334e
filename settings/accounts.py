"""The two cloud accounts: the places of their tokens, and checks of the tokens that were found."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from settings import values
from settings.mistakes import Mistake


@dataclass(frozen=True, kw_only=True, slots=True)
class Provider:
    """A provider plugin's settings for its token and address, by the plugin's own names."""

    name: str
    token_key: str
    token_variables: tuple[str, ...]
    token_pattern: str
    token_shape: str
    endpoint_key: str


DIGITALOCEAN = Provider(
    name="DigitalOcean",
    token_key="digitalocean:token",
    token_variables=("DIGITALOCEAN_TOKEN", "DIGITALOCEAN_ACCESS_TOKEN"),
    token_pattern=r"(do[op]_v1_)?[0-9a-f]{64}",
    token_shape="dop_v1_ and 64 hex digits",
    endpoint_key="digitalocean:apiEndpoint",
)
CLOUDFLARE = Provider(
    name="Cloudflare",
    token_key="cloudflare:apiToken",
    token_variables=("CLOUDFLARE_API_TOKEN",),
    token_pattern=r"[A-Za-z0-9_-]{40,80}",
    token_shape="40 or more letters, digits, - and _",
    endpoint_key="cloudflare:baseUrl",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """A stack's settings for one account."""

    provider: Provider
    token: str | None = field(repr=False)
    source: str
    """Name of the setting or environment variable with the token."""
    readable: bool
    """True if the token is unencrypted in the stack's file."""
    endpoint: str | None

    def mistakes(self) -> Iterator[Mistake]:
        """Everything wrong with it; the token itself is never in the text."""
        provider = self.provider
        advice = f"Run: pulumi config set --secret {provider.token_key}"
        if not self.token:
            variables = " or ".join(provider.token_variables)
            yield Mistake(
                setting=provider.token_key,
                problem=f"is missing: {provider.name} asks for it. {advice} (or set {variables} in the environment).",
            )
        elif self.readable:
            yield Mistake(
                setting=provider.token_key,
                problem=f"stands in plain text in the stack's file. Revoke it, make a new one. {advice}",
            )
        elif not re.fullmatch(provider.token_pattern, self.token):
            yield Mistake(
                setting=self.source,
                problem=f"does not look like a {provider.name} token: {provider.token_shape}. {advice}",
            )
        if self.endpoint is not None:
            try:
                values.url(self.endpoint)
            except ValueError as error:
                yield Mistake(setting=provider.endpoint_key, problem=str(error), value=self.endpoint)


def find(
    provider: Provider, config: Mapping[str, str], *, is_secret: Callable[[str], bool], environment: Mapping[str, str]
) -> Account:
    """Search in the same order as the provider's plugin: the stack's configuration, then the environment."""
    token, source, readable = config.get(provider.token_key), provider.token_key, False
    if token:
        readable = not is_secret(provider.token_key)
    else:
        source = next((name for name in provider.token_variables if environment.get(name)), provider.token_key)
        token = environment.get(source)
    return Account(
        provider=provider, token=token, source=source, readable=readable, endpoint=config.get(provider.endpoint_key)
    )


def find_accounts(config: Mapping[str, str], is_secret: Callable[[str], bool]) -> tuple[Account, Account]:
    """Find DigitalOcean's and Cloudflare's account in a stack's whole configuration, or in the environment."""
    digitalocean, cloudflare = (
        find(provider, config, is_secret=is_secret, environment=os.environ) for provider in (DIGITALOCEAN, CLOUDFLARE)
    )
    return digitalocean, cloudflare
