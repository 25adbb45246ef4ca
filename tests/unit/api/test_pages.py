"""The page at `/` and the documentation at `/docs`: complete, self-contained and safe."""

import re
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest

import turkish_ai

WEB = Path(turkish_ai.__file__).parent / "web"
PAGES = ["/", "/docs"]


class Page(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def addresses(self) -> list[str]:
        return [value for _, attrs in self.elements for name in ("src", "href") if (value := attrs.get(name))]


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_and_all_that_it_loads_come_from_this_server(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(path)
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    addresses = Page(response.text).addresses()
    assert any(address.endswith(".js") for address in addresses)
    for address in addresses:
        assert address.startswith(("/", "#")), address
        if not address.startswith("#"):
            assert (await client.get(address)).status_code == 200, address


@pytest.mark.parametrize("path", PAGES)
async def test_a_pages_policy_allows_no_inline_script_and_the_page_has_none(
    client: httpx.AsyncClient, path: str
) -> None:
    response = await client.get(path)
    policy = response.headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    page = Page(response.text)
    assert all(attrs.get("src") for tag, attrs in page.elements if tag == "script")
    assert not any(name.startswith("on") or name == "style" for _, attrs in page.elements for name in attrs)


@pytest.mark.parametrize("script", sorted(path.name for path in WEB.glob("*.js")))
async def test_a_script_only_imports_scripts_that_are_served_and_never_writes_html(
    client: httpx.AsyncClient, script: str
) -> None:
    response = await client.get(f"/web/{script}")
    assert response.headers["content-type"] == "text/javascript; charset=utf-8"
    for imported in re.findall(r'from "\./([^"]+)"', response.text):
        assert (await client.get(f"/web/{imported}")).status_code == 200
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|https?://", response.text)


async def test_the_chat_page_is_turkish_and_every_control_has_a_name(client: httpx.AsyncClient) -> None:
    page = Page((await client.get("/")).text)
    assert ("html", {"lang": "tr"}) in page.elements
    labelled = {attrs.get("for") for tag, attrs in page.elements if tag == "label"}
    controls = [attrs for tag, attrs in page.elements if tag in ("select", "textarea", "input")]
    assert controls
    assert all(attrs.get("id") in labelled for attrs in controls)
    assert any(attrs.get("aria-live") for _, attrs in page.elements)


async def test_the_warning_stands_on_the_page_at_every_width(client: httpx.AsyncClient) -> None:
    assert "Yanıtlar yanlış olabilir" in (await client.get("/")).text
    rules = re.findall(r"\.note\s*\{([^}]*)\}", (await client.get("/web/style.css")).text)
    assert rules
    assert not any("display" in rule or "visibility" in rule for rule in rules)


async def test_nothing_opens_a_phones_keyboard_by_itself(client: httpx.AsyncClient) -> None:
    assert not any("autofocus" in attrs for _, attrs in Page((await client.get("/")).text).elements)
    script = (await client.get("/web/chat.js")).text
    assert script.count(".focus(") == 1
    assert "if (!isTouched) question.focus({ preventScroll: true });" in script


async def test_every_element_that_the_chat_script_asks_for_is_on_the_page(client: httpx.AsyncClient) -> None:
    ids = {attrs.get("id") for _, attrs in Page((await client.get("/")).text).elements}
    script = (await client.get("/web/chat.js")).text
    assert set(re.findall(r'\$\("([^"]+)"\)', script)) <= ids


async def test_a_file_that_did_not_change_is_not_sent_again(client: httpx.AsyncClient) -> None:
    first = await client.get("/web/style.css")
    assert first.headers["cache-control"] == "no-cache"
    again = await client.get("/web/style.css", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("name", ["nothing.js", "..%2fapp.py", "%2e%2e%2fsettings.py", "style.css%00"])
async def test_only_the_pages_own_files_are_served(client: httpx.AsyncClient, name: str) -> None:
    assert (await client.get(f"/web/{name}")).status_code == 404
