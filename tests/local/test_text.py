"""Lines as people mean them, and one form of text for references and for what a model writes."""

from __future__ import annotations

import functools
import unicodedata

import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st

from local.text import lines, normalise, read, unusable
from local.train_bpe import train, unknown_characters
from omni.errors import UserError

# Letters, what normalisation changes (full width, ligatures, fractions, marks, hangul, zero width), blanks, controls.
ODD = ("AÉß\u0301\u0344\u0327\u0345Ａ\uff5eﬁﬃ½…\u212a\u212b\u2126\u1100\u1161\u11a8각~'-<>/_|"
       "\u200b\u200d\ufeff\u2028\u0085\v\x1c\x7f\u3000\u2581\u00a0\t")
TEXTS = st.text(st.one_of(st.sampled_from(ODD), st.characters(exclude_categories=["Cs"])), max_size=30)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_end_at_line_ends_alone(end):
    text = f"a\u2028b{end}c\x0b\x0c\x1c\x1d\x1e\u0085\u2029d{end}{end}e"
    assert lines(text) == ["a\u2028b", "c\x0b\x0c\x1c\x1d\x1e\u0085\u2029d", "", "e"]


def test_marks_at_the_beginning_of_a_line_are_left_out():
    assert lines("\ufeffa b\n\ufeff\ufeffc\ufeffd") == ["a b", "c\ufeffd"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_files_with_and_without_a_mark_are_read(tmp_path, encoding):
    (tmp_path / "a.txt").write_text("ÉTÉ\n", encoding=encoding)
    assert read(tmp_path / "a.txt") == "ÉTÉ\n"


@pytest.mark.parametrize("text, form", [
    ("  TURN  ON\tIT ", "TURN ON IT"),
    ("CAFE\u0301", "CAFÉ"), ("ＡＢＣ", "ABC"), ("½", "1\u20442"), ("ﬁN", "fiN"), ("C…D", "C...D"),
    ("LA\u200bMP", "LA MP"), ("A\u2028B\u2029C\u0085D\vE\fF\x1cG", "A B C D E F G"), ("A\u2581B", "A B"),
    ("\u1100\u1161", "가"), ("A\u0344", "Ä\u0301"),
    ("A\x07B", "AB"), ("don't stop", "don't stop"), ("", ""),
])
def test_the_form_of_a_text(text, form):
    assert normalise(text) == form


@given(TEXTS)
@settings(max_examples=500, deadline=None)
def test_the_form_is_that_of_the_models_normaliser_and_stays(text):
    form = normalise(text)
    assert normalise(form) == form == " ".join(form.split())
    model = sentencepiece.SentencePieceNormalizer(rule_name="nmt_nfkc")
    assert model.normalize(form).replace("\u2581", " ").split() == form.split()


@pytest.mark.parametrize("text, kind", [
    ("\u200b \u2028", "empty transcript"), ("CAF\ufffd", "transcript that is not UTF-8"),
    ("A\0B", "transcript with a reserved symbol"), ("GO <blk>", "transcript with a reserved symbol"),
    ("＜sos/eos＞", "transcript with a reserved symbol"),
    ("A\u2585B", "transcript with a reserved symbol"), ("GO <unk> <UNK>", None), ("DON'T", None),
])
def test_what_cannot_be_a_transcript(text, kind):
    assert unusable(text) == kind


def _model(texts: list[str]) -> bytes:
    """Of the smallest vocabulary that the texts allow: every character and little more."""
    for size in range(4, 400):
        try:
            return train(texts, size)
        except UserError as error:
            if "at least" not in str(error):
                raise
    raise AssertionError(texts)


def _recognised(model: bytes, text: str) -> list[str]:
    """What a recogniser that is always right writes: the symbols of the text it was given, decoded."""
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    return processor.decode(processor.encode(text)).split()


@given(TEXTS.filter(lambda text: unusable(text) is None))
@settings(max_examples=60, deadline=None)
def test_a_perfect_recogniser_makes_no_error_on_a_text_of_the_training(text):
    reference = normalise(text)
    model = _model([reference, "LAMP ON THE LAMP"])
    assert _recognised(model, reference) == reference.split()
    assert unknown_characters(model, [reference])[1] == 0


@functools.lru_cache(maxsize=1)
def _fixed() -> bytes:
    return _model([normalise(ODD), unicodedata.normalize("NFC", "THE QUICK BROWN FOX JUMPS OVER THE LAZY DOG")])


@given(TEXTS.filter(lambda text: unusable(text) is None))
@settings(max_examples=300, deadline=None)
def test_on_other_texts_errors_are_the_words_that_stage_2_tells(text):
    reference = normalise(text)
    counts, texts, words = unknown_characters(_fixed(), [reference])
    spoilt = [word for word in reference.split() if any(char in counts for char in word)]
    assert (texts, words) == (int(bool(spoilt)), len(spoilt))
    known = [word for word in reference.split() if word not in spoilt]
    if known:
        assert _recognised(_fixed(), " ".join(known)) == known
