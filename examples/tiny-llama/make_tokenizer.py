#!/usr/bin/env python3
"""Train the tokenizer of the tiny model and write the small files of its directory.

Byte-level BPE in the manner of GPT-2, 2048 entries, trained on the passages and on the questions
and answers that the examples fine-tune with. Also writes config.json, the shape of the model; its
weights come from training (README.md), not from here.

    pip install tokenizers==0.22.1
    python make_tokenizer.py
"""

import json
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

HERE = Path(__file__).resolve().parent
PASSAGES = HERE / "text" / "austen.jsonl"
QUESTIONS = HERE.parent / "data" / "austen-qa.jsonl"

END_OF_TEXT = "<|endoftext|>"
END_OF_TEXT_ID = 0
VOCABULARY = 2048
CONTEXT = 512

CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "attention_bias": False,
    "attention_dropout": 0.0,
    "bos_token_id": None,
    "eos_token_id": END_OF_TEXT_ID,
    "head_dim": 32,
    "hidden_act": "silu",
    "hidden_size": 192,
    "initializer_range": 0.02,
    "intermediate_size": 512,
    "max_position_embeddings": CONTEXT,
    "mlp_bias": False,
    "model_type": "llama",
    "num_attention_heads": 6,
    "num_hidden_layers": 6,
    "num_key_value_heads": 2,
    "pad_token_id": END_OF_TEXT_ID,
    "pretraining_tp": 1,
    "rms_norm_eps": 1e-5,
    "rope_scaling": None,
    "rope_theta": 10000.0,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
    "use_cache": True,
    "vocab_size": VOCABULARY,
}


def read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def texts() -> list[str]:
    """What the model will read: passages, and questions in the short Alpaca prompt."""
    questions = [f"### Instruction:\n{row['instruction']}\n\n### Response:\n{row['output']}"
                 for row in read(QUESTIONS)]
    return [row["text"] for row in read(PASSAGES)] + questions


def train() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=[END_OF_TEXT], show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.train_from_iterator(texts(), trainer)
    assert tokenizer.get_vocab_size() == VOCABULARY
    assert tokenizer.token_to_id(END_OF_TEXT) == END_OF_TEXT_ID
    return tokenizer


def parameters(config: dict) -> int:
    hidden, ffn, head = config["hidden_size"], config["intermediate_size"], config["head_dim"]
    queries, keys = config["num_attention_heads"] * head, config["num_key_value_heads"] * head
    attention = hidden * (queries + 2 * keys) + queries * hidden
    layer = attention + 3 * hidden * ffn + 2 * hidden
    return config["vocab_size"] * hidden + config["num_hidden_layers"] * layer + hidden


def write_json(name: str, value: dict) -> None:
    (HERE / name).write_text(json.dumps(value, indent=2) + "\n")


def main() -> None:
    tokenizer = train()
    tokenizer.save(str(HERE / "tokenizer.json"))
    special = {"content": END_OF_TEXT, "lstrip": False, "normalized": False, "rstrip": False,
               "single_word": False, "special": True}
    write_json("tokenizer_config.json", {
        "add_bos_token": False,
        "add_prefix_space": False,
        "added_tokens_decoder": {str(END_OF_TEXT_ID): special},
        "bos_token": None,
        "clean_up_tokenization_spaces": False,
        "eos_token": END_OF_TEXT,
        "model_max_length": CONTEXT,
        "pad_token": END_OF_TEXT,
        "tokenizer_class": "PreTrainedTokenizerFast",
        "unk_token": None,
    })
    write_json("special_tokens_map.json", {"eos_token": END_OF_TEXT, "pad_token": END_OF_TEXT})
    write_json("generation_config.json", {
        "eos_token_id": END_OF_TEXT_ID, "pad_token_id": END_OF_TEXT_ID})
    write_json("config.json", CONFIG)

    passages = sum(len(tokenizer.encode(row["text"]).ids) for row in read(PASSAGES))
    longest = max(len(tokenizer.encode(text).ids) for text in texts()[-len(read(QUESTIONS)):])
    print(f"{parameters(CONFIG)} parameters; {passages} tokens in the passages; "
          f"the longest question with its answer has {longest} tokens")


if __name__ == "__main__":
    main()
