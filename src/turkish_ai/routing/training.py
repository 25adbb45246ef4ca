"""Train the router from the questions in the repository, in seconds, and keep the result in the cache.

Called at start and by the command line (`ensure_router`). Knows nothing of thresholds, history or serving, and leaves
the arithmetic to `fitting`.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from filelock import FileLock

from turkish_ai.errors import SettingsError
from turkish_ai.routing import fitting
from turkish_ai.routing.examples import data_files, data_sha256, read_examples
from turkish_ai.routing.features import FeatureSpec
from turkish_ai.routing.fitting import FeatureTable
from turkish_ai.routing.model import RouterModel, from_bytes, to_bytes
from turkish_ai.settings import RoutingConfig, Sector, Settings
from turkish_ai.whole_file import write_whole

_SOURCES = ("../turkish.py", "features.py", "examples.py", "model.py", "fitting.py", "training.py")
_LIBRARIES = ("scikit-learn", "scipy", "numpy")


def ensure_router(settings: Settings) -> Path:
    """The router's file for the repository's data, trained now if the cache does not hold it.

    Its name is the hash of all that decides its bytes: the data, the configuration that training reads, the code and
    the versions of the libraries. The threshold and the limits of serving are not among them, so changing those trains
    nothing. Of several processes at once, one trains and the others wait for it.

    Raises:
        DataError: a data file cannot be used; see `examples.read_examples`.
        SettingsError: the cache cannot be written.
    """
    routing_dir, sector_dir = settings.routing_data_dir, settings.sector_data_dir
    config, sectors = settings.config.routing, settings.config.sectors
    key = _key(data_sha256(data_files(routing_dir=routing_dir, sector_dir=sector_dir), sectors), config)
    path = settings.cache_dir / "router" / f"{key}.safetensors"
    if path.exists():
        return path
    with _unwritable_is_named(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            if not path.exists():
                model = train_router(routing_dir=routing_dir, sector_dir=sector_dir, config=config, sectors=sectors)
                write_whole(path, to_bytes(model))
    return path


def train_router(
    *, routing_dir: Path, sector_dir: Path, config: RoutingConfig, sectors: Sequence[Sector]
) -> RouterModel:
    """Fit on the train split and the terms, calibrate and measure on the dev split.

    The same data, configuration and libraries give the same bytes. Rows of dev and test are never fitted, nor are a
    conversation's later turns, which say little without its first.

    Raises:
        DataError: see `examples.read_examples`.
    """
    data = read_examples(routing_dir=routing_dir, sector_dir=sector_dir, sectors=sectors)
    train, dev = data.questions("train"), data.questions("dev")
    table = FeatureTable.of(train, terms=data.terms, held_out=dev, spec=feature_spec(config))
    fitted = fitting.fit(table, table.questions)
    calibration = fitting.calibrated(table, fitted, train=train, dev=dev, seed=config.seed)
    dev_right = calibration.scores(fitted.scores(table.held_out)).argmax(axis=1) == table.labels[table.held_out]
    model = fitted.model(
        calibration,
        provenance={
            "data_sha256": data.sha256,
            "seed": config.seed,
            "rows": dict(sorted(Counter(example.sector for example in train).items())),
            "ridge": fitting.RIDGE,
            "rarity_power": fitting.RARITY_POWER,
            "emphasis": fitting.EMPHASIS,
            "balance": fitting.BALANCE,
            "general_offset": calibration.general_offset,
            "scikit_learn": version("scikit-learn"),
            "dev_rows": len(dev),
            "dev_accuracy": round(float(dev_right.mean()), 4) if dev else None,
        },
    )
    return from_bytes(to_bytes(model), path=Path("the new router"))  # checked like any file, and with its hash


def feature_spec(config: RoutingConfig) -> FeatureSpec:
    return FeatureSpec(ngram_min=config.ngram_min, ngram_max=config.ngram_max)


@contextmanager
def _unwritable_is_named(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise SettingsError(
            f"The router could not be written to {directory} ({reason}).",
            remedy="Check the directory's permissions and disk, or set TURKISH_AI_CACHE_DIR to another one.",
            message_tr=f"Yönlendirici {directory} klasörüne yazılamadı ({reason}).",
            remedy_tr="Klasörün izinlerini ve diskteki yeri denetleyin ya da TURKISH_AI_CACHE_DIR ile başka bir klasör "
            "gösterin.",
        ) from error


def _key(data_sha256: str, config: RoutingConfig) -> str:
    found = hashlib.sha256(data_sha256.encode())
    versions = " ".join(version(library) for library in _LIBRARIES)
    found.update(f"{config.ngram_min} {config.ngram_max} {config.seed} {versions}".encode())
    for name in _SOURCES:
        found.update((Path(__file__).parent / name).read_bytes())
    return found.hexdigest()[:32]
