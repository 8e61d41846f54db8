"""Text as people write it: files with any mark and line end, and the one form that stages 0, 2 and 5 compare.

The form is that of the BPE model's own normaliser. A model writes nothing else, so a reference in another form (a
decomposed accent, a full-width letter, a ligature) could never be recognised.
"""

from __future__ import annotations

import codecs
import re
from functools import lru_cache
from pathlib import Path

RULE = "nmt_nfkc"  # sentencepiece's name for NFKC with other blanks and control characters taken out; its default
SPECIAL = ("<blk>", "<sos/eos>", "<unk>")  # ids 0, 1, 2 of the BPE model: icefall's decoders count on them
# What sentencepiece cannot take as text: the first two symbols, the end of a C string, the mark of an unknown one.
RESERVED = (*SPECIAL[:2], "\0", "\u2585")


def read(path: Path) -> str:
    """The text of a file in UTF-8 with or without a mark, or in UTF-16 with one; U+FFFD where it is neither."""
    content = path.read_bytes()
    utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return content.decode("utf-16" if utf16 else "utf-8-sig", errors="replace")


def lines(text: str) -> list[str]:
    r"""The lines of `text`, without what ends them: \n, \r or \r\n and nothing else, unlike str.splitlines().

    A mark (U+FEFF) that begins a line is left out: files that were put together have some inside.
    """
    return [line.lstrip("\ufeff") for line in re.split("\r\n|\n|\r", text)]


def normalise(text: str) -> str:
    """`text` in the one form, a single blank between its words.

    What Python takes for white space (U+0085, U+2028, a vertical tab) is a blank; the rule alone would delete some.
    """
    words = " ".join(text.split())
    if words.isascii() and words.isprintable():
        return words  # nothing that the rule changes
    while (form := _blanks(_normaliser().normalize(words))) != words:  # U+0344 and its like need a second turn
        words = form
    return words


def unusable(text: str) -> str | None:
    """Why `text` cannot be a transcript: the kind of the problem, or None."""
    if "\ufffd" in text:
        return "transcript that is not UTF-8"
    form = normalise(text)
    if not form:
        return "empty transcript"
    if any(symbol in form for symbol in RESERVED):
        return "transcript with a reserved symbol"
    return None


def _blanks(text: str) -> str:
    return " ".join(text.replace("\u2581", " ").split())  # sentencepiece writes a blank as U+2581


@lru_cache(maxsize=1)
def _normaliser():
    from sentencepiece import SentencePieceNormalizer

    return SentencePieceNormalizer(rule_name=RULE)
