"""The server of the page answers its own page alone, only what it is asked for, and nothing outside."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from finished_run import write_folder
from sima2.errors import StoreError
from sima2.report.html import policy
from sima2.view.pages import RunPages
from sima2.view.server import Answer, Serving, serving

TOKEN = "a-token"


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("view") / "out")


def running(site: object) -> Iterator[Serving]:
    made = serving(site, token=TOKEN)
    thread = threading.Thread(target=made.run, daemon=True)
    thread.start()
    yield made
    made.stop()
    thread.join()


@pytest.fixture(scope="module")
def server(out: Path) -> Iterator[Serving]:
    yield from running(RunPages(out))


def ask(
    server: Serving, path: str, method: str = "GET", body: bytes | None = None, **headers: str
) -> tuple[int, bytes, dict[str, str]]:
    link = http.client.HTTPConnection("127.0.0.1", server.server.server_port, timeout=20)
    given_headers = {name.replace("_", "-"): value for name, value in headers.items()}
    link.putrequest(method, path, skip_host="Host" in given_headers)
    for name, value in given_headers.items():
        link.putheader(name, value)
    if body is not None:
        link.putheader("Content-Length", str(len(body)))
    link.endheaders(body)
    answer = link.getresponse()
    told = answer.read()
    link.close()
    return answer.status, told, dict(answer.getheaders())


def test_the_page_is_served_under_a_policy_that_lets_it_ask_only_here(server: Serving) -> None:
    status, page, headers = ask(server, f"/{TOKEN}/")
    assert status == HTTPStatus.OK
    assert b'data-live="read"' in page
    assert headers["Content-Security-Policy"] == policy("read")
    assert "connect-src 'self'" in policy("read")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"


def test_an_episode_is_told_when_asked_for(server: Serving) -> None:
    status, told, _ = ask(server, f"/{TOKEN}/episode?row=0")
    assert status == HTTPStatus.OK
    assert len(json.loads(told)["segments"]) == 12


@pytest.mark.parametrize("path", ["/", "/wrong/", f"/{TOKEN}x/", f"/{TOKEN[:-1]}/", "/%61-token/"])
def test_without_the_token_nothing_is_told(server: Serving, path: str) -> None:
    status, told, _ = ask(server, path)
    assert status == HTTPStatus.FORBIDDEN
    assert b"segments" not in told


@pytest.mark.parametrize(
    "path",
    ["../../etc/passwd", "..%2f..%2fetc%2fpasswd", "summary.json", "episode/../summary.json", "%00", "episode?row=-1"]
    + [f"episode?row={row}" for row in ("400", "x", "1e3", "%D9%A3", "", "9" * 40, "0&row=x")],
)
def test_nothing_else_is_there(server: Serving, path: str) -> None:
    assert ask(server, f"/{TOKEN}/{path}")[0] == HTTPStatus.NOT_FOUND


def test_other_hosts_and_other_pages_are_refused(server: Serving) -> None:
    port = server.server.server_port
    page = f"/{TOKEN}/"
    assert ask(server, page, Host="evil.example")[0] == HTTPStatus.MISDIRECTED_REQUEST
    assert ask(server, page, Host=f"localhost:{port}")[0] == HTTPStatus.OK
    assert ask(server, page, Origin="http://evil.example")[0] == HTTPStatus.FORBIDDEN
    assert ask(server, page, Origin="null")[0] == HTTPStatus.FORBIDDEN
    assert ask(server, page, Origin=f"http://127.0.0.1:{port}")[0] == HTTPStatus.OK
    assert ask(server, page, Sec_Fetch_Site="cross-site")[0] == HTTPStatus.FORBIDDEN
    assert ask(server, page, Sec_Fetch_Site="same-site")[0] == HTTPStatus.FORBIDDEN


def test_labels_are_refused_unless_asked_for(server: Serving) -> None:
    body = json.dumps({"row": 0, "what": "success"}).encode()
    status, told, _ = ask(server, f"/{TOKEN}/label", "POST", body, Content_Type="application/json")
    assert status == HTTPStatus.FORBIDDEN
    assert "--label" in json.loads(told)["error"]


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{}", "text/plain", HTTPStatus.UNSUPPORTED_MEDIA_TYPE),
        (b"[1]", "application/json", HTTPStatus.BAD_REQUEST),
        (b"{", "application/json", HTTPStatus.BAD_REQUEST),
        (b"[" * 9000, "application/json", HTTPStatus.BAD_REQUEST),
        (b"\xff\xfe", "application/json", HTTPStatus.BAD_REQUEST),
        (b" " * 20_000, "application/json", HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    ],
)
def test_what_is_no_label_is_refused(server: Serving, body: bytes, kind: str, status: HTTPStatus) -> None:
    assert ask(server, f"/{TOKEN}/label", "POST", body, Content_Type=kind)[0] == status


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=80))
def test_no_address_breaks_the_server(server: Serving, path: str) -> None:
    status, told, _ = ask(server, f"/{TOKEN}/{path}")
    assert status in (200, 400, 404, 422)
    assert b"Traceback" not in told
    assert ask(server, f"/{TOKEN}/episode?row=1")[0] == 200


class OneFile:
    """A site that serves a file, as it does videos."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def get(self, name: str, query: object) -> Answer:
        return Answer(self.path, "video/mp4")


@pytest.mark.parametrize(
    ("asked", "status", "first", "last"),
    [
        ("", 200, 0, 1000),
        ("bytes=0-99", 206, 0, 100),
        ("bytes=990-", 206, 990, 1000),
        ("bytes=-10", 206, 990, 1000),
        ("bytes=-99999", 206, 0, 1000),
        ("bytes=5-999999999999999999", 206, 5, 1000),
        ("bytes=1000-", 416, 0, 0),
        ("bytes=9-3", 416, 0, 0),
        ("bytes=-", 416, 0, 0),
        ("bytes=0-1,5-9", 416, 0, 0),
        ("bytes=" + "9" * 60 + "-", 416, 0, 0),
        ("rows=0-9", 416, 0, 0),
    ],
)
def test_a_part_of_a_file_is_what_was_asked_for(tmp_path: Path, asked: str, status: int, first: int, last: int) -> None:
    data = bytes(k % 251 for k in range(1000))
    (tmp_path / "film.mp4").write_bytes(data)
    for server in running(OneFile(tmp_path / "film.mp4")):
        told = ask(server, f"/{TOKEN}/x", **({"Range": asked} if asked else {}))
        assert told[0] == status
        assert told[1] == data[first:last]
        if status == 206:
            assert told[2]["Content-Range"] == f"bytes {first}-{last - 1}/1000"
        head = ask(server, f"/{TOKEN}/x", "HEAD")
        assert head[1] == b""
        assert head[2]["Content-Length"] == "1000"


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no finished run"):
        RunPages(tmp_path)


def test_a_later_run_is_shown_without_a_restart(tmp_path: Path) -> None:
    out = write_folder(tmp_path / "out")
    pages = RunPages(out)
    before = pages.get("", {}).body
    (out / "summary.json").rename(out / "aside")
    from sima2.view.server import Refused

    with pytest.raises(Refused, match="under way"):
        pages.get("", {})
    (out / "aside").rename(out / "summary.json")
    assert pages.get("", {}).body == before
