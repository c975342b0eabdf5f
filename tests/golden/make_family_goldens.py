#!/usr/bin/env python3
"""Golden values for every model family and every kind of RoPE: tiny random models of
transformers' own classes, one adapter on all seven projections, three sequences, the longest far
beyond a sliding window and beyond the positions before stretching. Files and tolerances as
make_goldens.py writes them (README.md).

    python make_family_goldens.py            # rewrites its cases in data/
    python make_family_goldens.py --check    # recomputes and compares, writes nothing there
"""

import sys
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM

from make_goldens import (ALL_LINEARS, golden_values, sequences, write_adapter, write_golden,
                          write_json, write_or_check)

ADAPTERS = {"adapter": (ALL_LINEARS, 2, 4, "grad.")}
# Ascending, the first within the positions before stretching: transformers remembers the longest
# sequence so far for RoPE of the dynamic kind, and forgets it at such a one.
LENGTHS = [(11, 3), (23, 0), (40, 12)]  # (length, masked)


@dataclass(frozen=True)
class FamilyCase:
    name: str
    seed: int
    config: dict = field(hash=False)  # changes to SIZES; "model_type" among them
    full: bool = False  # the gradients of all weights, too
    vocab: int = 41


SIZES = {
    "vocab_size": 41, "hidden_size": 16, "intermediate_size": 20, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64,
    "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "tie_word_embeddings": True,
    "bos_token_id": None, "eos_token_id": 0, "pad_token_id": None,
}
STRETCHED = {"model_type": "llama", "rope_theta": 100.0, "head_dim": 8}
GEMMA = {"head_dim": 6, "query_pre_attn_scalar": 9, "sliding_window": 7}

CASES = [
    FamilyCase("llama_biases", 21, {"model_type": "llama", "attention_bias": True, "mlp_bias": True,
                                    "tie_word_embeddings": False}, full=True),
    FamilyCase("llama_linear", 22, STRETCHED | {
        "max_position_embeddings": 16, "rope_scaling": {"type": "linear", "factor": 4.0}}),
    FamilyCase("llama_dynamic", 23, STRETCHED | {
        "max_position_embeddings": 16, "rope_scaling": {"rope_type": "dynamic", "factor": 2.0}}),
    FamilyCase("llama_llama3", 24, STRETCHED | {"rope_scaling": {
        "rope_type": "llama3", "factor": 4.0, "low_freq_factor": 0.5, "high_freq_factor": 2.0,
        "original_max_position_embeddings": 16}}),
    FamilyCase("llama_yarn", 25, STRETCHED | {"rope_scaling": {
        "rope_type": "yarn", "factor": 4.0, "beta_fast": 2.0, "beta_slow": 0.25,
        "original_max_position_embeddings": 16}}),
    FamilyCase("mistral", 31, {"model_type": "mistral", "head_dim": 6, "sliding_window": None,
                               "tie_word_embeddings": False}),
    FamilyCase("mistral_window", 32, {"model_type": "mistral", "sliding_window": 9}),
    FamilyCase("qwen2", 33, {"model_type": "qwen2", "tie_word_embeddings": False}, full=True),
    FamilyCase("qwen2_window_yarn", 34, {
        "model_type": "qwen2", "head_dim": 8, "rope_theta": 100.0, "use_sliding_window": True,
        "sliding_window": 9, "max_window_layers": 1, "rope_scaling": {
            "type": "yarn", "factor": 4.0, "beta_fast": 2.0, "beta_slow": 0.25, "truncate": False,
            "mscale": 1.2, "mscale_all_dim": 0.7, "original_max_position_embeddings": 16}}),
    FamilyCase("qwen3", 35, {"model_type": "qwen3", "head_dim": 10}, full=True),
    FamilyCase("gemma2", 36, GEMMA | {"model_type": "gemma2", "attn_logit_softcapping": 2.0,
                                      "final_logit_softcapping": 3.0}, full=True),
    FamilyCase("gemma3", 38, GEMMA | {
        "model_type": "gemma3_text", "num_hidden_layers": 3, "sliding_window_pattern": 3,
        "rope_theta": 1000.0, "rope_local_base_freq": 50.0,
        "rope_scaling": {"rope_type": "linear", "factor": 8.0}}, full=True),
]


def random_weights(config, random: torch.Generator) -> dict[str, torch.Tensor]:
    """Names and shapes are the library's. Weights for which mistakes show, as in make_goldens.py."""
    gemma = config.model_type.startswith("gemma")
    weights = {}
    for name, parameter in sorted(AutoModelForCausalLM.from_config(config).named_parameters()):
        noise = torch.randn(parameter.shape, generator=random)
        if name.endswith("norm.weight"):
            weights[name] = noise * 0.2 + (0.0 if gemma else 1.0)
        elif name.endswith(".bias"):
            weights[name] = noise * 0.3
        elif name == "model.embed_tokens.weight":
            weights[name] = noise * (0.4 / (config.hidden_size**0.5 if gemma else 1.0))
        else:
            weights[name] = noise * (1.2 / parameter.shape[1]**0.5)
    if gemma:  # its tied head is the small embedding: the last norm makes up for it, and a cap is felt
        weights["model.norm.weight"] += 6.0 if config.final_logit_softcapping else 2.0
    return weights


def write_case(case: FamilyCase, root: Path) -> None:
    random = torch.Generator().manual_seed(case.seed)
    settings = SIZES | case.config
    config = AutoConfig.for_model(**settings)
    (root / "model").mkdir(parents=True, exist_ok=True)
    write_json(root / "model" / "config.json", dict(sorted(settings.items())))
    save_file(random_weights(config, random), root / "model" / "model.safetensors", {"format": "pt"})
    for adapter in ADAPTERS:
        write_adapter(case, adapter, root, random, ADAPTERS)
    batch = sequences(case, random, LENGTHS)
    write_golden(case, root, batch, *golden_values(case, root, batch, ADAPTERS, case.full))


def write_all(out: Path) -> None:
    for case in CASES:
        write_case(case, out / case.name)


if __name__ == "__main__":
    sys.exit(write_or_check(write_all))
