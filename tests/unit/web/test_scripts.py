"""What the page's scripts say and keep, run by Node where there is one; they touch no document."""

import base64
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

import turkish_ai

WEB = Path(turkish_ai.__file__).parent / "web"
NODE = shutil.which("node")
pytestmark = pytest.mark.skipif(NODE is None, reason="node is not installed")


def run(script: str, body: str) -> Any:
    """What `body` returns, with everything that `script` exports as `m`."""
    assert NODE is not None
    # As data, since Node would only take the page's .js for modules if a package.json said so.
    module = base64.b64encode((WEB / script).read_bytes()).decode()
    program = (
        f"import * as m from 'data:text/javascript;base64,{module}';"
        f"console.log(JSON.stringify(await (async () => {{ {body} }})()));"
    )
    done = subprocess.run([NODE, "--input-type=module"], input=program, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def kept(answer: str, *, stopped: bool = False) -> list[dict[str, str]]:
    """The history after a question that followed another turn."""
    said = [{"role": "user", "content": "ilk"}, {"role": "assistant", "content": "yanıt"}]
    found: list[dict[str, str]] = run(
        "history.js",
        f"const history = {json.dumps(said)};"
        f"async function* answer() {{ {answer} }}"
        f"await m.takeTurn(history, 'soru', answer, () => {json.dumps(stopped)}).catch(() => null);"
        "return history;",
    )
    assert found[:2] == said
    return found[2:]


def test_a_completed_answer_is_sent_with_the_next_question() -> None:
    assert kept("yield 'iki '; yield 'parça';") == [
        {"role": "user", "content": "soru"},
        {"role": "assistant", "content": "iki parça"},
    ]


def test_an_answer_that_broke_off_is_not_sent_again_nor_is_its_question() -> None:
    assert kept("yield 'yarım yan'; throw new Error('broken');") == []
    assert kept("throw new Error('refused');") == []


def test_an_answer_that_the_user_stopped_stays() -> None:
    assert kept("yield 'yarım'; throw new Error('aborted');", stopped=True)[1]["content"] == "yarım"
    assert kept("throw new Error('aborted');", stopped=True) == []


def test_the_question_is_sent_once() -> None:
    sent = run(
        "history.js",
        "const history = []; let seen; async function* answer(h) { seen = [...h]; yield 'x'; }"
        "await m.takeTurn(history, 'soru', answer, () => false); return seen;",
    )
    assert sent == [{"role": "user", "content": "soru"}]


def explained(error: str, *, first: bool = True) -> str:
    words: str = run("words.js", f"return m.explain({error}, {{ isFirst: {json.dumps(first)} }});")
    return words


def coded(code: str, param: str | None = None) -> str:
    return f"new m.ServerError({json.dumps({'code': code, 'message': '', 'param': param})})"


@pytest.mark.parametrize("code", ["context_length_exceeded", "body_too_large"])
def test_what_is_too_long_is_the_question_or_else_the_chat(code: str) -> None:
    assert explained(coded(code)) == "Sorunuz çok uzun. Lütfen kısaltın."
    assert "Yeni sohbet" in explained(coded(code), first=False)


def test_more_messages_than_the_server_takes_ask_for_a_new_chat() -> None:
    assert "Yeni sohbet" in explained(coded("value_out_of_range", "messages"), first=False)
    assert "Beklenmeyen" in explained(coded("value_out_of_range", "temperature"), first=False)


def test_a_proxys_page_means_that_the_server_was_not_reached() -> None:
    page = "await m.errorOf(new Response('<html>Bad Gateway</html>', { status: 502 }))"
    assert explained(page).startswith("Sunucuya ulaşılamadı.")
    assert explained("new TypeError('Failed to fetch')").startswith("Sunucuya ulaşılamadı.")
    ours = 'await m.errorOf(new Response(\'{"error": {"code": "queue_full"}}\', { status: 503 }))'
    assert "yoğunum" in explained(ours)


@pytest.mark.parametrize(("probability", "shown"), [(0.9999, "%99"), (1, "%99"), (0.8125, "%81"), (0.4, "%40")])
def test_no_confidence_is_shown_as_certainty(probability: float, shown: str) -> None:
    assert run("words.js", f"return m.confidence({probability});") == f"{shown} güven"
