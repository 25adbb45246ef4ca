"""What an adapter_config.json says: which modules are changed, with which rank and how strongly.

Made by `adapters` from a config that may come from anywhere. Honours what it can exactly as PEFT 0.21 does and refuses
the rest by name, so that an adapter is computed as PEFT would or not at all. Knows nothing of tensors or files.
"""

import math
from collections.abc import Collection, Mapping
from typing import Any

from turkish_ai.engines.patterns import Pattern, UnsupportedPattern
from turkish_ai.errors import AdapterRefused

_IGNORED_ENTRIES = frozenset(
    {
        "alpha_pattern",
        "auto_mapping",
        "base_model_name_or_path",
        "corda_config",
        "ensure_weight_tying",
        "eva_config",
        "exclude_modules",
        "inference_mode",
        "layers_pattern",
        "layers_to_transform",
        "loftq_config",
        "lora_alpha",
        "lora_dropout",
        "lora_ga_config",
        "megatron_core",
        "peft_type",
        "peft_version",
        "qalora_group_size",
        "r",
        "rank_pattern",
        "revision",
        "runtime_config",
        "target_modules",
        "task_type",
        "use_rslora",
    }
)
"""Read here, or only about how the adapter was made: they do not change what it computes."""

_CHANGES_THE_BASE = ("pissa", "olora", "loftq", "corda", "lora_ga")
"""Values of `init_lora_weights` that subtract from the base model's own weights; served on it they would be wrong."""


_READ_ELSEWHERE = ("use_dora", "bias", "init_lora_weights")
_MAX_PATTERNS = 4096
"""As many as a large model has modules: some methods write one entry for each."""
_MAX_PATTERN_CHARACTERS = 2048
"""Of all patterns together that are more than names; they take up to 2 s against 126 modules, measured."""


class PeftConfig:
    """A LoRA config that this engine computes.

    Raises:
        AdapterRefused: the message names the entry and its value.
    """

    def __init__(self, folder: str, entries: Mapping[str, Any]) -> None:
        self._folder = folder
        self._entries = entries
        self._pattern_characters = 0
        self._refuse_other_methods()
        rank = entries.get("r")
        if not _is_rank(rank):
            raise self._refusal(f"r is {_shown(rank)}; expected a whole number from 1.")
        self._rank: int = rank  # type: ignore[assignment]
        self._alpha = self._number("lora_alpha", entries.get("lora_alpha"))
        self._uses_rslora = self._flag("use_rslora")
        self._ranks: list[tuple[Pattern, int]] = []
        for pattern, value in self._patterns("rank_pattern"):
            if not _is_rank(value):
                raise self._refusal(f"rank_pattern holds {_shown(value)}; expected a whole number from 1.")
            self._ranks.append((pattern, value))
        self._alphas = [(pattern, self._number("alpha_pattern", v)) for pattern, v in self._patterns("alpha_pattern")]

    @property
    def base_model(self) -> object:
        return self._entries.get("base_model_name_or_path")

    def rank(self, module: str) -> int:
        return next((rank for pattern, rank in self._ranks if pattern.matches_end_of_path(module)), self._rank)

    def scaling(self, module: str, rank: int) -> float:
        """What the product of the module's matrices counts: PEFT's rule, with the first pattern that fits."""
        alpha = next((a for pattern, a in self._alphas if pattern.matches_end_of_path(module)), self._alpha)
        return alpha / math.sqrt(rank) if self._uses_rslora else alpha / rank

    def targets(self, modules: Collection[str]) -> set[str]:
        """Those of `modules` that PEFT would change (peft.tuners.tuners_utils.check_target_module_exists).

        Raises AdapterRefused: an entry is none that PEFT takes, or names a module that is not among `modules`.
        """
        excluded = self._choice("exclude_modules")
        return self._chosen(modules) - {m for m in modules if excluded is not None and _is_chosen(m, excluded)}

    # --- which modules ----------------------------------------------------------------------------------------------

    def _chosen(self, modules: Collection[str]) -> set[str]:
        targets = self._choice("target_modules")
        if targets is None:
            raise self._refusal("target_modules is missing; expected the changed modules' names.")
        layers = self._layers()
        if isinstance(targets, Pattern):
            if layers is not None:
                raise self._refusal("layers_to_transform goes with a list of target_modules alone.")
            return {m for m in modules if targets.fullmatch(m)}
        if targets == _ALL_LINEAR:
            targets = frozenset(modules)
        known = {ending for m in modules for ending in _endings(m)}
        if unknown := sorted(targets - known):
            raise self._refusal(
                f"target_modules names {_shown(unknown[0])}, which is no linear layer that an adapter changes here."
            )
        chosen = {m for m in modules if _is_chosen(m, targets)}
        if layers is None:
            return chosen
        patterns = self._layer_patterns()
        return {m for m in chosen if m in targets or _layer_of(m, patterns) in layers}

    def _choice(self, entry: str) -> "Pattern | frozenset[str] | None":
        """A list of names, or a pattern for the whole path; None if the entry is empty."""
        value = self._entries.get(entry)
        if value is None or value in ("", []):
            return None
        if isinstance(value, str):
            if entry == "target_modules" and value.lower() == "all-linear":
                return _ALL_LINEAR
            return self._pattern(entry, value)
        if isinstance(value, list) and len(value) <= _MAX_PATTERNS and all(isinstance(v, str) for v in value):
            return frozenset(value)
        raise self._refusal(f"{entry} is {_shown(value)}; expected a list of names or a pattern.")

    def _layers(self) -> frozenset[int] | None:
        value = self._entries.get("layers_to_transform")
        if value is None or value == []:
            return None
        numbers = value if isinstance(value, list) else [value]
        if not all(isinstance(n, int) and not isinstance(n, bool) for n in numbers):
            raise self._refusal(f"layers_to_transform is {_shown(value)}; expected layer numbers.")
        return frozenset(numbers)

    def _layer_patterns(self) -> list[str]:
        value = self._entries.get("layers_pattern") or []
        names = [value] if isinstance(value, str) else value
        if not isinstance(names, list) or not all(isinstance(n, str) and n.isidentifier() for n in names):
            raise self._refusal(f"layers_pattern is {_shown(value)}; expected the name of the list of layers.")
        return names

    # --- checks -----------------------------------------------------------------------------------------------------

    def _refuse_other_methods(self) -> None:
        entries = self._entries
        if entries.get("peft_type") != "LORA":
            raise self._refusal(f"peft_type is {_shown(entries.get('peft_type'))}; expected 'LORA'.")
        if entries.get("use_dora"):
            raise self._refusal("DoRA (use_dora) is not supported.", remedy="Train it as plain LoRA.")
        if (bias := entries.get("bias", "none")) != "none":
            raise self._refusal(f"bias is {_shown(bias)}; expected 'none'.")
        init = entries.get("init_lora_weights", True)
        if isinstance(init, str) and init.lower().startswith(_CHANGES_THE_BASE):
            raise self._refusal(
                f"init_lora_weights is {_shown(init)}, which changes the base model's weights.",
                remedy="Convert it to plain LoRA when saving (path_initial_model_for_weight_conversion).",
            )
        for name, value in entries.items():
            if name in _IGNORED_ENTRIES or name in _READ_ELSEWHERE:
                continue
            if value not in (None, False, [], {}, ""):
                raise self._refusal(f"{name} ({_shown(value)}) is not supported.", remedy="Train it as plain LoRA.")
        if entries.get("layers_pattern") and self._layers() is None:
            raise self._refusal("layers_pattern goes with layers_to_transform alone.")

    def _patterns(self, entry: str) -> list[tuple[Pattern, Any]]:
        patterns = self._entries.get(entry) or {}
        if not isinstance(patterns, dict) or len(patterns) > _MAX_PATTERNS:
            raise self._refusal(
                f"{entry} is {_shown(patterns)}; expected an object of at most {_MAX_PATTERNS} entries."
            )
        return [(self._pattern(entry, source), value) for source, value in patterns.items()]

    def _pattern(self, entry: str, source: str) -> Pattern:
        if not source.replace(".", "").replace("_", "").isalnum():
            self._pattern_characters += len(source)
        if self._pattern_characters > _MAX_PATTERN_CHARACTERS:
            raise self._refusal(f"its patterns have more than {_MAX_PATTERN_CHARACTERS} characters together.")
        try:
            return Pattern(source)
        except UnsupportedPattern as error:
            raise self._refusal(
                f"{entry} has the pattern {_shown(source)}, which is not supported: {error}.",
                remedy="Name the modules, or write it with names, '.', '*', '+', '?', [...] and (...|...).",
            ) from error

    def _number(self, entry: str, value: object) -> float:
        if isinstance(value, int | float) and not isinstance(value, bool):
            try:
                number = float(value)
            except OverflowError:  # a whole number of more than 308 digits
                number = math.inf
            if math.isfinite(number):
                return number
        raise self._refusal(f"{entry} is {_shown(value)}; expected a number.")

    def _flag(self, entry: str) -> bool:
        value = self._entries.get(entry)
        if not isinstance(value, bool | None):
            raise self._refusal(f"{entry} is {_shown(value)}; expected true or false.")
        return bool(value)

    def _refusal(self, message: str, *, remedy: str | None = None) -> AdapterRefused:
        return AdapterRefused(f"{self._folder}: {message}", remedy=remedy)


_ALL_LINEAR = frozenset({"all-linear"})
"""PEFT's short name for every linear layer but the output head."""


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _is_rank(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_chosen(module: str, choice: "Pattern | frozenset[str]") -> bool:
    if isinstance(choice, Pattern):
        return choice.fullmatch(module)
    return any(ending in choice for ending in _endings(module))


def _endings(module: str) -> list[str]:
    """The names under which a config may list a module: its path, and every part of it that follows a dot."""
    parts = module.split(".")
    return [".".join(parts[start:]) for start in range(len(parts))]


def _layer_of(module: str, list_names: list[str]) -> int | None:
    """The first number in the path that follows the name of a list of layers; by default, any name but the first."""
    parts = module.split(".")
    numbers = [place for place in range(1, len(parts) - 1) if parts[place].isdecimal()]
    for name in list_names:
        for place in numbers:
            if parts[place - 1] == name:
                return int(parts[place])
    return next((int(parts[place]) for place in numbers if place >= 2 and not list_names), None)
