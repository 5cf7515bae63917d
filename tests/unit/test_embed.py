"""A model folder is verified before it is trusted, and a repeated text is embedded once."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from app.detectors.embed import (
    CachingEmbedder,
    Golden,
    OnnxEmbedder,
    SentenceTransformerEmbedder,
    cache_key,
    check_golden,
    file_sha256,
    golden_in_subprocess,
    golden_key,
    load_embedder,
    load_or_fall_back,
    read_golden,
    shipped_model,
)
from app.domain import Matrix
from app.errors import Invalid

SHIPPED = shipped_model()


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHIPPED, tmp_path / "model"))


def describe_anew(folder: Path, **changes: object) -> None:
    """Makes a manifest that fits the folder's files as they now are."""
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    manifest["files"] = {name: file_sha256(folder / name) for name in manifest["files"]}
    (folder / "manifest.json").write_text(json.dumps({**manifest, **changes}), encoding="utf-8")


class Letters:
    """An embedder small enough to count with: one dimension a letter."""

    model_id = "letters"
    dim = 26

    def __init__(self) -> None:
        self.seen: list[str] = []

    def embed(self, texts: Sequence[str]) -> Matrix:
        self.seen.extend(texts)
        return np.eye(26, dtype=np.float32)[[ord(text[0]) - ord("a") for text in texts]]


def test_the_shipped_model_passes_its_golden_check() -> None:
    golden = check_golden(load_embedder(SHIPPED), SHIPPED)
    assert golden.texts == 40
    assert golden.passed


def test_the_golden_check_runs_in_a_process_of_its_own() -> None:
    assert golden_in_subprocess(SHIPPED) == check_golden(load_embedder(SHIPPED), SHIPPED)


@pytest.mark.parametrize(
    "name", ["model_int8.onnx", "tokenizer.json", "golden.json", "1_Pooling/config.json"]
)
def test_a_missing_file_is_named(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(Invalid, match=f"{name} is missing. Restore the folder") as raised:
        load_embedder(copy)
    assert raised.value.pointer == "FORESHOCK_MODEL"


def test_an_altered_file_is_named(copy: Path) -> None:
    content = bytearray((copy / "model_int8.onnx").read_bytes())
    content[10_000_000] ^= 1
    (copy / "model_int8.onnx").write_bytes(content)
    with pytest.raises(Invalid, match=r"model_int8.onnx was altered: its SHA-256 is \w{12}"):
        load_embedder(copy)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"name": "x"}', "\x00"])
def test_a_manifest_that_says_nothing_useful_is_refused(copy: Path, content: str) -> None:
    (copy / "manifest.json").write_text(content, encoding="utf-8")
    with pytest.raises(Invalid, match="is not a model manifest"):
        load_embedder(copy)


def test_a_pooling_that_is_not_known_is_refused(copy: Path) -> None:
    describe_anew(copy, pooling="cls")
    with pytest.raises(Invalid, match="asks for pooling 'cls'"):
        load_embedder(copy)


def test_a_manifest_without_the_graphs_checksum_is_refused(copy: Path) -> None:
    describe_anew(copy, model="other.onnx")
    with pytest.raises(Invalid, match=r"gives no checksum for \['other.onnx'\]"):
        load_embedder(copy)


def test_a_folder_that_is_not_there_is_named() -> None:
    with pytest.raises(Invalid, match="/no/such/model does not exist"):
        load_embedder(Path("/no/such/model"))


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="is not a model folder"):
        load_embedder(tmp_path)


def test_a_folder_without_a_manifest_goes_to_sentence_transformers(copy: Path) -> None:
    """Here it has no weights it could read, and says so instead of fetching any."""
    (copy / "manifest.json").unlink()
    with pytest.raises(Invalid, match="sentence-transformers cannot load"):
        load_embedder(copy)


def test_a_model_that_gives_other_vectors_fails_its_golden_check_and_asks_for_a_fallback(copy: Path) -> None:
    golden = json.loads((copy / "golden.json").read_text(encoding="utf-8"))
    vectors = [entry["vector"] for entry in golden["golden"]]
    for entry, vector in zip(golden["golden"], [*vectors[1:], vectors[0]], strict=True):
        entry["vector"] = vector
    (copy / "golden.json").write_text(json.dumps(golden), encoding="utf-8")
    describe_anew(copy)
    assert not golden_in_subprocess(copy).passed
    with pytest.raises(Invalid, match="does not reproduce its golden vectors on this machine"):
        load_or_fall_back(copy, fallback=None)


def test_a_graph_that_cannot_be_run_fails_its_golden_check_with_the_reason(copy: Path) -> None:
    (copy / "model_int8.onnx").write_bytes(b"not a graph")
    describe_anew(copy)
    golden = golden_in_subprocess(copy)
    assert not golden.passed
    assert "onnxruntime cannot load" in golden.problem


def test_a_model_that_passes_is_loaded_whatever_the_fallback(tmp_path: Path) -> None:
    assert isinstance(load_or_fall_back(SHIPPED, fallback=tmp_path), OnnxEmbedder)


def test_the_fallback_is_loaded_when_the_check_fails(copy: Path, tmp_path: Path) -> None:
    folder = tiny_transformer(tmp_path / "tiny")
    (copy / "model_int8.onnx").write_bytes(b"not a graph")
    describe_anew(copy)
    embedder = load_or_fall_back(copy, fallback=folder)
    assert isinstance(embedder, SentenceTransformerEmbedder)
    assert embedder.embed(["hello", ""]).shape == (2, embedder.dim)


def tiny_transformer(folder: Path) -> Path:
    """A model folder with random weights and our tokenizer: one layer of 32 dimensions."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    torch.manual_seed(1)
    config = BertConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
    BertModel(config).save_pretrained(folder)
    BertTokenizerFast.from_pretrained(str(SHIPPED)).save_pretrained(folder)
    return folder


def test_other_weights_of_the_same_folder_name_are_another_fingerprint(tmp_path: Path) -> None:
    folder = tiny_transformer(tmp_path / "tiny")
    before = SentenceTransformerEmbedder(folder)
    weights = folder / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-2] ^= 1
    weights.write_bytes(content)
    after = SentenceTransformerEmbedder(folder)
    assert before.dim == after.dim == 32
    assert before.model_id != after.model_id


@pytest.mark.parametrize(
    ("golden", "passed"),
    [
        (Golden(40, 0.99, 0.96), True),
        (Golden(40, 0.97, 0.96), False),
        (Golden(40, 0.99, 0.94), False),
        (Golden(40, 0.99, 0.96, problem="died"), False),
    ],
)
def test_a_golden_check_passes_only_when_near_in_the_mean_and_in_every_text(
    golden: Golden, passed: bool
) -> None:
    assert golden.passed is passed


def test_a_golden_result_holds_for_one_set_of_files(copy: Path) -> None:
    assert golden_key(copy) == golden_key(SHIPPED)
    describe_anew(copy, max_tokens=128)
    assert golden_key(copy) != golden_key(SHIPPED)


def test_golden_texts_cover_the_odd_cases() -> None:
    texts, vectors = read_golden(SHIPPED)
    assert "" in texts
    assert max(map(len, texts)) > 20_000
    assert any(not text.isascii() for text in texts)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-6)


def test_a_megabyte_of_text_costs_no_more_than_its_first_pages() -> None:
    embedder = OnnxEmbedder(SHIPPED)
    line = "ERROR worker died, restarting. "
    pages = line * 2_000
    assert embedder.embed([pages]).tobytes() == embedder.embed([pages + "x" * 1_000_000]).tobytes()


def test_a_repeated_text_is_embedded_once() -> None:
    letters = Letters()
    cached = CachingEmbedder(letters, capacity=10)
    rows = cached.embed(["a", "b", "a"])
    again = cached.embed(["b", "c"])
    assert letters.seen == ["a", "b", "c"]
    assert rows.argmax(axis=1).tolist() == [0, 1, 0]
    assert again.argmax(axis=1).tolist() == [1, 2]


def test_the_texts_used_longest_ago_are_forgotten() -> None:
    letters = Letters()
    cached = CachingEmbedder(letters, capacity=2)
    for text in ["a", "b", "a", "c", "a", "b"]:
        cached.embed([text])
    assert letters.seen == ["a", "b", "c", "b"]


def test_more_texts_than_the_cache_holds_are_still_answered() -> None:
    cached = CachingEmbedder(Letters(), capacity=1)
    assert cached.embed(list("abcab")).argmax(axis=1).tolist() == [0, 1, 2, 0, 1]


def test_a_cache_key_tells_model_and_text_apart() -> None:
    keys = {cache_key("m", "text"), cache_key("m", "text "), cache_key("n", "text"), cache_key("mt", "ext")}
    assert len(keys) == 4
    assert cache_key("m", "text") == cache_key("m", "text")
