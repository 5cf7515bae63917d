"""Text to unit vectors: a verified model folder behind the `Embedder` port, always one text per run.

Dynamic int8 quantisation scales activations by the largest value of the whole batch, so a text's
vector would depend on what it was batched with. One text per run is bit-identical whatever the
order, the thread or the number of workers, and wastes nothing on padding.

`python -m app.detectors.embed FOLDER` runs the golden check of a folder and prints it as JSON; it is
a process of its own because a runtime that the CPU does not support dies by a signal.
"""

from __future__ import annotations

import base64
import hashlib
import json
import platform
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from app.domain import Matrix
from app.errors import Invalid
from app.ports import Embedder

MODEL_SETTING = "FORESHOCK_MODEL"
MANIFEST = "manifest.json"
GOLDEN = "golden.json"
TOKENIZER = "tokenizer.json"
GOLDEN_MEAN = 0.98
"""Least mean cosine to the full-precision vectors; the shipped build has .989 on its odd golden texts."""
GOLDEN_EACH = 0.95
"""Least cosine of any single golden text."""
_GOLDEN_TIMEOUT_S = 300
_CHARACTERS_PER_TOKEN = 64
"""Text past `max_tokens` times this is not even tokenised: a megabyte of log costs what a page does."""
_WEIGHTS_AND_SETTINGS = frozenset({".json", ".safetensors", ".bin", ".txt", ".model"})


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a model folder promises: its files by SHA-256, how to run it, and the thresholds tuned on it."""

    name: str
    model: str  # file name of the ONNX graph
    files: Mapping[str, str]  # path inside the folder -> SHA-256
    max_tokens: int
    dim: int
    thresholds: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Golden:
    """How near this machine's vectors come to the reference vectors kept with a model."""

    texts: int
    cosine_mean: float
    cosine_min: float
    problem: str = ""  # why the check could not be carried out

    @property
    def passed(self) -> bool:
        return not self.problem and self.cosine_mean >= GOLDEN_MEAN and self.cosine_min >= GOLDEN_EACH


class OnnxEmbedder:
    """A folder with a manifest, run by onnxruntime: mean of the token vectors, scaled to length one.

    Thread-safe. `workers` callers share a bulk of texts; one per core is best, for each run is
    single-threaded. A text without a word gets the vector of the empty text (all such texts are
    equal, so callers that compare meaning leave them out). Raises Invalid when a file is missing or
    is not the one the manifest describes.
    """

    def __init__(self, folder: Path, *, workers: int = 1, prefix: str = "") -> None:
        self.manifest = read_manifest(folder)
        verify_files(folder, self.manifest)
        self.dim = self.manifest.dim
        self.model_id = _model_id(
            self.manifest.name,
            "onnxruntime",
            self.manifest.files[self.manifest.model],
            self.manifest.files[TOKENIZER],
            str(self.manifest.max_tokens),
            prefix,
        )
        self._workers = workers
        self._prefix = prefix
        self._session = _session(folder / self.manifest.model)
        self._tokenizer = _tokenizer(folder / TOKENIZER, self.manifest.max_tokens)

    def embed(self, texts: Sequence[str]) -> Matrix:
        """(n, dim) float32 unit rows, in the order of `texts`."""
        rows = np.empty((len(texts), self.dim), dtype=np.float32)
        callers = min(self._workers, len(texts))
        if callers <= 1:
            self._fill(rows, texts, range(len(texts)))
            return rows
        shares = [range(first, len(texts), callers) for first in range(callers)]
        with ThreadPoolExecutor(callers) as pool:
            for done in [pool.submit(self._fill, rows, texts, share) for share in shares]:
                done.result()
        return rows

    def _fill(self, rows: Matrix, texts: Sequence[str], share: range) -> None:
        for row in share:
            rows[row] = self._embed_one(texts[row])

    def _embed_one(self, text: str) -> Matrix:
        readable = (self._prefix + text)[: self.manifest.max_tokens * _CHARACTERS_PER_TOKEN]
        tokens = self._tokenizer.encode(_well_formed(readable)).ids
        ids = np.array([tokens], dtype=np.int64)
        inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        hidden: Matrix = self._session.run(["last_hidden_state"], inputs)[0][0]
        mean: Matrix = hidden.mean(axis=0)
        return mean / np.linalg.norm(mean)


class SentenceTransformerEmbedder:
    """Any model folder that sentence-transformers can load, on the CPU and never from the network.

    Slower than `OnnxEmbedder` (torch, seconds to start), but it takes every architecture, pooling
    and language. Thread-safe by a lock; one text per run, so rows do not depend on padding.
    """

    def __init__(self, folder: Path, *, prefix: str = "") -> None:
        if not any((folder / name).is_file() for name in ("modules.json", "config.json")):
            raise Invalid(
                f"{folder} is not a model folder (no {MANIFEST}, modules.json or config.json). Name a folder "
                "that holds a downloaded sentence-transformers model; nothing is fetched from the network.",
                pointer=MODEL_SETTING,
            )
        from sentence_transformers import SentenceTransformer  # seconds of torch: only when it is wanted

        try:
            self._model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
        except (OSError, ValueError, KeyError) as error:
            detail = f"sentence-transformers cannot load {folder}: {error}"
            raise Invalid(detail, pointer=MODEL_SETTING) from error
        self._prefix = prefix
        self._lock = Lock()  # its tokenizer changes its own padding while it runs
        self.dim = len(self._encode([""])[0])
        self.model_id = _model_id(
            folder.resolve().name, "sentence-transformers", _folder_hash(folder), prefix
        )

    def embed(self, texts: Sequence[str]) -> Matrix:
        """(n, dim) float32 unit rows, in the order of `texts`."""
        if not texts:
            return np.empty((0, self.dim), dtype=np.float32)
        with self._lock:
            return self._encode([_well_formed(self._prefix + text) for text in texts])

    def _encode(self, texts: list[str]) -> Matrix:
        rows = self._model.encode(texts, batch_size=1, normalize_embeddings=True, show_progress_bar=False)
        return np.asarray(rows, dtype=np.float32)


class CachingEmbedder:
    """Another embedder that remembers the texts it saw last: repeated queries and canned tickets are free.

    Thread-safe. Texts repeated inside one call are embedded once.
    """

    def __init__(self, inner: Embedder, *, capacity: int) -> None:
        self.inner = inner
        self.dim = inner.dim
        self.model_id = inner.model_id
        self._capacity = capacity
        self._rows: OrderedDict[str, Matrix] = OrderedDict()
        self._lock = Lock()

    def embed(self, texts: Sequence[str]) -> Matrix:
        """(n, dim) float32 unit rows, in the order of `texts`."""
        wanted = list(dict.fromkeys(texts))
        known = self._recall(wanted)
        unknown = [text for text in wanted if text not in known]
        if unknown:
            known.update(zip(unknown, self.inner.embed(unknown), strict=True))
        self._remember({text: known[text] for text in wanted})
        return np.array([known[text] for text in texts], dtype=np.float32).reshape(len(texts), self.dim)

    def _recall(self, texts: Sequence[str]) -> dict[str, Matrix]:
        with self._lock:
            return {text: self._rows[text] for text in texts if text in self._rows}

    def _remember(self, rows: Mapping[str, Matrix]) -> None:
        with self._lock:
            for text, row in rows.items():
                self._rows[text] = row.copy()  # a view would keep its whole batch alive
                self._rows.move_to_end(text)
            while len(self._rows) > self._capacity:
                self._rows.popitem(last=False)


def shipped_model() -> Path:
    """The folder of the model that comes with Foreshock: in the wheel's package, else in the checkout."""
    installed, checkout = (Path(__file__).parents[up] / "models" / "all-minilm-l6-v2" for up in (1, 2))
    return installed if installed.is_dir() else checkout


def load_embedder(folder: Path, *, workers: int = 1, prefix: str = "") -> Embedder:
    """The embedder of a model folder: onnxruntime where it has a manifest, else sentence-transformers.

    `prefix` is put before every text (E5 models want "query: "). Raises Invalid.
    """
    if not folder.is_dir():
        raise Invalid(
            f"The model folder {folder} does not exist. Name an existing folder, or leave "
            f"{MODEL_SETTING} unset to use the model that is shipped.",
            pointer=MODEL_SETTING,
        )
    if (folder / MANIFEST).is_file():
        return OnnxEmbedder(folder, workers=workers, prefix=prefix)
    return SentenceTransformerEmbedder(folder, prefix=prefix)


def load_or_fall_back(folder: Path, *, fallback: Path | None, workers: int = 1, prefix: str = "") -> Embedder:
    """Like `load_embedder`, after the golden check; where that fails, the `fallback` folder's model.

    Meant for the first start on a CPU or with a file (see `golden_key`). Raises Invalid when the
    check fails and no fallback is named.
    """
    golden = golden_in_subprocess(folder)
    if golden.passed:
        return load_embedder(folder, workers=workers, prefix=prefix)
    if fallback is not None:
        return SentenceTransformerEmbedder(fallback, prefix=prefix)
    reason = golden.problem or f"mean cosine {golden.cosine_mean:.4f}, lowest {golden.cosine_min:.4f}"
    raise Invalid(
        f"The model in {folder} does not reproduce its golden vectors on this machine ({reason}). "
        "Name a folder with the full-precision model as the fallback, or another model.",
        pointer=MODEL_SETTING,
    )


def cache_key(model_id: str, text: str) -> str:
    """Under which a text's vector may be kept and found again: equal only for equal model and text."""
    return _sha256(model_id, text)


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a model folder; raises Invalid when it is absent or says what we cannot run."""
    path = folder / MANIFEST
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        manifest = Manifest(
            name=raw["name"],
            model=raw["model"],
            files=raw["files"],
            max_tokens=raw["max_tokens"],
            dim=raw["dim"],
            thresholds=raw["thresholds"],
        )
    except FileNotFoundError as error:
        raise Invalid(f"{path} is missing. {_RESTORE}", pointer=MODEL_SETTING) from error
    except (ValueError, KeyError, TypeError) as error:
        raise Invalid(
            f"{path} is not a model manifest ({error!r}). {_RESTORE}", pointer=MODEL_SETTING
        ) from error
    if raw.get("pooling") != "mean":
        raise Invalid(
            f"{path} asks for pooling {raw.get('pooling')!r}; only 'mean' is known.", pointer=MODEL_SETTING
        )
    unlisted = {manifest.model, TOKENIZER} - set(manifest.files)
    if unlisted:
        raise Invalid(f"{path} gives no checksum for {sorted(unlisted)}. {_RESTORE}", pointer=MODEL_SETTING)
    return manifest


def verify_files(folder: Path, manifest: Manifest) -> None:
    """Raises Invalid that names the first file which is missing or is not the one in the manifest."""
    for name, expected in manifest.files.items():
        path = folder / name
        if not path.is_file():
            raise Invalid(f"The model file {path} is missing. {_RESTORE}", pointer=MODEL_SETTING)
        found = file_sha256(path)
        if found != expected:
            raise Invalid(
                f"The model file {path} was altered: its SHA-256 is {found[:12]}..., the manifest says "
                f"{expected[:12]}.... {_RESTORE}",
                pointer=MODEL_SETTING,
            )


def file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_golden(embedder: Embedder, folder: Path) -> Golden:
    """Compares an embedder with the full-precision reference vectors in a folder's golden.json."""
    texts, reference = read_golden(folder)
    cosines = np.einsum("nd,nd->n", embedder.embed(texts), reference)
    return Golden(len(texts), float(cosines.mean()), float(cosines.min()))


def read_golden(folder: Path) -> tuple[tuple[str, ...], Matrix]:
    """The golden texts and their (n, dim) float32 unit reference vectors."""
    raw = json.loads((folder / GOLDEN).read_text(encoding="utf-8"))
    vectors = [np.frombuffer(base64.b64decode(entry["vector"]), dtype="<f2") for entry in raw["golden"]]
    rows = np.array(vectors, dtype=np.float32)
    return tuple(entry["text"] for entry in raw["golden"]), rows / np.linalg.norm(rows, axis=1, keepdims=True)


def golden_in_subprocess(folder: Path) -> Golden:
    """`check_golden` in a process of its own: a crash becomes a failed check."""
    command = [sys.executable, "-m", "app.detectors.embed", str(folder.resolve())]
    root = Path(__file__).parents[2]
    try:
        done = subprocess.run(  # noqa: S603 our own module on our own interpreter
            command, cwd=root, capture_output=True, text=True, timeout=_GOLDEN_TIMEOUT_S, check=False
        )
        return Golden(**json.loads(done.stdout))
    except subprocess.TimeoutExpired:
        return _failed(f"no answer within {_GOLDEN_TIMEOUT_S} s")
    except ValueError:  # not JSON: the process died
        return _failed(f"the process ended with code {done.returncode}: {done.stderr.strip()[-500:]}")


def golden_key(folder: Path) -> str:
    """What the golden check's result holds for: this CPU, this runtime, these files."""
    import onnxruntime

    cpu = " ".join((platform.machine(), _cpu_features()))
    return _sha256(cpu, onnxruntime.__version__, file_sha256(folder / MANIFEST))


_RESTORE = "Restore the folder from the release, or rebuild it with models/build.py."


def _cpu_features() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    telling = ("model name", "flags", "Features")  # the last one is what ARM calls flags
    return " ".join(sorted({line for line in lines if line.startswith(telling)}))


def _failed(problem: str) -> Golden:
    return Golden(0, 0.0, 0.0, problem)


def _session(path: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # one caller per core beats threads inside a run of one text
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own exceptions share no base class
        raise Invalid(f"onnxruntime cannot load {path}: {error}", pointer=MODEL_SETTING) from error


def _tokenizer(path: Path, max_tokens: int) -> Any:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()  # upstream pads every text to 128 tokens
    tokenizer.enable_truncation(max_tokens)
    return tokenizer


def _well_formed(text: str) -> str:
    """The text with lone surrogates replaced; JSON may hold them, UTF-8 and the tokenizers cannot."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _model_id(name: str, *parts: str) -> str:
    return f"{name}@{_sha256(*parts)[:12]}"


def _folder_hash(folder: Path) -> str:
    files = sorted(path for path in folder.rglob("*") if path.suffix in _WEIGHTS_AND_SETTINGS)
    named = [f"{path.relative_to(folder).as_posix()} {file_sha256(path)}" for path in files if path.is_file()]
    return _sha256(*named)


def _sha256(*parts: str) -> str:
    return hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def _main(folder: Path) -> int:
    try:
        golden = check_golden(load_embedder(folder), folder)
    except (Invalid, OSError, ValueError, KeyError) as error:
        golden = _failed(str(error))
    sys.stdout.write(json.dumps(asdict(golden)) + "\n")
    return 0 if golden.passed else 1


if __name__ == "__main__":
    sys.exit(_main(Path(sys.argv[1])))
