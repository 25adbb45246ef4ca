"""Which PEFT directories are served, and how the others are refused."""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from turkish_ai.engines import adapters
from turkish_ai.engines.adapters import (
    CARD_FILE,
    AdapterCatalog,
    AdapterRules,
    AdapterWeights,
    content_sha256,
    read_adapter,
    resolve_inside,
)
from turkish_ai.errors import AdapterNotFound, AdapterRefused
from turkish_ai.messages import AdapterRef

SHAPES = {"model.layers.0.self_attn.q_proj": (8, 12), "model.layers.0.mlp.down_proj": (16, 8)}
RULES = AdapterRules(base_names=("tiny", "org/tiny-base"), base_fingerprint="f" * 64, shapes=SHAPES, max_rank=8)


def write_adapter(folder: Path, *, rank: int = 2, **config: object) -> Path:
    folder.mkdir(parents=True)
    described = {
        "peft_type": "LORA",
        "base_model_name_or_path": "org/tiny-base",
        "r": rank,
        "lora_alpha": 4,
        "target_modules": ["q_proj", "down_proj"],
        "bias": "none",
        "use_dora": False,
    }
    (folder / "adapter_config.json").write_text(json.dumps(described | config))
    tensors = {}
    for module, (inputs, outputs) in SHAPES.items():
        tensors[f"base_model.model.{module}.lora_A.weight"] = torch.randn(rank, inputs)
        tensors[f"base_model.model.{module}.lora_B.weight"] = torch.randn(outputs, rank)
    save_file(tensors, folder / "adapter_model.safetensors")
    return folder


def read(folder: Path) -> AdapterWeights:
    return read_adapter(AdapterRef(name=folder.name, sha256=content_sha256(folder), path=folder), RULES)


def change_config(folder: Path, **entries: object) -> None:
    file = folder / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | entries))


def change_tensors(folder: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    file = folder / "adapter_model.safetensors"
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file)


A = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"


def test_a_good_adapter_is_read_with_its_scaling(tmp_path: Path) -> None:
    weights = read_adapter(
        AdapterRef(name="a", sha256=content_sha256(write_adapter(tmp_path / "a")), path=tmp_path / "a"), RULES
    )
    assert set(weights.modules) == set(SHAPES)
    assert {pair.scaling for pair in weights.modules.values()} == {2.0}
    assert weights.bytes == 4 * 2 * (8 + 12 + 16 + 8)


@pytest.mark.parametrize(
    ("entries", "named"),
    [
        ({"use_dora": True}, "DoRA"),
        ({"peft_type": "IA3"}, "IA3"),
        ({"bias": "all"}, "bias"),
        ({"init_lora_weights": "pissa_niter_16"}, "pissa"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"alora_invocation_tokens": [1, 2]}, "alora_invocation_tokens"),
        ({"target_parameters": ["x"]}, "target_parameters"),
        ({"fan_in_fan_out": True}, "fan_in_fan_out"),
        ({"some_future_feature": 3}, "some_future_feature"),
        ({"r": 0}, "r is 0"),
        ({"r": "8"}, "'8'"),
        ({"lora_alpha": None}, "lora_alpha"),
        ({"base_model_name_or_path": "org/another"}, "another"),
        ({"base_model_name_or_path": None}, "base_model_name_or_path"),
        ({"lora_alpha": 10**400}, "lora_alpha"),
        ({"use_rslora": "false"}, "use_rslora"),
        ({"rank_pattern": {"(a+)+$": 3}}, "a repeated group"),
        ({"rank_pattern": {"(": 3}}, "a group is not closed"),
        ({"rank_pattern": {"(?i)q_proj": 2}}, "changes flags"),
        ({"rank_pattern": {"q{99999999999999}": 2}}, "counts up to 16"),
        ({"rank_pattern": {f"[ab]{i}" + "x" * 400: 2 for i in range(6)}}, "2048 characters together"),
        ({"rank_pattern": {"q_proj": 2.5}}, "rank_pattern"),
        ({"alpha_pattern": {"q_proj": "x"}}, "alpha_pattern"),
        ({"alpha_pattern": {"q_proj": 10**400}}, "alpha_pattern"),
        ({"target_modules": ["q_proj", "down_proj", "v_proj"]}, "v_proj"),
        ({"target_modules": [["q_proj"]]}, "target_modules"),
        ({"target_modules": None}, "target_modules"),
        ({"target_modules": ["q_proj"]}, "tensors for 'model.layers.0.mlp.down_proj'"),
        ({"target_modules": r".*\.q_proj"}, "tensors for 'model.layers.0.mlp.down_proj'"),
        ({"target_modules": "(?=q).*"}, "looks around"),
        ({"exclude_modules": ["down_proj"]}, "tensors for 'model.layers.0.mlp.down_proj'"),
        ({"exclude_modules": ".*_proj"}, "(2 such module(s))"),
        ({"layers_to_transform": [1]}, "(2 such module(s))"),
        ({"layers_to_transform": 0, "layers_pattern": "h"}, "(2 such module(s))"),
        ({"layers_to_transform": ["0"]}, "layers_to_transform"),
        ({"layers_to_transform": 0, "target_modules": ".*_proj"}, "layers_to_transform"),
        ({"layers_pattern": "layers"}, "layers_pattern"),
    ],
)
def test_what_is_not_plain_lora_for_this_base_is_refused_by_name(
    tmp_path: Path, entries: dict[str, object], named: str
) -> None:
    folder = write_adapter(tmp_path / "a", **entries)
    with pytest.raises(AdapterRefused, match=re.escape(named)) as refused:
        read(folder)
    assert refused.value.http_status == 422


@pytest.mark.parametrize(
    "entries",
    [
        {"target_modules": "all-linear"},
        {"target_modules": r".*\.(q|down)_proj"},
        {"target_modules": ["model.layers.0.self_attn.q_proj", "mlp.down_proj"]},
        {"exclude_modules": ["v_proj"]},
        {"layers_to_transform": [0, 3]},
        {"layers_to_transform": 0, "layers_pattern": ["h", "layers"]},
        {"rank_pattern": {f"model.layers.{i}.self_attn.q_proj": 2 for i in range(400)}},
    ],
)
def test_a_choice_of_modules_that_the_file_keeps_is_served(tmp_path: Path, entries: dict[str, object]) -> None:
    assert set(read(write_adapter(tmp_path / "a", **entries)).modules) == set(SHAPES)


def test_whatever_else_a_file_provokes_is_a_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def provoked(*args: object) -> None:
        raise RecursionError("too deep")

    monkeypatch.setattr(adapters, "_pair_up", provoked)
    with pytest.raises(AdapterRefused, match="RecursionError: too deep"):
        read(write_adapter(tmp_path / "a"))


def test_another_publishers_model_of_the_same_name_is_another_model(tmp_path: Path) -> None:
    for number, accepted in enumerate(("ORG/Tiny-Base", "tiny-base", "tiny")):
        read(write_adapter(tmp_path / str(number), base_model_name_or_path=accepted))
    for number, other in enumerate(("elsewhere/tiny-base", "/models/tiny", "another/finetunes/Tiny"), start=10):
        with pytest.raises(AdapterRefused, match="aliases"):
            read(write_adapter(tmp_path / str(number), base_model_name_or_path=other))


def test_a_card_that_names_this_base_and_these_weights_proves_what_a_path_does_not(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "a", base_model_name_or_path="/models/mine")
    weights_sha256 = hashlib.sha256((folder / "adapter_model.safetensors").read_bytes()).hexdigest()
    (folder / CARD_FILE).write_text(json.dumps({"base_fingerprint": "f" * 64, "weights_sha256": weights_sha256}))
    assert read(folder).rank == 2


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "a")
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    with pytest.raises(AdapterRefused, match="pickle is never opened"):
        read(folder)


@pytest.mark.parametrize("keep", [0, 7, 100, -1, -17])
def test_a_truncated_file_is_refused(tmp_path: Path, keep: int) -> None:
    file = write_adapter(tmp_path / "a") / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(AdapterRefused, match="truncated"):
        read(tmp_path / "a")


def test_an_altered_file_is_refused_when_its_card_knows_better(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "a")
    (folder / CARD_FILE).write_text(json.dumps({"weights_sha256": "0" * 64}))
    with pytest.raises(AdapterRefused, match="altered"):
        read(folder)


def test_an_adapter_of_another_base_is_refused_by_its_fingerprint(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "a")
    (folder / CARD_FILE).write_text(json.dumps({"base_fingerprint": "e" * 64}))
    with pytest.raises(AdapterRefused, match=r"eeeeeeeeeeee.*ffffffffffff"):
        read(folder)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_none_are_refused(tmp_path: Path, value: float) -> None:
    folder = write_adapter(tmp_path / "a")
    change_tensors(folder, lambda t: t[A].__setitem__((0, 0), value))
    with pytest.raises(AdapterRefused, match="NaN or infinity"):
        read(folder)


def test_a_wrong_shape_names_found_and_expected(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "a")
    change_tensors(folder, lambda t: t.__setitem__(A, torch.zeros(2, 9)))
    with pytest.raises(AdapterRefused, match=r"\(2, 9\); expected \(2, 8\)"):
        read(folder)


def test_an_unknown_module_is_refused_by_name(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "a")
    change_tensors(folder, lambda t: t.__setitem__("base_model.model.lm_head.lora_A.weight", torch.zeros(2, 8)))
    with pytest.raises(AdapterRefused, match="lm_head"):
        read(folder)


def test_a_module_with_one_half_is_refused(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "a")
    change_tensors(folder, lambda t: t.__delitem__(A))
    with pytest.raises(AdapterRefused, match="no lora_A"):
        read(folder)


def test_a_tensor_of_whole_numbers_is_refused(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "a")
    change_tensors(folder, lambda t: t.__setitem__(A, torch.zeros(2, 8, dtype=torch.int64)))
    with pytest.raises(AdapterRefused, match="int64"):
        read(folder)


def test_a_rank_above_the_limit_names_both(tmp_path: Path) -> None:
    with pytest.raises(AdapterRefused, match="rank 9; this server takes 1 to 8"):
        read(write_adapter(tmp_path / "a", rank=9))


def test_a_file_that_changed_since_it_was_named_is_refused(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "a")
    stale = AdapterRef(name="a", sha256="0" * 64, path=folder)
    with pytest.raises(AdapterRefused, match="changed while"):
        read_adapter(stale, RULES)


def test_what_is_served_is_what_was_hashed_even_if_the_file_is_replaced_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, other = write_adapter(tmp_path / "a"), write_adapter(tmp_path / "b")
    ref = AdapterRef(name="a", sha256=content_sha256(folder), path=folder)
    expected = load_file(folder / "adapter_model.safetensors")[A].clone()
    real = adapters._check_card

    def replace_and_truncate(path: Path, weights_sha256: str, rules: AdapterRules) -> bool:
        shutil.copy(other / "adapter_model.safetensors", path / "adapter_model.safetensors")
        os.truncate(path / "adapter_model.safetensors", 100)
        (path / "adapter_config.json").write_text("{}")
        return real(path, weights_sha256, rules)

    monkeypatch.setattr(adapters, "_check_card", replace_and_truncate)
    pair = read_adapter(ref, RULES).modules["model.layers.0.self_attn.q_proj"]
    assert torch.equal(pair.a, expected)


def test_a_link_that_takes_the_files_place_is_not_followed(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "a")
    ref = AdapterRef(name="a", sha256=content_sha256(folder), path=folder)
    (folder / "adapter_model.safetensors").rename(tmp_path / "elsewhere")
    (folder / "adapter_model.safetensors").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(AdapterRefused, match="symbolic link"):
        read_adapter(ref, RULES)


@pytest.mark.parametrize("folder", ["..", "../x", "/etc", "a/../../x", "", "a\0b", "..\\x"])
def test_a_path_outside_the_folder_is_refused(tmp_path: Path, folder: str) -> None:
    with pytest.raises(AdapterRefused):
        resolve_inside(tmp_path, folder)


def test_a_symbolic_link_is_refused_as_folder_and_as_file(tmp_path: Path) -> None:
    write_adapter(tmp_path / "outside" / "a")
    root = tmp_path / "adapters"
    root.mkdir()
    (root / "linked").symlink_to(tmp_path / "outside" / "a")
    with pytest.raises(AdapterRefused, match="symbolic link"):
        resolve_inside(root, "linked")
    own = write_adapter(root / "own")
    (own / "adapter_model.safetensors").unlink()
    (own / "adapter_model.safetensors").symlink_to(tmp_path / "outside" / "a" / "adapter_model.safetensors")
    with pytest.raises(AdapterRefused, match="symbolic link"):
        content_sha256(own)


def test_a_named_pipe_does_not_hang_the_reader(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "a")
    (folder / "adapter_config.json").unlink()
    os.mkfifo(folder / "adapter_config.json")
    with pytest.raises(AdapterRefused, match="not a regular file"):
        content_sha256(folder)


@pytest.mark.parametrize("text", ["{", "[]", '"x"', "[" * 100_000])
def test_a_broken_config_is_refused(tmp_path: Path, text: str) -> None:
    folder = write_adapter(tmp_path / "a")
    (folder / "adapter_config.json").write_text(text)
    with pytest.raises(AdapterRefused, match=r"adapter_config\.json"):
        read(folder)


class TestCatalog:
    def test_a_sector_without_an_adapter_is_not_found(self, tmp_path: Path) -> None:
        catalog = AdapterCatalog(tmp_path, {"legal": None, "energy": "energy"})
        with pytest.raises(AdapterNotFound, match="legal"):
            catalog.find("legal")
        with pytest.raises(AdapterNotFound, match="not there"):
            catalog.find("energy")

    def test_new_content_is_a_new_version(self, tmp_path: Path) -> None:
        write_adapter(tmp_path / "energy")
        catalog = AdapterCatalog(tmp_path, {"energy": "energy"})
        first = catalog.find("energy")
        assert catalog.find("energy") is first
        change_config(tmp_path / "energy", lora_alpha=5)
        second = catalog.find("energy")
        assert second.sha256 != first.sha256

    def test_new_content_of_the_same_size_and_time_is_a_new_version(self, tmp_path: Path) -> None:
        write_adapter(tmp_path / "energy")
        catalog = AdapterCatalog(tmp_path, {"energy": "energy"})
        first, file = catalog.find("energy"), tmp_path / "energy" / "adapter_model.safetensors"
        before = file.stat()
        with file.open("r+b") as opened:
            opened.seek(-1, os.SEEK_END)
            opened.write(b"\x01")
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert catalog.find("energy").sha256 != first.sha256

    def test_the_same_content_elsewhere_is_the_same_adapter(self, tmp_path: Path) -> None:
        write_adapter(tmp_path / "energy")
        shutil.copytree(tmp_path / "energy", tmp_path / "copy")
        catalog = AdapterCatalog(tmp_path, {"energy": "energy", "legal": "copy"})
        assert catalog.find("energy").sha256 == catalog.find("legal").sha256

    def test_a_refused_folder_leaves_the_sector_what_it_had(self, tmp_path: Path) -> None:
        write_adapter(tmp_path / "energy")
        (tmp_path / "empty").mkdir()
        catalog = AdapterCatalog(tmp_path, {"energy": "energy"})
        before = catalog.find("energy")
        for folder, expected in (("empty", AdapterRefused), ("none", AdapterNotFound), ("../x", AdapterRefused)):
            with pytest.raises(expected):
                catalog.assign("energy", folder)
        assert catalog.find("energy") == before

    def test_entries_show_what_is_wrong_with_one_and_serve_the_rest(self, tmp_path: Path) -> None:
        write_adapter(tmp_path / "energy")
        (tmp_path / "legal").mkdir()
        found = {e.sector: e for e in AdapterCatalog(tmp_path, {"energy": "energy", "legal": "legal"}).entries()}
        assert found["energy"].ref is not None
        assert found["legal"].ref is None
        assert found["legal"].error is not None
