"""The questions that the command line's help teaches are answered by a sector's adapter, to their end."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.system.conftest import ROOT, Server
from turkish_ai.cli import texts

pytestmark = [pytest.mark.real_model, pytest.mark.timeout(900)]  # a slow machine is not a failure

_EXAMPLE = re.compile(r'turkish-ai chat(?P<options>(?: --\S+ \w+)*) "(?P<asked>[^"]+)"|echo "(?P<piped>[^"]+)"')


def examples() -> list[tuple[str, tuple[str, ...]]]:
    found = {}
    for text in (texts.APP_EXAMPLES.tr, texts.APP_EXAMPLES.en, texts.CHAT_MORE.tr, texts.CHAT_MORE.en):
        for match in _EXAMPLE.finditer(text):
            found[match["asked"] or match["piped"], tuple((match["options"] or "").split())] = None
    return list(found)


def test_the_help_has_examples() -> None:
    assert len(examples()) >= 3


@pytest.mark.parametrize(("question", "options"), examples())
def test_an_example_of_the_help_is_answered_by_an_adapter(
    server: Server, question: str, options: tuple[str, ...], tmp_path: Path
) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "turkish_ai.cli", "chat", "--json", *options, question],
        cwd=ROOT,
        env=os.environ | {"TURKISH_AI_PORT": server.url.rpartition(":")[2], "TURKISH_AI_DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    answer = json.loads(ran.stdout)
    assert answer["adapter"] is not None
    assert answer["fallback"] is None
    assert answer["finish_reason"] == "stop"
    assert re.search("[çğıöşü]", answer["answer"]), "Turkish"
