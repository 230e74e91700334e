"""How the doctor asks: by GET alone, with patience, and without handing the token on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from doctor import cloudflare, digitalocean
from doctor.examination import attempt
from doctor.findings import State
from doctor.reading import Reader, ReadError, RefusedError
from doctor.stack import Stack
from tests.doctor.altered import Altered


class Server(BaseHTTPRequestHandler):
    """Answers each path in another bad way."""

    heard: list[tuple[str, str | None]]

    def do_GET(self) -> None:
        self.heard.append((self.path, self.headers.get("Authorization")))
        self.send_response(302 if self.path == "/moved" else 200)
        if self.path == "/moved":
            self.send_header("Location", "/elsewhere")
        self.end_headers()
        self.wfile.write(b"<html>log in to the hotel's network</html>")

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture
def hotel() -> Iterator[tuple[str, list[tuple[str, str | None]]]]:
    heard: list[tuple[str, str | None]] = []
    server = HTTPServer(("127.0.0.1", 0), type("Hotel", (Server,), {"heard": heard}))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", heard
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_redirect_is_an_error_and_the_token_goes_nowhere(hotel: tuple[str, list[tuple[str, str | None]]]) -> None:
    url, heard = hotel
    with pytest.raises(RefusedError, match="answers 302"):
        Reader(base=url, token="secret").json("/moved")
    assert heard == [("/moved", "Bearer secret")]


def test_a_page_instead_of_json_is_an_error(hotel: tuple[str, list[tuple[str, str | None]]]) -> None:
    with pytest.raises(ReadError, match="not its JSON: a proxy"):
        Reader(base=hotel[0]).json("/v2/account")


def test_an_api_that_is_busy_is_asked_again(ocean: Reader, lab: Altered) -> None:
    lab.refuse("/v2/account", 429, "too_many_requests", "API Rate limit exceeded.")
    lab.times["/v2/account"] = 2
    assert ocean.json("/v2/account")["account"]["status"] == "active"
    assert len(lab.asked) == 3


def test_an_api_that_stays_busy_is_given_up(ocean: Reader, lab: Altered) -> None:
    lab.refuse("/v2/account", 500, "server_error", "Unexpected \x1b[31mserver-side error")
    with pytest.raises(RefusedError, match=r"answers 500, Unexpected \[31mserver-side error"):
        ocean.json("/v2/account")
    assert len(lab.asked) == 4


def test_a_path_is_asked_for_once(ocean: Reader, lab: Altered) -> None:
    ocean.json("/v2/account")
    ocean.json("/v2/account")
    assert lab.asked == [("GET", "/v2/account")]


def test_no_token_is_in_what_a_reader_or_a_stack_shows(stack: Stack) -> None:
    readers = [digitalocean.reader(stack.digitalocean), cloudflare.reader(stack.cloudflare)]
    for token in (stack.digitalocean.token, stack.cloudflare.token):
        assert token
        assert token not in repr([stack, *readers])


@pytest.mark.parametrize(("status", "state"), [(500, State.WRONG), (403, State.NOTE)])
def test_an_unreadable_item_is_not_ok_unless_named_elsewhere(
    stack: Stack, ocean: Reader, lab: Altered, status: int, state: State
) -> None:
    lab.refuse("/v2/vpcs", status)
    assert attempt(lambda: digitalocean.vpc_range(stack, ocean)).state is state
