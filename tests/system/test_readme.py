"""What both READMEs tell a newcomer to type works, and the answer that they print is the answer that comes."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.system.conftest import ROOT, Server

pytestmark = [pytest.mark.real_model, pytest.mark.timeout(900)]  # a slow machine is not a failure

_BLOCK = re.compile(
    r"<!-- tested(?P<kind>: response)? -->\n```bash\n(?P<commands>.*?)```(?P<rest>.*?)(?=<!--|\Z)", re.S
)
README_FILES = ("README.md", "README.tr.md")


def blocks() -> list[tuple[str, str, dict[str, object] | None]]:
    found = []
    for name in README_FILES:
        for match in _BLOCK.finditer((ROOT / name).read_text(encoding="utf-8")):
            shown = None
            if match["kind"]:
                printed = re.search(r"```json\n(.*?)```", match["rest"], re.S)
                assert printed, f"{name}: a response block without its response"
                shown = json.loads(printed[1])
            found.append((name, match["commands"], shown))
    return found


@pytest.mark.parametrize(("name", "commands", "shown"), blocks())
def test_a_block_does_what_it_shows(
    server: Server, name: str, commands: str, shown: dict[str, object] | None, tmp_path: Path
) -> None:
    port = server.url.rpartition(":")[2]
    script = commands.replace("http://127.0.0.1:8000", server.url)
    script = script.replace(".venv/bin/", f"{Path(sys.executable).parent}/")
    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=ROOT,
        env=os.environ | {"TURKISH_AI_PORT": port, "TURKISH_AI_DATA_DIR": str(tmp_path), "COLUMNS": "120"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert ran.returncode == 0, f"{name}\n{commands}\n{ran.stdout}\n{ran.stderr}"
    assert ran.stdout.strip()
    if shown is not None:
        answer = json.loads(ran.stdout)
        for field in ("text", "sector", "sector_name", "adapter", "version", "engine", "finish_reason"):
            assert answer[field] == shown[field], field
        assert set(answer) == set(shown)


def test_each_readme_has_the_two_commands_and_tested_blocks() -> None:
    for name in README_FILES:
        text = (ROOT / name).read_text(encoding="utf-8")
        assert re.search(r"^make serve\b", text, re.M)
        assert re.search(r"^make test\b", text, re.M)
        assert _BLOCK.search(text)
