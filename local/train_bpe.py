"""Stage 2: a sentencepiece model of the training transcripts, and icefall's tokens.txt.

    python -m local.train_bpe --data-dir data/mini --vocab-size 200

Reads <data-dir>/manifests/librispeech_supervisions_<subset>.jsonl.gz and writes into --lang-dir (default:
<data-dir>/lang_bpe_<V>) `tokens.txt` ("symbol id" a line), `made_from.json` and, last, `bpe.model`. As in
icefall the model is a unigram one in spite of its name, `<blk>` = 0, `<sos/eos>` = 1, `<unk>` = 2, and every
character of the training text is covered. The same text and size give the same bytes.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import logging
import re
from collections import Counter
from pathlib import Path

from local import text as form
from local.progress import TIME
from local.text import SPECIAL
from omni.files import atomic, write_json, write_text
from omni.errors import UserError, cli
from omni.lock import hold


def read_texts(data_dir: Path) -> dict[str, list[str]]:
    """The transcripts of every subset, in the form of local/text.py (manifests of others may not have it), sorted.

    Raises:
        UserError: there are no manifests, none of them is a training set, or training has no text.
    """
    manifests = data_dir / "manifests"
    texts = {}
    for path in sorted(manifests.glob("librispeech_supervisions_*.jsonl.gz")):
        subset = path.name.removeprefix("librispeech_supervisions_").removesuffix(".jsonl.gz")
        try:
            with gzip.open(path, "rt", encoding="utf-8") as lines:
                texts[subset] = sorted(form.normalise(json.loads(line).get("text") or "") for line in lines)
        except (EOFError, ValueError, gzip.BadGzipFile) as error:
            raise UserError(f"{path}: not a supervision manifest; remove it and run stage 0 again") from error
    if not texts:
        raise UserError(f"{manifests}: no librispeech_supervisions_<subset>.jsonl.gz; run stage 0 first")
    if not any(text.strip() for text in training_text(texts)):
        raise UserError(f"{manifests}: no transcript in any train subset; run stage 0 again")
    return texts


def training_text(texts: dict[str, list[str]]) -> list[str]:
    """All transcripts of the subsets whose name starts with train."""
    return [text for subset, lines in texts.items() if subset.startswith("train") for text in lines]


def train(texts: list[str], vocab_size: int) -> bytes:
    """Trains a sentencepiece model; the options are those of icefall's local/train_bpe_model.py.

    Args:
        texts: the transcripts.
        vocab_size: number of symbols, the three special ones included.
    Returns:
        The serialized model.
    Raises:
        UserError: the text allows only a smaller size, or needs a larger one.
    """
    import sentencepiece

    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts),  # no file name gets into the model
            model_writer=model,
            vocab_size=vocab_size,
            model_type="unigram",
            normalization_rule_name=form.RULE,
            character_coverage=1.0,
            input_sentence_size=100_000_000,
            user_defined_symbols=list(SPECIAL[:2]),
            unk_id=2,
            bos_id=-1,
            eos_id=-1,
            num_threads=1,  # sums in a fixed order
            minloglevel=2,
        )
    except RuntimeError as error:
        raise UserError(_refusal(str(error), vocab_size) or f"sentencepiece: {error}") from error
    return model.getvalue()


def _refusal(told: str, vocab_size: int) -> str | None:
    """What sentencepiece's complaint about the size means for the user; None: it is about another thing."""
    if found := re.search(r"size too high .*<= (\d+)", told):
        return (
            f"--vocab-size {vocab_size}: the training text allows at most {found[1]}; give that or less "
            "(run.sh: --set model.vocab_size=N)"
        )
    if found := re.search(r"smaller than required_chars\. \d+ vs (\d+)", told):
        return (
            f"--vocab-size {vocab_size}: the training text has too many different characters for that; "
            f"give at least {found[1]} (run.sh: --set model.vocab_size=N)"
        )
    return None


def unknown_characters(model: bytes, texts: list[str]) -> tuple[Counter[str], int, int]:
    """What of `texts` (in the form of local/text.py) the model can only write as `<unk>`.

    Returns:
        How often each such character occurs, and the number of texts and of words with at least one. These words cannot
        be recognised, whatever the model hears.
    """
    import sentencepiece

    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    unknown = {
        char
        for char in set("".join(texts))
        if not char.isspace() and processor.unk_id() in processor.encode(char)
    }
    counts = Counter(char for text in texts for char in text if char in unknown)
    words = (word for text in texts for word in text.split())
    texts_of, words_of = (sum(not unknown.isdisjoint(one) for one in ones) for ones in (texts, words))
    return counts, texts_of, words_of


def tokens(model: bytes) -> str:
    """The content of tokens.txt: a line "symbol id" for each symbol of the model, in order."""
    import sentencepiece

    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    return "".join(f"{processor.id_to_piece(i)} {i}\n" for i in range(processor.get_piece_size()))


def train_bpe(data_dir: Path, vocab_size: int, lang_dir: Path) -> None:
    """Writes the three files into `lang_dir`, unless they are there, from the same text. Raises UserError."""
    texts = read_texts(data_dir)
    digest = hashlib.sha256("\n".join(training_text(texts)).encode()).hexdigest()
    made_from = {"text_sha256": digest, "vocab_size": vocab_size}
    if _is_there(lang_dir, made_from):
        return
    with hold(data_dir):
        if not _is_there(lang_dir, made_from):
            _make(lang_dir, texts, made_from)


def _is_there(lang_dir: Path, made_from: dict) -> bool:
    stamp = lang_dir / "made_from.json"
    if not ((lang_dir / "bpe.model").is_file() and (lang_dir / "tokens.txt").is_file()):
        return False
    if not stamp.is_file():
        logging.info("%s: there, but not made by this stage; taken as it is", lang_dir)
        return True
    if json.loads(stamp.read_text(encoding="utf-8")) == made_from:
        logging.info("%s: is there", lang_dir)
        return True
    return False


def _make(lang_dir: Path, texts: dict[str, list[str]], made_from: dict) -> None:
    vocab_size = made_from["vocab_size"]
    model = train(training_text(texts), vocab_size)
    for subset, lines in texts.items():
        counts, affected, words = unknown_characters(model, lines)
        if counts:
            found = ", ".join(f"{char!r} {count} times" for char, count in counts.most_common(10))
            logging.warning(
                "%s: %d of %d texts hold characters that training never had and no token can write: %s; "
                "their %d words will always count as errors",
                subset, affected, len(lines), found, words,
            )
    _remove(lang_dir)  # no mixture of two models, whenever we are killed
    try:
        write_text(lang_dir / "tokens.txt", tokens(model))
        write_json(lang_dir / "made_from.json", made_from)
        with atomic(lang_dir / "bpe.model") as beside:
            beside.write_bytes(model)
    except BaseException:
        _remove(lang_dir)
        raise
    logging.info("%s: %d tokens from %d transcripts", lang_dir, vocab_size, len(training_text(texts)))


def _remove(lang_dir: Path) -> None:
    for name in ("bpe.model", "tokens.txt", "made_from.json"):
        (lang_dir / name).unlink(missing_ok=True)


def get_parser() -> argparse.ArgumentParser:
    """The options of this command."""
    parser = argparse.ArgumentParser(
        prog="python -m local.train_bpe",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data-dir", type=Path, required=True, help="holds manifests/")
    parser.add_argument("--vocab-size", type=int, required=True, help="number of tokens")
    parser.add_argument("--lang-dir", type=Path, help="where to write (default: <data-dir>/lang_bpe_<V>)")
    return parser


@cli
def main(arguments: list[str] | None = None) -> None:
    """Entry point. `arguments` default to the command line's."""
    args = get_parser().parse_args(arguments)
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt=TIME, level=logging.INFO)
    if args.vocab_size <= len(SPECIAL):
        raise UserError(f"--vocab-size {args.vocab_size}: give more than the {len(SPECIAL)} special tokens")
    train_bpe(args.data_dir, args.vocab_size, args.lang_dir or args.data_dir / f"lang_bpe_{args.vocab_size}")


if __name__ == "__main__":
    main()
