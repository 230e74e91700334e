"""Reading a stack's configuration, typed and checked before anything is created.

A mistake is a line in a SettingsError: the setting, its value, what is wrong with it, and what to write instead.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence

import pulumi
from pydantic import ValidationError

from settings.accounts import Account, find_accounts
from settings.cross_checks import disagreements
from settings.mistakes import Mistake, SettingsError
from settings.schema import Settings
from settings.wording import explain


def load() -> Settings:
    """Read and check the stack's configuration, and that both accounts have a token.

    Raises pulumi.RunError, which the engine shows as a message without a traceback.
    """
    # Config.get reads one name at a time; a misspelt name shows only in the whole map, and no public function has that.
    config: dict[str, str] = pulumi.runtime.config.CONFIG.get()
    try:
        return check(config, find_accounts(config, pulumi.runtime.is_config_secret), pulumi.runtime.is_config_secret)
    except SettingsError as error:
        raise pulumi.RunError(str(error)) from None


def check(config: Mapping[str, str], accounts: Sequence[Account], is_secret: Callable[[str], bool]) -> Settings:
    """Check a stack's whole configuration, with values as the engine passes them. Raises SettingsError."""
    prefix = "triplane:"
    return parse(
        {key.removeprefix(prefix): value for key, value in config.items() if key.startswith(prefix)},
        accounts=accounts,
        secrets={key.removeprefix(prefix) for key in config if key.startswith(prefix) and is_secret(key)},
    )


def parse(values: Mapping[str, object], *, accounts: Sequence[Account] = (), secrets: Collection[str] = ()) -> Settings:
    """Check the settings in `values`, by their names in a stack's file; `secrets` names those stored encrypted.

    Structured values may be JSON text, as the engine passes them. Raises SettingsError with every mistake.
    """
    mistakes = [
        Mistake(
            setting=f"triplane:{name}",
            problem="is stored as a secret, but all of Triplane's settings are for everyone to read. "
            f"Write it plainly: pulumi config set --plaintext triplane:{name} VALUE",
        )
        for name in sorted(secrets)
    ]
    mistakes += [mistake for account in accounts for mistake in account.mistakes()]
    if secrets:
        raise SettingsError(mistakes)  # any other text about these settings could show a secret
    settings = None
    try:
        decoded = {name: _decode(name, value) for name, value in values.items()}
        settings = Settings.model_validate(decoded, by_alias=True, by_name=False)
    except ValidationError as error:
        mistakes += explain(error, Settings, hidden={"sshCaPublicKey"})
    else:
        mistakes += disagreements(settings)
    if settings is None or mistakes:
        raise SettingsError(mistakes)
    return settings


def _decode(name: str, value: object) -> object:
    """Decode a value of the engine: text stays text if the setting is text, everything else is JSON."""
    is_text = any(field.alias == name and field.annotation is str for field in Settings.model_fields.values())
    if not isinstance(value, str) or is_text:
        return value
    try:
        return json.loads(value)
    except json.JSONDecodeError:
        return value
