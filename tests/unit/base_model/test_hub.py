"""Models from a hub: a small one of our own on loopback, speaking the part of the protocol that is needed."""

import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from turkish_ai.base_model import BaseModelSource, SilentProgress, ensure_base_model, fingerprint, installed_base_model
from turkish_ai.base_model.disk import FreeBytes, free_disk_bytes
from turkish_ai.base_model.gguf_convert import convert
from turkish_ai.base_model.hub import HubDownloader
from turkish_ai.errors import BaseModelUnavailable

COMMIT = "1234567890abcdef1234567890abcdef12345678"
SOURCE = BaseModelSource(source="org/tiny", sha256=None)


@dataclass
class FakeHub:
    files: dict[str, bytes]
    gated: bool = False
    broken: set[str] = field(default_factory=set)
    served: list[str] = field(default_factory=list)
    endpoint: str = ""


@pytest.fixture
def hub(tiny_gguf: Path, tmp_path: Path) -> Iterator[FakeHub]:
    directory = tmp_path / "upstream"
    directory.mkdir()
    convert(tiny_gguf, directory, progress=SilentProgress(), free_bytes=free_disk_bytes)
    files = {path.name: path.read_bytes() for path in directory.iterdir()}
    files |= {"pytorch_model.bin": b"pickle", "onnx/model.safetensors": b"another format", "README.md": b"card"}
    hub = FakeHub(files)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path)
            if path in {f"/api/models/org/tiny/revision/{revision}" for revision in ("main", "v1", COMMIT)}:
                self._json({"id": "org/tiny", "sha": COMMIT, "siblings": [{"rfilename": name} for name in hub.files]})
            elif path.startswith("/api/models/org/tiny/tree/"):
                entries = [
                    {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}  # noqa: S324
                    for name, content in hub.files.items()
                ]
                self._json(entries)
            elif path.startswith("/api/models/org/tiny/revision/"):
                self._error(404, "RevisionNotFound")
            elif path.startswith(f"/org/tiny/resolve/{COMMIT}/"):
                self._file(path.removeprefix(f"/org/tiny/resolve/{COMMIT}/"))
            else:
                self._error(404, "RepoNotFound")

        def _file(self, name: str) -> None:
            if hub.gated:
                self._error(403, "GatedRepo")
                return
            content = hub.files[name]
            if self.command == "GET":
                hub.served.append(name)
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')  # noqa: S324
            self.send_header("X-Repo-Commit", COMMIT)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content[: len(content) // 2] if name in hub.broken else content)
                self.close_connection = True

        def _json(self, document: object) -> None:
            body = json.dumps(document).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _error(self, status: int, code: str) -> None:
            self.send_response(status)
            self.send_header("X-Error-Code", code)
            self.send_header("X-Error-Message", code)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    yield hub
    server.shutdown()
    server.server_close()
    thread.join()


def use(
    hub: FakeHub, cache_dir: Path, source: BaseModelSource = SOURCE, free_bytes: FreeBytes = free_disk_bytes
) -> Path:
    return ensure_base_model(
        source,
        cache_dir=cache_dir,
        progress=SilentProgress(),
        snapshots=HubDownloader(endpoint=hub.endpoint),
        free_bytes=free_bytes,
    )


def test_a_hub_model_arrives_without_pickles_and_other_formats(hub: FakeHub, tmp_path: Path) -> None:
    directory = use(hub, tmp_path)
    assert sorted(path.name for path in directory.iterdir()) == [
        "config.json",
        "conversion.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    assert (directory / "model.safetensors").read_bytes() == hub.files["model.safetensors"]
    assert not {"pytorch_model.bin", "onnx/model.safetensors"} & set(hub.served)


def test_a_hub_model_that_is_there_needs_no_network(hub: FakeHub, tmp_path: Path) -> None:
    directory = use(hub, tmp_path)
    hub.served.clear()
    assert use(FakeHub({}, endpoint="http://127.0.0.1:9"), tmp_path) == directory
    assert installed_base_model(SOURCE, cache_dir=tmp_path) == directory
    assert hub.served == []


def test_each_revision_has_its_own_directory(hub: FakeHub, tmp_path: Path) -> None:
    tagged = use(hub, tmp_path, BaseModelSource(source="org/tiny", sha256=None, revision="v1"))
    assert tagged != use(hub, tmp_path)


@pytest.mark.parametrize(("text", "revision"), [("org/tiny", "no-such-revision"), ("org/unknown", "main")])
def test_a_name_or_revision_that_the_hub_does_not_know_is_an_error(
    hub: FakeHub, tmp_path: Path, text: str, revision: str
) -> None:
    with pytest.raises(BaseModelUnavailable, match=f"{text} at {revision} could not be downloaded") as caught:
        use(hub, tmp_path, BaseModelSource(source=text, sha256=None, revision=revision))
    assert "TURKISH_AI_BASE_MODEL" in str(caught.value.remedy)


def test_a_hub_out_of_reach_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BaseModelUnavailable, match="could not be downloaded"):
        use(FakeHub({}, endpoint="http://127.0.0.1:9"), tmp_path)


def test_a_model_behind_terms_says_to_accept_them(hub: FakeHub, tmp_path: Path) -> None:
    hub.gated = True
    with pytest.raises(BaseModelUnavailable, match="accept terms") as caught:
        use(hub, tmp_path)
    assert "HF_TOKEN" in str(caught.value.remedy)


def test_a_model_with_pickled_weights_alone_is_refused_before_anything_is_downloaded(
    hub: FakeHub, tmp_path: Path
) -> None:
    del hub.files["model.safetensors"]
    with pytest.raises(BaseModelUnavailable, match="no safetensors weights"):
        use(hub, tmp_path)
    assert hub.served == []


def test_a_disk_too_small_for_a_hub_model_is_found_beforehand(hub: FakeHub, tmp_path: Path) -> None:
    with pytest.raises(BaseModelUnavailable, match="too full"):
        use(hub, tmp_path, free_bytes=lambda _: 5)
    assert hub.served == []


def test_a_download_that_breaks_off_is_an_error_and_the_next_start_goes_on(hub: FakeHub, tmp_path: Path) -> None:
    hub.broken = {"model.safetensors"}
    with pytest.raises(BaseModelUnavailable):
        use(hub, tmp_path)
    assert installed_base_model(SOURCE, cache_dir=tmp_path) is None

    hub.broken, hub.served = set(), []
    use(hub, tmp_path)
    assert "tokenizer.json" not in hub.served


def test_a_hub_model_with_another_fingerprint_is_refused(hub: FakeHub, tmp_path: Path) -> None:
    expected = fingerprint(use(hub, tmp_path))
    assert use(hub, tmp_path, BaseModelSource(source="org/tiny", sha256=expected)).is_dir()
    with pytest.raises(BaseModelUnavailable, match="fingerprint"):
        use(hub, tmp_path, BaseModelSource(source="org/tiny", sha256="0" * 64))
