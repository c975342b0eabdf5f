#!/usr/bin/env python3
"""One tiny random Llama in the layouts that its weights come in, and the logits they all must give.

Every weight is a multiple of 1/256 of at most seven bits, so bfloat16, float16 and float32 hold the same values
and every layout is the same model. Written to data/meta/:

    hf_f32/         model.safetensors                       F32
    hf_sharded/     three shards and their index            BF16
    mp1/            consolidated.00.pth                     BF16  as torch.save writes it
    mp2_columns/    consolidated.{00,01}.pth                F16   embedding split over columns (Llama 2), vocab_size -1
    mp2_rows/       consolidated.{00,01}.pth                F32   embedding split over rows (Llama 3)
    golden.json     token ids, and logits in float64 by transformers

The script computes the logits twice: by transformers on the Hugging Face names, and by a forward pass written on
Meta's own names with its interleaved (complex) RoPE, which knows nothing of the permutation of q and k. It refuses to
write unless both agree.

    python make_meta_goldens.py            # rewrites data/meta/
"""

import json
import math
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

DATA = Path(__file__).resolve().parent / "data" / "meta"
DIM, LAYERS, HEADS, KV_HEADS, VOCAB, FFN, EPS, THETA = 24, 2, 4, 2, 48, 88, 1e-5, 500000.0
HEAD_DIM = DIM // HEADS  # 6: of 4, the order of rows and its inverse would be the same
PARAMS = {"dim": DIM, "n_layers": LAYERS, "n_heads": HEADS, "n_kv_heads": KV_HEADS, "vocab_size": VOCAB,
          "multiple_of": 8, "ffn_dim_multiplier": 1.3, "norm_eps": EPS, "rope_theta": THETA}
IDS = [[3], [1, 47, 5, 5, 20, 33, 8], [44, 2, 13, 7, 0, 31, 30, 29, 12, 11, 40]]


def weight(generator, *shape):
    return torch.randint(-127, 128, shape, generator=generator).double() / 256


def meta_state(generator) -> dict:
    state = {"tok_embeddings.weight": weight(generator, VOCAB, DIM)}
    for i in range(LAYERS):
        at = f"layers.{i}."
        state[at + "attention.wq.weight"] = weight(generator, HEADS * HEAD_DIM, DIM)
        state[at + "attention.wk.weight"] = weight(generator, KV_HEADS * HEAD_DIM, DIM)
        state[at + "attention.wv.weight"] = weight(generator, KV_HEADS * HEAD_DIM, DIM)
        state[at + "attention.wo.weight"] = weight(generator, DIM, HEADS * HEAD_DIM)
        state[at + "feed_forward.w1.weight"] = weight(generator, FFN, DIM)
        state[at + "feed_forward.w2.weight"] = weight(generator, DIM, FFN)
        state[at + "feed_forward.w3.weight"] = weight(generator, FFN, DIM)
        state[at + "attention_norm.weight"] = 1 + weight(generator, DIM)
        state[at + "ffn_norm.weight"] = 1 + weight(generator, DIM)
    state["norm.weight"] = 1 + weight(generator, DIM)
    state["output.weight"] = weight(generator, VOCAB, DIM)
    return {name: (value * 64).round() / 64 if "norm" in name else value for name, value in state.items()}


def to_half_split(rows: torch.Tensor, heads: int) -> torch.Tensor:
    """Pairs (0, 1), (2, 3), ... of a head become (0, n/2), (1, n/2 + 1), ..."""
    out, width = rows.shape
    return rows.reshape(heads, out // heads // 2, 2, width).transpose(1, 2).reshape(out, width).contiguous()


def hugging_face_state(meta: dict) -> dict:
    state = {"model.embed_tokens.weight": meta["tok_embeddings.weight"], "model.norm.weight": meta["norm.weight"],
             "lm_head.weight": meta["output.weight"]}
    for i in range(LAYERS):
        ours, theirs = f"model.layers.{i}.", f"layers.{i}."
        state[ours + "self_attn.q_proj.weight"] = to_half_split(meta[theirs + "attention.wq.weight"], HEADS)
        state[ours + "self_attn.k_proj.weight"] = to_half_split(meta[theirs + "attention.wk.weight"], KV_HEADS)
        for name, of in (("self_attn.v_proj", "attention.wv"), ("self_attn.o_proj", "attention.wo"),
                         ("mlp.gate_proj", "feed_forward.w1"), ("mlp.down_proj", "feed_forward.w2"),
                         ("mlp.up_proj", "feed_forward.w3"), ("input_layernorm", "attention_norm"),
                         ("post_attention_layernorm", "ffn_norm")):
            state[f"{ours}{name}.weight"] = meta[f"{theirs}{of}.weight"]
    return state


def rms_norm(x, gain):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + EPS) * gain


def rotate(x):  # [positions, heads, head_dim], neighbours are one complex number
    frequencies = THETA ** (-torch.arange(0, HEAD_DIM, 2).double() / HEAD_DIM)
    angles = torch.outer(torch.arange(x.shape[0]).double(), frequencies)
    turned = torch.view_as_complex(x.reshape(*x.shape[:-1], -1, 2)) * torch.polar(torch.ones_like(angles), angles)[:, None]
    return torch.view_as_real(turned).flatten(-2)


def meta_logits(w: dict, ids: list) -> torch.Tensor:
    x, n = w["tok_embeddings.weight"][ids], len(ids)
    mask = torch.full((n, n), -math.inf).double().triu(1)
    for i in range(LAYERS):
        at = f"layers.{i}."
        y = rms_norm(x, w[at + "attention_norm.weight"])
        q = rotate((y @ w[at + "attention.wq.weight"].T).reshape(n, HEADS, HEAD_DIM))
        k = rotate((y @ w[at + "attention.wk.weight"].T).reshape(n, KV_HEADS, HEAD_DIM))
        v = (y @ w[at + "attention.wv.weight"].T).reshape(n, KV_HEADS, HEAD_DIM)
        k, v = (t.repeat_interleave(HEADS // KV_HEADS, dim=1) for t in (k, v))
        scores = torch.einsum("qhd,khd->hqk", q, k) / math.sqrt(HEAD_DIM) + mask
        y = torch.einsum("hqk,khd->qhd", scores.softmax(-1), v).reshape(n, DIM)
        x = x + y @ w[at + "attention.wo.weight"].T
        y = rms_norm(x, w[at + "ffn_norm.weight"])
        gate = torch.nn.functional.silu(y @ w[at + "feed_forward.w1.weight"].T)
        x = x + (gate * (y @ w[at + "feed_forward.w3.weight"].T)) @ w[at + "feed_forward.w2.weight"].T
    return rms_norm(x, w["norm.weight"]) @ w["output.weight"].T


def library_logits(state: dict, ids: list) -> torch.Tensor:
    config = LlamaConfig(vocab_size=VOCAB, hidden_size=DIM, intermediate_size=FFN, num_hidden_layers=LAYERS,
                         num_attention_heads=HEADS, num_key_value_heads=KV_HEADS, rms_norm_eps=EPS, rope_theta=THETA,
                         rope_parameters={"rope_type": "default", "rope_theta": THETA}, attn_implementation="eager")
    model = LlamaForCausalLM(config)
    model.load_state_dict({name: value.float() for name, value in state.items()})
    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0].double()


def part_of(name: str, value, part: int, embedding_dim: int):
    if "norm" in name:
        return value
    dim = embedding_dim if "tok_embeddings" in name else 1 if name.endswith(("wo.weight", "w2.weight")) else 0
    return value.chunk(2, dim)[part]


def write_meta(directory: str, meta: dict, dtype, parts: int, embedding_dim: int = 0, **changed) -> None:
    folder = DATA / directory
    folder.mkdir(parents=True)
    (folder / "params.json").write_text(json.dumps(PARAMS | changed) + "\n")
    for part in range(parts):
        state = {k: (v if parts == 1 else part_of(k, v, part, embedding_dim)).to(dtype).contiguous().clone()
                 for k, v in meta.items()}
        state["rope.freqs"] = (THETA ** (-torch.arange(0, HEAD_DIM, 2).double() / HEAD_DIM)).to(dtype)
        torch.save(state, folder / f"consolidated.{part:02}.pth")


def write_hugging_face(directory: str, state: dict, dtype, shards: int) -> None:
    folder = DATA / directory
    folder.mkdir(parents=True)
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": VOCAB, "hidden_size": DIM,
              "intermediate_size": FFN, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
              "num_key_value_heads": KV_HEADS, "max_position_embeddings": 8192, "rms_norm_eps": EPS,
              "rope_theta": THETA, "tie_word_embeddings": False}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    names = sorted(state)
    files = ["model.safetensors"] if shards == 1 else [
        f"model-{i + 1:05}-of-{shards:05}.safetensors" for i in range(shards)]
    weight_map = {name: files[i * shards // len(names)] for i, name in enumerate(names)}
    for file in files:
        save_file({n: state[n].to(dtype).contiguous() for n in names if weight_map[n] == file}, folder / file,
                  metadata={"format": "pt"})
    if shards > 1:
        total = sum(value.to(dtype).nbytes for value in state.values())
        index = {"metadata": {"total_size": total}, "weight_map": weight_map}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")


def main() -> None:
    meta = meta_state(torch.Generator().manual_seed(17))
    for value in meta.values():
        assert torch.equal(value, value.bfloat16().double()) and torch.equal(value, value.half().double())
    ours = hugging_face_state(meta)
    logits = [meta_logits(meta, ids) for ids in IDS]
    for got, ids in zip(logits, IDS):
        error = (got - library_logits(ours, ids)).abs().max() / got.abs().max()
        assert error < 1e-5, f"Meta's layout and transformers differ by {error}"
    if DATA.exists():
        shutil.rmtree(DATA)
    write_hugging_face("hf_f32", ours, torch.float32, 1)
    write_hugging_face("hf_sharded", ours, torch.bfloat16, 3)
    write_meta("mp1", meta, torch.bfloat16, 1)
    write_meta("mp2_columns", meta, torch.float16, 2, embedding_dim=1, vocab_size=-1)
    write_meta("mp2_rows", meta, torch.float32, 2, embedding_dim=0)
    golden = [{"ids": ids, "logits": [[float(f"{v:.9g}") for v in row] for row in rows.tolist()]}
              for ids, rows in zip(IDS, logits)]
    (DATA / "golden.json").write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
