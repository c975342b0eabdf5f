#!/usr/bin/env python3
"""What Hugging Face `tokenizers` makes of odd texts with every component that a tokenizer.json may have.

Each line of data/tokenizer/components.jsonl is one small tokenizer.json, the texts of its case and what the library
gives: ids, ids with special tokens, and the decoded text. data/tokenizer/sentencepiece/ holds small SentencePiece
models trained on the example's text and, in <name>.jsonl, ids and texts by the `sentencepiece` package.

    pip install tokenizers==0.23.2 sentencepiece==0.2.3 protobuf
    python make_tokenizer_components.py     # rewrites both
"""

import base64
import json
import random
import tempfile
from pathlib import Path

import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers import Tokenizer

HERE = Path(__file__).resolve().parent
OUT = HERE / "data" / "tokenizer"
AUSTEN = HERE.parent.parent / "examples" / "tiny-llama" / "text" / "austen.jsonl"
RULES = [("\ufb01", "fi"), ("\u3000", " "), ("\t", " "), ("\n", " "), ("A\u030a", "\u00c5"), ("\uff21", "A"), ("\u200b", ""),
         ("\u2460", "1"), ("\u00bd", "1/2"), ("e\u0301", "\u00e9")]

TEXTS = ["", " ", "  ", "a", " a", "a ", "  two  spaces  ", "Hello, World! 123 4567", "don't can't I'LL",
         "tab\tnew\nline\r\n\n  end", "x1y22z333 \u00bd \u0663\u0664", "caf\u00e9 cafe\u0301 na\u00efve \u00c5ngstr\u00f6m A\u030a",
         "\ufb01ne \uff21\uff22 \u2460 \u00b5", "\u4f60\u597d\uff0c\u4e16\u754c \u3053\u3093\u306b\u3061\u306f",
         "\u0928\u092e\u0938\u094d\u0924\u0947", "\U0001f600\U0001f468\u200d\U0001f469 \u2764\ufe0f", "a\u00a0b\u3000c\u200bd",
         "<s>a</s> <s> b", "x<mask>y  <mask>  z", "ab<x>cd <x>", "foo.bar(baz)[0]-->{qux}", "\u2581a\u2581\u2581b",
         "\u0130\u0131 \u1e9e \u03a3\u03c2", "\x00a\x01\x7f", "word word word", "a<s", "under_score-dash", "((())) !!! ???",
         "1,234.56", "\u0645\u0631\u062d\u0628\u0627 abc", "\u1112\u1161\u11ab \uac01", "q\u0307\u0323 \u0344"]

MARK = "\u2581"


def byte_alphabet() -> dict[int, str]:
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    other = [b for b in range(256) if b not in printable]
    return {b: chr(b) for b in printable} | {b: chr(256 + i) for i, b in enumerate(other)}


def byte_level_model(**options) -> dict:
    alphabet = byte_alphabet()
    vocab = {c: i for i, c in enumerate(alphabet.values())}
    merges = ["h e", "l l", "he ll", "\u0120 w", "o r", "l d", "or ld", "\u0120w orld", "i n", "a n", "\u0120 t", "t h", "1 2",
              "12 3", "\u0120 \u0120", "w or", "wor d", "' t", "\u00c3 \u00a9", "\u00e4 \u00bd", "\u00e4\u00bd \u0142"]
    for merge in merges:
        vocab.setdefault(merge.replace(" ", ""), len(vocab))
    return {"type": "BPE", "vocab": vocab, "merges": merges} | options


def marked_model(**options) -> dict:
    vocab = {"<unk>": 0, "<s>": 1, "</s>": 2}
    for byte in range(256):
        vocab[f"<0x{byte:02X}>"] = len(vocab)
    for c in MARK + "abcdefghijklmnopqrstuvwxyzHWIL0123456789,.!'<>/\u00e9":
        vocab[c] = len(vocab)
    merges = [f"{MARK} a", "l l", "h e", "he ll", f"{MARK} w", "o r", f"{MARK}w or", f"{MARK} {MARK}", "1 2", "w or", "wor d",
              f"{MARK}wor d", "s p", "sp a", "t w"]
    for merge in merges:
        vocab.setdefault(merge.replace(" ", ""), len(vocab))
    return {"type": "BPE", "vocab": vocab, "merges": merges, "unk_token": "<unk>", "fuse_unk": True,
            "byte_fallback": True} | options


def unigram_model(**options) -> dict:
    chance = random.Random(3)
    pieces = ["<unk>", "<s>", "</s>", MARK] + list("abcdefghijklmnopqrstuvwxyz0123456789,.!'") + [
        "he", "ll", "llo", "hello", MARK + "w", MARK + "word", "wor", "ord", "orld", "an", "in", "th", "12", "123", "spa",
        "\u00e9", "caf", MARK + "a", MARK + "t", "tw", "two", "line", "end", "er", "\u4f60"]
    if options.get("byte_fallback"):
        pieces += [f"<0x{byte:02X}>" for byte in range(256)]
    return {"type": "Unigram", "unk_id": 0,
            "vocab": [[p, 0.0 if i < 3 else -round(chance.uniform(2, 9), 3)] for i, p in enumerate(pieces)]} | options


def added(content: str, token_id: int, **flags) -> dict:
    return {"id": token_id, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
            "special": True} | flags


BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
PLAIN_BYTES = BYTES | {"use_regex": False}
BYTE_DECODER = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
MARK_DECODER = {"type": "Sequence", "decoders": [
    {"type": "Replace", "pattern": {"String": MARK}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
    {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}
LLAMA_NORMALIZER = {"type": "Sequence", "normalizers": [
    {"type": "Prepend", "prepend": MARK}, {"type": "Replace", "pattern": {"String": " "}, "content": MARK}]}


def sequence(kind: str, *steps: dict) -> dict:
    return {"type": "Sequence", {"n": "normalizers", "p": "pretokenizers"}[kind]: list(steps)}


def byte_case(pre: dict | None = None, normalizer: dict | None = None, tokens=(), post=None, **options) -> dict:
    model = byte_level_model(**options)
    ids = {token["id"]: len(model["vocab"]) + i for i, token in enumerate(tokens)}  # the library numbers them so
    post = post and post | {key: [post[key][0], ids[post[key][1]]] for key in ("sep", "cls")}
    return {"version": "1.0", "added_tokens": [token | {"id": ids[token["id"]]} for token in tokens],
            "normalizer": normalizer, "pre_tokenizer": pre or BYTES, "post_processor": post, "decoder": BYTE_DECODER,
            "model": model}


def marked_case(normalizer=LLAMA_NORMALIZER, pre=None, tokens=(), decoder=MARK_DECODER, model=None, post=None) -> dict:
    return {"version": "1.0", "added_tokens": list(tokens), "normalizer": normalizer, "pre_tokenizer": pre,
            "post_processor": post, "decoder": decoder, "model": model or marked_model()}


def split(pattern: str, behavior: str, invert=False, regex=True) -> dict:
    return {"type": "Split", "pattern": {"Regex" if regex else "String": pattern}, "behavior": behavior, "invert": invert}


def metaspace(scheme: str, do_split=True) -> dict:
    return {"type": "Metaspace", "replacement": MARK, "prepend_scheme": scheme, "split": do_split}


def cases(charsmap: bytes) -> dict[str, dict]:
    special = [added("<s>", 1), added("</s>", 2)]
    flagged = [added("<s>", 900, lstrip=True), added("</s>", 901, rstrip=True),
               added("<mask>", 902, lstrip=True, rstrip=True), added("foo", 903, single_word=True, special=False),
               added("<x>", 904, normalized=True, special=False)]
    template = {"type": "TemplateProcessing", "single": [
        {"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
        {"SpecialToken": {"id": "</s>", "type_id": 0}}], "pair": [{"Sequence": {"id": "A", "type_id": 0}},
                                                                  {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]},
                           "</s>": {"id": "</s>", "ids": [2], "tokens": ["</s>"]}}}
    unigram_decoder = {"type": "Metaspace", "replacement": MARK, "prepend_scheme": "always", "split": True}
    digits = lambda one: {"type": "Digits", "individual_digits": one}
    all_cases = {
        "gpt2": byte_case(tokens=[added("<|endoftext|>", 900)]),
        "gpt2_prefix_space": byte_case(BYTES | {"add_prefix_space": True}),
        "roberta": byte_case(BYTES | {"add_prefix_space": True}, tokens=flagged, post={
            "type": "RobertaProcessing", "sep": ["</s>", 901], "cls": ["<s>", 900], "trim_offsets": True,
            "add_prefix_space": True}),
        "smollm2": byte_case(sequence("p", digits(True), BYTES)),
        "falcon": byte_case(sequence("p", {"type": "Punctuation", "behavior": "Contiguous"}, BYTES, digits(False),
                                     split("[0-9][0-9][0-9]", "Isolated"))),
        "bloom": byte_case(sequence("p", split(" ?[^(\\s|[.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c])]+", "Isolated"),
                                    PLAIN_BYTES)),
        "phi": byte_case(tokens=[added("  ", 900, special=False, normalized=True),
                                 added("   ", 901, special=False, normalized=True)]),
        "ignore_merges": byte_case(ignore_merges=True),
        "flags": byte_case(tokens=flagged),
        "nfc": byte_case(normalizer={"type": "NFC"}, tokens=flagged),
        "nfd_strip_accents": byte_case(normalizer=sequence("n", {"type": "NFD"}, {"type": "StripAccents"})),
        "nfkc_lowercase": byte_case(normalizer=sequence("n", {"type": "NFKC"}, {"type": "Lowercase"}), tokens=flagged),
        "nfkd": byte_case(normalizer={"type": "NFKD"}),
        "strip": byte_case(normalizer={"type": "Strip", "strip_left": True, "strip_right": False}),
        "replace_regex": byte_case(normalizer={"type": "Replace", "pattern": {"Regex": " {2,}|\\d+"}, "content": "_"}),
        "bert_normalizer": byte_case(normalizer={"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True,
                                                 "strip_accents": None, "lowercase": True}),
        "nmt": byte_case(normalizer={"type": "Nmt"}),
        "precompiled": byte_case(normalizer={"type": "Precompiled",
                                             "precompiled_charsmap": base64.b64encode(charsmap).decode()}),
        "byte_normalizer": byte_case({"type": "WhitespaceSplit"}, normalizer={"type": "ByteLevel"}),
        "whitespace": byte_case(sequence("p", {"type": "Whitespace"}, PLAIN_BYTES)),
        "whitespace_split": byte_case(sequence("p", {"type": "WhitespaceSplit"}, PLAIN_BYTES)),
        "bert_pre": byte_case(sequence("p", {"type": "BertPreTokenizer"}, PLAIN_BYTES)),
        "char_delimiter": byte_case(sequence("p", {"type": "CharDelimiterSplit", "delimiter": "o"}, PLAIN_BYTES)),
        "llama2": marked_case(tokens=special, post=template),
        "llama2_new": marked_case(normalizer=None, pre=metaspace("first", False), tokens=special),
        "gemma": marked_case(normalizer={"type": "Replace", "pattern": {"String": " "}, "content": MARK},
                             pre=split(" ", "MergedWithPrevious", regex=False), tokens=special,
                             decoder={"type": "Sequence", "decoders": MARK_DECODER["decoders"][:3]}),
        "no_fallback": marked_case(model=marked_model(byte_fallback=False), tokens=special),
        "no_fallback_no_fuse": marked_case(model=marked_model(byte_fallback=False, fuse_unk=False), tokens=special),
        "no_unknown": marked_case(model=marked_model(byte_fallback=False, unk_token=None), tokens=special),
        "normalized_special": marked_case(tokens=[added("<s>", 1, normalized=True), added("</s>", 2)]),
        "clip_affixes": {"version": "1.0", "added_tokens": [], "normalizer": {"type": "Lowercase"},
                         "pre_tokenizer": {"type": "Whitespace"}, "post_processor": None,
                         "decoder": {"type": "BPEDecoder", "suffix": "</w>"},
                         "model": {"type": "BPE", "unk_token": "a", "end_of_word_suffix": "</w>",
                                   "vocab": {v: i for i, v in enumerate(list("abcdehlnorw") + [
                                       c + "</w>" for c in "abcdehlnorw"] + ["wo", "wor", "word</w>", "he", "an"])},
                                   "merges": ["w o", "wo r", "wor d</w>", "h e", "a n"]}},
        "continuing_prefix": {"version": "1.0", "added_tokens": [], "normalizer": None,
                              "pre_tokenizer": {"type": "Whitespace"}, "post_processor": None,
                              "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
                              "model": {"type": "BPE", "unk_token": "a", "continuing_subword_prefix": "##",
                                        "vocab": {v: i for i, v in enumerate(list("abcdehlorw'.,!?") + [
                                            "##" + c for c in "abcdehlorw"] + ["wo", "wor", "word", "he"])},
                                        "merges": ["w ##o", "wo ##r", "wor ##d", "h ##e"]}},
    }
    for scheme in ("always", "never", "first"):
        all_cases[f"unigram_{scheme}"] = marked_case(None, metaspace(scheme), special, unigram_decoder | {
            "prepend_scheme": scheme}, unigram_model(), post=template)
    all_cases["unigram_bytes"] = marked_case(None, metaspace("always"), special, MARK_DECODER,
                                             unigram_model(byte_fallback=True))
    for behavior in ("Isolated", "Removed", "Contiguous", "MergedWithPrevious", "MergedWithNext"):
        for invert in (False, True):
            pre = sequence("p", split("\\d|[a-c ]", behavior, invert), PLAIN_BYTES)
            all_cases[f"split_{behavior}_{invert}".lower()] = byte_case(pre)
        all_cases[f"punctuation_{behavior}".lower()] = byte_case(
            sequence("p", {"type": "Punctuation", "behavior": behavior}, PLAIN_BYTES))
    return all_cases


def write_components(charsmap: bytes) -> None:
    with (OUT / "components.jsonl").open("w") as out:
        for name, tokenizer_json in cases(charsmap).items():
            tokenizer = Tokenizer.from_str(json.dumps(tokenizer_json))
            vectors = []
            for text in TEXTS:
                ids = tokenizer.encode(text, add_special_tokens=False).ids
                around = tokenizer.encode(text, add_special_tokens=True).ids
                vectors.append([ids, around if around != ids else None, tokenizer.decode(ids, skip_special_tokens=False)])
            out.write(json.dumps({"name": name, "tokenizer": tokenizer_json, "vectors": vectors}) + "\n")


SENTENCEPIECE = {  # name: options of the trainer
    "llama": dict(model_type="bpe", vocab_size=420, byte_fallback=True, normalization_rule_name="identity",
                  remove_extra_whitespaces=False, split_digits=True, allow_whitespace_only_pieces=True),
    "gemma": dict(model_type="bpe", vocab_size=440, byte_fallback=True, normalization_rule_name="identity",
                  remove_extra_whitespaces=False, add_dummy_prefix=False, allow_whitespace_only_pieces=True,
                  user_defined_symbols="<x>,\u2581\u2581,\u2581\u2581\u2581,word,ab", control_symbols="<turn>"),
    "bpe_rules": dict(model_type="bpe", vocab_size=150, normalization_rule_tsv="rules", user_defined_symbols="<x>,12"),
    "unigram_rules": dict(model_type="unigram", vocab_size=150, normalization_rule_tsv="rules",
                          user_defined_symbols="<x>,12,a b", control_symbols="<turn>"),
    "unigram_bytes": dict(model_type="unigram", vocab_size=420, byte_fallback=True, normalization_rule_name="identity"),
    "suffix": dict(model_type="unigram", vocab_size=120, treat_whitespace_as_suffix=True, normalization_rule_name="identity"),
    "bpe_suffix": dict(model_type="bpe", vocab_size=120, treat_whitespace_as_suffix=True, normalization_rule_name="identity"),
    "bare": dict(model_type="bpe", vocab_size=120, add_dummy_prefix=False, remove_extra_whitespaces=True,
                 normalization_rule_name="identity"),
}


def write_sentencepiece() -> bytes:
    """Returns the compiled rules, which the Precompiled normalizer takes too."""
    folder = OUT / "sentencepiece"
    folder.mkdir(parents=True, exist_ok=True)
    texts = [json.loads(line)["text"] for line in AUSTEN.read_text(encoding="utf-8").splitlines()[:400]]
    charsmap = b""
    with tempfile.TemporaryDirectory() as scratch:
        rules = Path(scratch) / "rules.tsv"
        rules.write_text("".join(" ".join(f"{ord(c):X}" for c in a) + "\t" + " ".join(f"{ord(c):X}" for c in b) + "\n"
                                 for a, b in RULES))
        for name, options in SENTENCEPIECE.items():
            if "normalization_rule_tsv" in options:
                options = options | {"normalization_rule_tsv": str(rules)}
            prefix = Path(scratch) / name
            sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(texts), model_prefix=str(prefix), num_threads=1,
                                                     minloglevel=2, hard_vocab_limit=False, **options)
            model = without_paths(prefix.with_suffix(".model").read_bytes(), name)
            (folder / f"{name}.model").write_bytes(model)
            processor = sentencepiece.SentencePieceProcessor(model_proto=model)
            with (folder / f"{name}.jsonl").open("w") as out:
                for text in TEXTS + texts[:3]:
                    ids = processor.encode(text)
                    out.write(json.dumps({"text": text, "ids": ids, "decoded": processor.decode(ids)}) + "\n")
            if name == "bpe_rules":
                charsmap = precompiled(model)
    return charsmap


def without_paths(model: bytes, name: str) -> bytes:
    """The trainer notes where its files lay, which differs from run to run."""
    message = sentencepiece_model_pb2.ModelProto.FromString(model)
    message.trainer_spec.model_prefix = name
    if message.normalizer_spec.normalization_rule_tsv:
        message.normalizer_spec.normalization_rule_tsv = "rules.tsv"
    return message.SerializeToString(deterministic=True)


def precompiled(model: bytes) -> bytes:
    return sentencepiece_model_pb2.ModelProto.FromString(model).normalizer_spec.precompiled_charsmap


def main() -> None:
    write_components(write_sentencepiece())
    (OUT / "texts.json").write_text(json.dumps(TEXTS) + "\n")


if __name__ == "__main__":
    main()
