"""Tiny models of every family with five very different adapters each, made once per test run."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fakes.tiny_models import CHAT_TEMPLATE, FAMILIES, make_adapter, make_model
from turkish_ai import logs
from turkish_ai.engines.adapters import content_sha256
from turkish_ai.engines.embedded import EmbeddedEngine
from turkish_ai.messages import AdapterRef
from turkish_ai.metrics import Metrics
from turkish_ai.settings import SECTOR_IDS, ModelConfig, load_model_config

ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture(scope="session", autouse=True)
def plain_logs() -> None:
    """As the server logs. structlog's own default draws local variables: seconds for one of torch's tracebacks."""
    logs.configure(level="info", fmt="json")


@dataclass(frozen=True, slots=True, kw_only=True)
class TinyWorld:
    family: str
    base: Path
    adapters: tuple[AdapterRef, ...]


def reference(folder: Path) -> AdapterRef:
    return AdapterRef(name=folder.name, sha256=content_sha256(folder), path=folder)


@pytest.fixture(scope="session")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, TinyWorld]:
    found = {}
    for family in FAMILIES:
        root = tmp_path_factory.mktemp(family)
        base = make_model(family, root / "tiny")
        made = [
            make_adapter(base, root / "a0", seed=10),
            make_adapter(base, root / "a1", seed=11, rank=16, alpha=16, strength=0.15),
            make_adapter(base, root / "a2", seed=12, rank=2, alpha=3, targets=("q_proj", "down_proj"), strength=0.5),
            make_adapter(base, root / "a3", seed=13, rank=3, alpha=4, use_rslora=True),
            make_adapter(
                base,
                root / "a4",
                seed=14,
                rank=4,
                alpha=8,
                strength=0.2,
                rank_pattern={"q_proj": 6, "model.layers.1.mlp.up_proj": 1},
                alpha_pattern={"v_proj": 2, r"layers\.2\..*o_proj": 16},
            ),
        ]
        found[family] = TinyWorld(family=family, base=base, adapters=tuple(map(reference, made)))
    return found


@pytest.fixture(params=FAMILIES)
def world(request: pytest.FixtureRequest, worlds: dict[str, TinyWorld]) -> TinyWorld:
    return worlds[request.param]


def tiny_config(**embedded: object) -> ModelConfig:
    config = load_model_config(ROOT / "configs" / "model_config.json")
    raw = json.loads(config.model_dump_json(by_alias=True))
    raw["base_model"] |= {"context_tokens": 512}
    raw["tokenizer"] |= {"stop_tokens": ["<end_of_turn>"]}
    raw["inference"]["embedded"] |= {"kv_cache_mib": 8, "threads": 1, "prefill_chunk_tokens": 16, **embedded}
    return ModelConfig.model_validate_json(json.dumps(raw))


EngineMaker = Callable[..., AbstractAsyncContextManager[EmbeddedEngine]]


@pytest.fixture
def engine_for() -> EngineMaker:
    @asynccontextmanager
    async def make(base: Path, *, metrics: Metrics | None = None, **embedded: object) -> AsyncIterator[EmbeddedEngine]:
        engine = EmbeddedEngine(
            model_dir=base,
            config=tiny_config(**embedded),
            chat_template=CHAT_TEMPLATE,
            metrics=metrics or Metrics(sectors=SECTOR_IDS),
            base_names=("tiny",),
        )
        await engine.start()
        try:
            yield engine
        finally:
            await engine.stop(drain_s=0)

    return make
