"""Debug messages of Pulumi's SDK: each is a call that the program waits for."""

from __future__ import annotations

import logging

import pytest

from tests.components.graph import SMALL, Engine, run_program


@pytest.mark.parametrize(("option", "shown"), [("", False), ("true", True)])
def test_debug_messages_are_sent_only_on_request(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, option: str, shown: bool
) -> None:
    monkeypatch.setenv("PULUMI_OPTION_DEBUG", option)
    with caplog.at_level(logging.DEBUG):
        run_program("lab", Engine(), pools=SMALL)
    assert any("registration successful" in record.getMessage() for record in caplog.records) is shown
