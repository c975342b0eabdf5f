#!/usr/bin/env python3
"""What Hugging Face `tokenizers` makes of 200 texts: ids, and the pieces before BPE.

Some is text of the kind the tiny model reads; the rest is what breaks tokenizers: scripts and
digits outside ASCII, combining marks, emoji, control characters, every kind of white space, the
special token inside a text, contractions in capitals.

A small English vocabulary has no merges for most of that, so its ids hardly show how a text was
split. pieces.jsonl therefore holds the splits themselves, for the patterns of several families.
decode.jsonl holds id sequences that end inside a character, as a generating model produces them.

    python make_tokenizer_vectors.py     # rewrites data/tokenizer/
"""

import json
import random
import unicodedata
from pathlib import Path

from tokenizers import Regex, Tokenizer, pre_tokenizers

HERE = Path(__file__).resolve().parent
EXAMPLES = HERE.parent.parent / "examples"
OUT = HERE / "data" / "tokenizer"
TEXTS = 200
DECODED_ALONE = 24
LONGEST_SPLIT = 120  # characters; keeps pieces.jsonl small

PATTERNS = {  # family: regular expressions applied one after the other, as in its tokenizer.json
    "gpt2": [r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"],
    "llama3": [
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
        r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"],
    "qwen2": [
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
        r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"],
    "deepseek_v3": [
        r"\p{N}{1,3}",
        "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
        r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
        r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"],
    "tekken": [
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
        r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
        r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"],
}

BY_HAND = [
    "", " ", "  ", "\n", "\n\n", " \n", "\n ", "\t", "\t\t x", "a", " a", "  a", "a ", "a  ",
    "a  b",
    "a\nb", "a \n b", "a\r\nb", "a\r\n\r\nb", "a\n\n\n   b", "   leading and trailing   ",
    "tabs\tand\tmore\t\ttabs", "x" * 70, " " * 37 + "x", "x" + " " * 38, "\n" * 19, "ab " * 21,
    # contractions: the pattern knows them in lower case only, and after anything
    "I'm he's we're they've I'll he'd don't", "I'M HE'S WE'RE THEY'VE I'LL HE'D DON'T",
    "'s's 's '", "o'clock 'tis 'twas d'ye", "the sisters' house", "''''", "it'\u017f",
    "it\u2019s \u2018quoted\u2019",
    # digits and letters
    "1815", "in 1813.", "3.14159", "1,000,000", "a1b2c3", "x86_64",
    "ten thousand a year (\u00a310,000)",
    "\u00bd\u00bc\u00be", "x\u00b2 + y\u00b3", "\u2160\u2161\u2162 \u2167",
    "\u0661\u0662\u0663 \u06f4\u06f5",
    "\u0967\u0968\u0969", "\u4e00\u4e8c\u4e09", "\u2460\u2461\u2462", "\U0001d7d8\U0001d7d9",
    # scripts
    "caf\u00e9 na\u00efve \u00c6on \u0153uvre", "cafe\u0301 (combining)",
    "Stra\u00dfe \u00dcber \u1e9e",
    "Tr\u1ea7n Vi\u1ec7t", "\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440!",
    "\u0393\u03b5\u03b9\u03ac \u03c3\u03bf\u03c5",
    "\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd",
    "\u0645\u0631\u062d\u0628\u0627 \u0628\u0627\u0644\u0639\u0627\u0644\u0645",
    "\u0928\u092e\u0938\u094d\u0924\u0947 \u0926\u0941\u0928\u093f\u092f\u093e",
    "\u0bb5\u0ba3\u0b95\u0bcd\u0b95\u0bae\u0bcd", "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35",
    "\u4f60\u597d\uff0c\u4e16\u754c\u3002", "\u3053\u3093\u306b\u3061\u306f \u4e16\u754c",
    "\u30ab\u30bf\u30ab\u30ca \uff76\uff80\uff76\uff85", "\uc548\ub155\ud558\uc138\uc694",
    "\u1112\u1161\u11ab\u1100\u1173\u11af",
    "\u10d2\u10d0\u10db\u10d0\u10e0\u10ef\u10dd\u10d1\u10d0",
    "\u0540\u0561\u0575\u0565\u0580\u0565\u0576", "\u12a0\u121b\u122d\u129b",
    "\uff26\uff55\uff4c\uff4c",
    "\U00010400\U00010428 \U00020000\U0002a6d6", "\U0001d400\U0001d401\U0001d402",
    "\u01c5 \u02b0 \u00aa \u00ba",
    # emoji
    "\U0001f600", "hello \U0001f44b\U0001f3fd!",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466",
    "\U0001f1ec\U0001f1e7\U0001f1eb\U0001f1f7", "\u2764\ufe0f \u2764",
    "1\ufe0f\u20e3 #\ufe0f\u20e3",
    # white space that is not ASCII, and things that only look like it
    "a\u00a0b", "a \u00a0 b", "\u3000\u3000x", "a\u2028b\u2029c", "a\u0085b", "a\u200bb",
    "a\ufeffb",
    "\u2003\u2009\u200ax", "a\u180eb", "a\u1680b", "a\u202fb\u205fc", "\u00a0\u00a0",
    "a\u2060b", "\u00adsoft\u00ad",
    # control and other bytes
    "\x00", "a\x00b", "\x01\x02\x03", "\x07bell \x1b[31mred\x1b[0m", "\x0b\x0c", "a\x0bb\x0cc",
    "\x1c\x1d\x1e\x1f", "a\x1cb \x1f c", "\x7f", "\x80\x9f", "\ufffd", "\ufffe\uffff",
    "\ue000\uf8ff",
    "\U0010ffff", "\u0300\u0301\u0302", "z\u0351\u036b\u0343a\u0329l\u034eg\u0348o",
    # the special token
    "<|endoftext|>", "a<|endoftext|>b", "a <|endoftext|> b", "<|endoftext|><|endoftext|>",
    "<|endoftext|>\n<|endoftext|>", "<|endoftext|", "|endoftext|>", "< |endoftext|>",
    "<|ENDOFTEXT|>",
    "<<|endoftext|>>", "<|end<|endoftext|>oftext|>", "<|endoftext|>The end.",
    "The end.<|endoftext|>",
    # punctuation and markup
    "!!!???...", "--", "a--b", "\"Well,\" said she; \"I never!\"", "(a)[b]{c}<d>",
    "### Instruction:\n",
    "### Response:\n", "\u201cCurly\u201d \u2014 and \u2026", "\u00ab\u00bb \u00a1\u00bf",
    "$5 \u20ac7 \u00a59", "C++20 && x != y;",
    "https://example.org/a?b=c&d=%20#e", "name@example.org", "{\"json\": [1, 2.5, null]}",
    "def f(x):\n    return x ** 2\n", "\\n is not a newline", "_under_score_ *star* `tick`",
    "\u0120 \u010a \u0100 \u0143",
]


def rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def chosen_texts() -> list[str]:
    passages = rows(EXAMPLES / "tiny-llama" / "text" / "austen.jsonl")
    questions = rows(EXAMPLES / "data" / "austen-qa.jsonl")
    chance = random.Random(7)
    read = [chance.choice(passages)["text"] for _ in range(16)]
    for _ in range(14):
        row = chance.choice(questions)
        read.append(f"### Instruction:\n{row['instruction']}\n\n### Response:\n{row['output']}")
    # Characters as old as Unicode 3.2: every implementation's tables know them.
    any_character = [chr(c) for c in range(0x30000)
                     if unicodedata.ucd_3_2_0.category(chr(c)) not in ("Cn", "Cs")]
    noise = ["".join(chance.choices(any_character[:end], k=chance.randint(1, 60)))
             for end in (0x80, 0x250, 0x2000, len(any_character)) for _ in range(10)]
    return (BY_HAND + read + noise)[:TEXTS]


def pieces(text: str, patterns: list[str]) -> list[str]:
    splits = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in patterns]
    return [piece for piece, _ in pre_tokenizers.Sequence(splits).pre_tokenize_str(text)]


def main() -> None:
    tokenizer = Tokenizer.from_file(str(EXAMPLES / "tiny-llama" / "tokenizer.json"))

    def decoded(ids: list[int]) -> str:
        return tokenizer.decode(ids, skip_special_tokens=False)

    OUT.mkdir(parents=True, exist_ok=True)
    texts = chosen_texts()
    assert len(texts) == TEXTS
    encoded = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
    with (OUT / "vectors.jsonl").open("w") as out:
        for text, ids in zip(texts, encoded):
            assert decoded(ids) == text, "byte-level BPE loses nothing"
            out.write(json.dumps({"text": text, "ids": ids, "decoded": decoded(ids)}) + "\n")

    (OUT / "patterns.json").write_text(json.dumps(PATTERNS, indent=1) + "\n")
    with (OUT / "pieces.jsonl").open("w") as out:
        for text in texts:
            found = {name: pieces(text, patterns) for name, patterns in PATTERNS.items()}
            assert all("".join(parts) == text for parts in found.values())
            if len(text) <= LONGEST_SPLIT:
                out.write(json.dumps({"text": text, "pieces": found}) + "\n")

    with (OUT / "decode.jsonl").open("w") as out:
        cut = [ids[:-1] for text, ids in zip(texts, encoded)
               if len(ids) > 1 and ord(text[-1]) > 0x7F and "\ufffd" in decoded(ids[:-1])]
        cut += [ids[1:] for ids in cut if len(ids) > 1]
        assert len(cut) >= DECODED_ALONE
        for ids in cut[:DECODED_ALONE // 2] + cut[-DECODED_ALONE // 2:]:
            out.write(json.dumps({"ids": ids, "decoded": decoded(ids)}) + "\n")


if __name__ == "__main__":
    main()
