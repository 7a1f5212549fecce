"""The dashboard's files: what they are, compressed and revalidated, and free of inline code."""

import gzip
import importlib.util
import re

import pytest
from websockets.datastructures import Headers

from gateway.ops.pages import PLOTLY, Pages
from gateway.wire.response import Response


async def get(files: Pages, path: str, **headers: str) -> Response:
    """The answer, which there must be; `_` is `-` in names of headers."""
    asked = Headers({name.replace("_", "-"): value for name, value in headers.items()})
    answer = await files.answer(path, asked)
    assert answer is not None, path
    return answer


async def test_the_page_has_all_that_it_asks_for_and_no_inline_code() -> None:
    files = Pages()
    page = (await get(files, "/")).body.decode()
    names = re.findall(r'(?:src|href)="([^"]*\.(?:js|css))"', page)
    assert len(names) > 10
    # Below whatever path of a site the page is: no link of it begins at the root.
    assert not re.search(r'(?:src|href)="(?:/|http)', page)
    for name in names:
        answer = await get(files, f"/{name}")
        kind = "text/css" if name.endswith("css") else "text/javascript"
        assert (answer.status, answer.type) == (200, f"{kind}; charset=utf-8")
        assert len(answer.body) > 500
    assert not re.search(r"<script[^>]*>[^<]|\sstyle=|\son\w+=", page)


async def test_every_import_of_a_module_is_served() -> None:
    files = Pages()
    page = (await get(files, "/")).body.decode()
    modules = re.findall(r'modulepreload" href="(\w+\.js)"', page)
    assert len(modules) > 5
    for name in ("page.js", *modules):
        text = (await get(files, f"/{name}")).body.decode()
        imported = re.findall(r'from "\./(\w+\.js)"', text)
        assert set(imported) <= {"page.js", *modules}, name


@pytest.mark.parametrize("path", ["/", "/page.js", PLOTLY])
async def test_compressed_for_those_that_take_it_and_sent_once(path: str) -> None:
    files = Pages()
    plain, packed = await get(files, path), await get(files, path, Accept_Encoding="br, gzip")
    headers = dict(packed.headers)
    assert "Content-Encoding" not in dict(plain.headers)
    assert headers["Content-Encoding"] == "gzip"
    assert len(packed.body) < len(plain.body) * 0.6
    assert gzip.decompress(packed.body) == plain.body
    assert headers["Vary"] == "Accept-Encoding"
    tag = headers["ETag"]
    again = await get(files, path, If_None_Match=f'"other", {tag}', Accept_Encoding="gzip")
    assert (again.status, again.body, dict(again.headers)["ETag"]) == (304, b"", tag)
    assert (await get(files, path, If_None_Match='"other"')).status == 200


@pytest.mark.parametrize("accepted", ["identity", "br", "gzip;q=0", "gzip; q=0.0"])
async def test_not_compressed_for_those_that_do_not(accepted: str) -> None:
    answer = await get(Pages(), "/page.js", Accept_Encoding=accepted)
    assert "Content-Encoding" not in dict(answer.headers)


async def test_without_plotly_the_rest_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    files = Pages()
    assert await files.answer(PLOTLY, Headers()) is None
    assert (await get(files, "/")).status == 200
