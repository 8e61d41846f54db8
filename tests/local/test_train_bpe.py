"""Stage 2: ids, determinism, and what is said when the text does not allow the size."""

import gzip
import json
from pathlib import Path

import pytest
import sentencepiece

from local.train_bpe import main, tokens, train, train_bpe, unknown_characters
from omni.errors import UserError

VERBS = "TURN SWITCH OPEN CLOSE RAISE LOWER START STOP".split()
THINGS = "LAMP HEATER WINDOW CURTAIN SPEAKER RADIO KETTLE OVEN".split()
ROOMS = "KITCHEN BEDROOM HALLWAY GARAGE OFFICE BATHROOM".split()
TEXTS = [f"{verb} THE {thing} IN THE {room}" for verb in VERBS for thing in THINGS for room in ROOMS]


def _corpus(data_dir: Path, **texts: list[str]) -> Path:
    (data_dir / "manifests").mkdir(parents=True, exist_ok=True)
    for subset, lines in texts.items():
        name = f"librispeech_supervisions_{subset.replace('_', '-')}.jsonl.gz"
        with gzip.open(data_dir / "manifests" / name, "wt") as file:
            for i, text in enumerate(lines):
                file.write(json.dumps({"id": f"{subset}-{i}", "text": text}) + "\n")
    return data_dir


def _files(lang_dir: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in lang_dir.iterdir()}


@pytest.fixture
def data_dir(tmp_path) -> Path:
    return _corpus(tmp_path / "data", train_clean=TEXTS, dev_clean=TEXTS[:5], test_clean=TEXTS[:3])


def test_ids_and_tokens_are_icefalls(data_dir):
    train_bpe(data_dir, 50, data_dir / "lang_bpe_50")
    assert set(_files(data_dir / "lang_bpe_50")) == {"bpe.model", "tokens.txt", "made_from.json"}
    processor = sentencepiece.SentencePieceProcessor(str(data_dir / "lang_bpe_50" / "bpe.model"))
    assert processor.get_piece_size() == 50
    assert [processor.piece_to_id(piece) for piece in ("<blk>", "<sos/eos>", "<unk>")] == [0, 1, 2]
    assert processor.unk_id() == 2 and processor.bos_id() == processor.eos_id() == -1
    lines = (data_dir / "lang_bpe_50" / "tokens.txt").read_text(encoding="utf-8").splitlines()
    assert lines[:3] == ["<blk> 0", "<sos/eos> 1", "<unk> 2"]
    assert lines == [f"{processor.id_to_piece(i)} {i}" for i in range(50)]


def test_tokens_are_read_by_k2(data_dir):
    k2 = pytest.importorskip("k2")
    train_bpe(data_dir, 50, data_dir / "lang")
    table = k2.SymbolTable.from_file(str(data_dir / "lang" / "tokens.txt"))
    assert table["<blk>"] == 0 and len(table) == 50


def test_every_training_text_survives(data_dir):
    processor = sentencepiece.SentencePieceProcessor(model_proto=train(TEXTS, 50))
    for text in TEXTS[::50]:
        ids = processor.encode(text)
        assert processor.decode(ids) == text
        assert not {0, 1, 2} & set(ids)


def test_same_text_and_size_give_the_same_bytes(data_dir, tmp_path):
    train_bpe(data_dir, 50, tmp_path / "one")
    train_bpe(data_dir, 50, tmp_path / "two" / "deeper")
    assert _files(tmp_path / "one") == _files(tmp_path / "two" / "deeper")
    other_order = _corpus(tmp_path / "other", train_clean=TEXTS[::-1], dev_clean=TEXTS[:1])
    train_bpe(other_order, 50, tmp_path / "three")
    assert _files(tmp_path / "one") == _files(tmp_path / "three")


def test_only_train_subsets_are_learnt_from(tmp_path):
    alone = _corpus(tmp_path / "alone", train_clean=TEXTS)
    beside = _corpus(tmp_path / "beside", train_clean=TEXTS, dev_clean=["QUITE OTHER WORDS"] * 50)
    split = _corpus(tmp_path / "split", train_a=TEXTS[::2], train_b=TEXTS[1::2])
    for data in (alone, beside, split):
        train_bpe(data, 50, data / "lang")
    model = (alone / "lang" / "bpe.model").read_bytes()
    assert (beside / "lang" / "bpe.model").read_bytes() == model
    pieces = sentencepiece.SentencePieceProcessor(model_proto=(split / "lang" / "bpe.model").read_bytes())
    assert pieces.get_piece_size() == 50


def test_second_call_writes_nothing(data_dir, caplog):
    caplog.set_level("INFO")
    lang = data_dir / "lang"
    train_bpe(data_dir, 50, lang)
    before = [path.stat().st_mtime_ns for path in sorted(lang.iterdir())]
    train_bpe(data_dir, 50, lang)
    assert [path.stat().st_mtime_ns for path in sorted(lang.iterdir())] == before
    assert "is there" in caplog.text


def test_changed_text_or_size_is_trained_anew(data_dir):
    lang = data_dir / "lang"
    train_bpe(data_dir, 50, lang)
    first = _files(lang)
    train_bpe(data_dir, 48, lang)
    assert len((lang / "tokens.txt").read_text(encoding="utf-8").splitlines()) == 48
    _corpus(data_dir, train_clean=TEXTS[:200] + ["BRIGHT YELLOW LIGHTS IN THE ATTIC"] * 40)
    train_bpe(data_dir, 50, lang)
    assert _files(lang)["bpe.model"] != first["bpe.model"]


def test_interrupted_write_is_done_again(data_dir):
    lang = data_dir / "lang"
    train_bpe(data_dir, 50, lang)
    whole = _files(lang)
    (lang / "bpe.model").unlink()  # it is written last
    train_bpe(data_dir, 50, lang)
    assert _files(lang) == whole


def test_a_model_that_somebody_else_made_is_kept(data_dir, caplog):
    caplog.set_level("INFO")
    lang = data_dir / "lang"
    lang.mkdir()
    (lang / "bpe.model").write_bytes(b"mine")
    (lang / "tokens.txt").write_text("<blk> 0\n")
    train_bpe(data_dir, 50, lang)
    assert _files(lang) == {"bpe.model": b"mine", "tokens.txt": b"<blk> 0\n"}
    assert "taken as it is" in caplog.text


def _one_line(capsys, *arguments: str) -> str:
    with pytest.raises(SystemExit) as stopped:
        main(list(arguments))
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
    return error


def test_too_large_a_size_names_the_largest_possible(data_dir, capsys):
    error = _one_line(capsys, "--data-dir", str(data_dir), "--vocab-size", "5000")
    assert "--vocab-size 5000: the training text allows at most " in error
    assert not (data_dir / "lang_bpe_5000").exists()
    largest = int(error.split("at most ")[1].split(";")[0])
    main(["--data-dir", str(data_dir), "--vocab-size", str(largest)])
    assert (data_dir / f"lang_bpe_{largest}" / "bpe.model").is_file()
    with pytest.raises(UserError, match=f"at most {largest};"):
        train(TEXTS, largest + 1)


def test_too_small_a_size_names_the_smallest_possible(data_dir, capsys):
    error = _one_line(capsys, "--data-dir", str(data_dir), "--vocab-size", "10")
    assert "--vocab-size 10: the training text has too many different characters" in error
    smallest = int(error.split("at least ")[1].split()[0])
    assert tokens(train(TEXTS, smallest)).count("\n") == smallest
    with pytest.raises(UserError, match=f"at least {smallest}"):
        train(TEXTS, smallest - 1)


@pytest.mark.parametrize("size", ["3", "0", "-5"])
def test_a_size_without_room_for_text_is_refused(data_dir, capsys, size):
    assert f"--vocab-size {size}: give more than the 3 special tokens" in _one_line(
        capsys, "--data-dir", str(data_dir), "--vocab-size", size
    )


def test_a_size_that_fails_leaves_the_present_model_alone(data_dir, capsys):
    lang = data_dir / "lang"
    train_bpe(data_dir, 50, lang)
    before = _files(lang)
    _one_line(capsys, "--data-dir", str(data_dir), "--vocab-size", "5000", "--lang-dir", str(lang))
    assert _files(lang) == before


def test_missing_manifests_and_missing_text_are_one_clear_line(tmp_path, capsys):
    error = _one_line(capsys, "--data-dir", str(tmp_path / "no"), "--vocab-size", "50")
    assert f"{tmp_path}/no/manifests" in error and "run stage 0 first" in error
    for texts in ({"dev_clean": TEXTS}, {"train_clean": ["", ""]}):
        data = _corpus(tmp_path / "data", **texts)
        error = _one_line(capsys, "--data-dir", str(data), "--vocab-size", "50")
        assert "no transcript in any train subset" in error


def test_truncated_manifest_is_named(data_dir):
    path = data_dir / "manifests" / "librispeech_supervisions_train-clean.jsonl.gz"
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(UserError, match="librispeech_supervisions_train-clean.jsonl.gz: not a supervision"):
        train_bpe(data_dir, 50, data_dir / "lang")


def test_characters_that_no_token_can_write_are_told(data_dir, caplog):
    _corpus(data_dir, dev_clean=["OPEN THE CAFÉ", "ÉÉ 7", "CLOSE THE DOOR"])
    train_bpe(data_dir, 50, data_dir / "lang")
    (warning,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warning.startswith("dev-clean: 2 of 3 texts")
    assert "'É' 3 times" in warning and "'7' 1 times" in warning
    assert warning.endswith("their 3 words will always count as errors")


def test_manifests_of_others_are_read_in_the_one_form(data_dir):
    train_bpe(data_dir, 50, data_dir / "one")
    _corpus(data_dir, train_clean=[text.replace("TURN", "ＴＵＲＮ").replace(" ", "\u2028") for text in TEXTS])
    train_bpe(data_dir, 50, data_dir / "two")
    assert _files(data_dir / "one") == _files(data_dir / "two")


def test_known_characters_are_not_told(data_dir):
    assert unknown_characters(train(TEXTS, 50), TEXTS) == ({}, 0, 0)
