#!/usr/bin/env python3
"""Cut Jane Austen's six novels into short passages: text/austen.jsonl.

The source is the R data of the Debian package r-cran-janeaustenr (texts of Project Gutenberg, in
the public domain). It is read with the standard library alone: the package keeps each novel as one
character vector of lines in R's lazy-load database. A passage is one or more whole paragraphs, at
most 900 characters unless a single clause is longer, never across a chapter. The output depends on
the package only.

    apt-get download r-cran-janeaustenr && dpkg -x r-cran-janeaustenr_*.deb janeaustenr
    python make_text.py janeaustenr/usr/lib/R/site-library/janeaustenr/data
"""

import argparse
import json
import re
import struct
import sys
import zlib
from pathlib import Path

NOVELS = [  # name in the package, in order of publication
    "sensesensibility", "prideprejudice", "mansfieldpark", "emma", "northangerabbey", "persuasion",
]
PASSAGE_CHARACTERS = 900
OUTPUT = Path(__file__).resolve().parent / "text" / "austen.jsonl"

HEADING = re.compile(r"(chapter|volume|letter)\s+([ivxlc]+|\d+)\.?|the end|finis", re.IGNORECASE)
EDITORIAL = re.compile(  # notes of later editions, not Austen's text
    r"\[(At this point in|End) .*|\(End of volume one\.\)|A NOTE ON THE TEXT|"
    r"Vide a letter from .*")
STRAIGHT = str.maketrans({
    "\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"',
    "\u2014": "--", "\u2013": "-", "\u2026": "...", "\u00a0": " ", "\ufeff": "",
    "_": "", "*": "",
})


# ---------------------------------------------------------------- R's serialization (XDR)

LIST_END, SYMBOL, PAIRLIST, CHARS, LOGICALS, INTEGERS, STRINGS, LIST = 254, 1, 2, 9, 10, 13, 16, 19
REFERENCE = 255
MISSING = -1  # the length of NA


class Reader:
    """Just the types that occur in a lazy-load index and in vectors of text."""

    def __init__(self, data: bytes):
        if data[:2] != b"X\n":
            raise ValueError("not R's binary serialization")
        self.data, self.at, self.symbols = data, 2, []
        version, _, _ = self.integer(), self.integer(), self.integer()
        if version == 3:
            encoding_name_length = self.integer()
            self.at += encoding_name_length

    def integer(self) -> int:
        (value,) = struct.unpack_from(">i", self.data, self.at)
        self.at += 4
        return value

    def value(self):
        flags = self.integer()
        kind, has_attributes = flags & 0xFF, bool(flags & 0x200)
        if kind == LIST_END:
            return None
        if kind == REFERENCE:
            return self.symbols[(flags >> 8) - 1]
        if kind == SYMBOL:
            self.symbols.append(self.value())
            return self.symbols[-1]
        if kind == CHARS:
            return self.characters(flags)
        if kind == PAIRLIST:
            return self.pairs(flags)
        if kind not in (LOGICALS, INTEGERS, STRINGS, LIST):
            raise ValueError(f"R type {kind} at byte {self.at} is not expected here")
        length = self.integer()
        item = self.integer if kind in (LOGICALS, INTEGERS) else self.value
        items = [item() for _ in range(length)]
        attributes = self.value() if has_attributes else None
        return dict(zip(attributes["names"], items)) if attributes else items

    def characters(self, flags: int) -> str | None:
        length = self.integer()
        if length == MISSING:
            return None
        text = self.data[self.at:self.at + length]
        self.at += length
        is_latin1 = bool(flags >> 12 & 4)
        return text.decode("latin-1" if is_latin1 else "utf-8")

    def pairs(self, flags: int) -> dict:
        result = {}
        while flags & 0xFF == PAIRLIST:
            name = self.value()
            result[name] = self.value()
            flags = self.integer()
        return result


def novels(directory: Path) -> dict[str, list[str]]:
    index = Reader(zlib.decompress((directory / "Rdata.rdx").read_bytes(), 47)).value()
    database = (directory / "Rdata.rdb").read_bytes()
    result = {}
    for name, (offset, length) in index["variables"].items():
        # A block is its uncompressed size (4 bytes) and a zlib stream.
        result[name] = Reader(zlib.decompress(database[offset + 4:offset + length])).value()
    return result


# ---------------------------------------------------------------- passages


def chapters(lines: list[str]) -> list[list[str]]:
    """Each chapter as paragraphs: runs of non-empty lines, joined. Front matter is dropped."""
    result: list[list[str]] = []
    paragraph: list[str] = []

    def finish():
        text = " ".join(" ".join(paragraph).translate(STRAIGHT).split())
        paragraph.clear()
        if HEADING.fullmatch(text):
            result.append([])
        elif text.strip("*- ") and result and not EDITORIAL.fullmatch(text):
            result[-1].append(text)

    for line in lines + [""]:
        if HEADING.fullmatch(line.strip()):
            finish()
            paragraph.append(line)
            finish()
        elif line.strip():
            paragraph.append(line)
        else:
            finish()
    return [chapter for chapter in result if chapter]


def sentences(paragraph: str) -> list[str]:
    """For paragraphs longer than a passage; a sentence that is longer still falls into clauses."""
    result = []
    for sentence in re.split(r'(?<=[a-z)][.!?])\s+(?=[A-Z"])|(?<=[.!?]")\s+(?=[A-Z"])', paragraph):
        too_long = len(sentence) > PASSAGE_CHARACTERS
        result += re.split(r"(?<=[;:])\s+", sentence) if too_long else [sentence]
    return result


def joined(parts: list[str], separator: str) -> list[str]:
    """Neighbours put together as long as they stay within a passage."""
    result: list[str] = []
    for part in parts:
        if result and len(result[-1]) + len(separator) + len(part) <= PASSAGE_CHARACTERS:
            result[-1] += separator + part
        else:
            result.append(part)
    return result


def passages(chapter: list[str]) -> list[str]:
    pieces = []
    for paragraph in chapter:
        whole = len(paragraph) <= PASSAGE_CHARACTERS
        pieces += [paragraph] if whole else joined(sentences(paragraph), " ")
    return joined(pieces, "\n\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="the package's data directory (Rdata.rdx, .rdb)")
    texts = novels(parser.parse_args().data)

    OUTPUT.parent.mkdir(exist_ok=True)
    total = 0
    with OUTPUT.open("w", encoding="utf-8") as out:
        for name in NOVELS:
            cut = [p for chapter in chapters(texts[name]) for p in passages(chapter)]
            out.writelines(json.dumps({"text": p}, ensure_ascii=False) + "\n" for p in cut)
            total += len(cut)
            print(f"{name}: {len(cut)} passages, longest {max(map(len, cut))} characters")
    print(f"{total} passages, {OUTPUT.stat().st_size} bytes: {OUTPUT.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
