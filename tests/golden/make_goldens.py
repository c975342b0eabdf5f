#!/usr/bin/env python3
"""Golden values for the trainer: what PyTorch, transformers and PEFT compute on three tiny Llamas.

Each case is a random model, two random LoRA adapters and five token sequences. The script writes
the inputs in the formats that users have (Hugging Face model directory, PEFT adapter directory)
and, beside them, the logits, losses, gradients and a 20-step training curve that any correct
implementation must reproduce within a tolerance.

The oracle runs in float64, because a float32 reference has rounding errors as large as those of
the code under test. A float32 run of the unmodified libraries must agree with it, or the script
refuses to write. README.md explains every file.

    python make_goldens.py            # rewrites data/
    python make_goldens.py --check    # recomputes and compares with data/, writes nothing there
"""

import argparse
import contextlib
import json
import math
import re
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, get_scheduler
from transformers.utils import logging as transformers_logging

DATA = Path(__file__).resolve().parent / "data"
IGNORED = -100  # Hugging Face: positions with this label are not supervised
AGREEMENT = 1e-5  # float32 against float64, relative to the largest magnitude of the tensor

ALL_LINEARS = ["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"]
ADAPTERS = {  # directory: targets, rank, alpha, prefix of the gradients in golden.safetensors
    "adapter": (ALL_LINEARS, 4, 8, "grad."),
    "adapter_qv": (["q_proj", "v_proj"], 3, 6, "qv_grad."),
}

STEPS, WARMUP_STEPS, BASE_LR, WEIGHT_DECAY, MAX_GRAD_NORM = 20, 3, 5e-3, 0.01, 1.0
BETAS, EPSILON = (0.9, 0.999), 1e-8
SCHEDULES = ["linear", "cosine", "constant_with_warmup"]


@dataclass(frozen=True)
class Case:
    name: str
    seed: int
    vocab: int
    hidden: int
    ffn: int
    layers: int
    heads: int
    kv_heads: int
    tied: bool
    head_dim: int | None = None  # None: hidden / heads, and the key is absent from config.json
    rope_theta: float = 10000.0
    rms_norm_eps: float = 1e-5

    @property
    def dim_per_head(self) -> int:
        return self.head_dim or self.hidden // self.heads


CASES = [
    Case("gqa_untied", 11, vocab=101, hidden=32, ffn=72, layers=2, heads=4, kv_heads=2, tied=False),
    Case("mha_tied", 12, vocab=97, hidden=24, ffn=40, layers=3, heads=3, kv_heads=3, tied=True),
    Case("gqa_tied_headdim", 13, vocab=89, hidden=24, ffn=44, layers=2, heads=4, kv_heads=1,
         tied=True, head_dim=10, rope_theta=500000.0, rms_norm_eps=1e-6),
]


# ---------------------------------------------------------------- inputs


def write_json(path: Path, value) -> None:
    def on_one_line(numbers: re.Match) -> str:
        return "[" + re.sub(r"\s+", " ", numbers[1]) + "]"

    text = json.dumps(value, indent=2)
    path.write_text(re.sub(r"\[\s+(-?[\d,.e\s-]+?)\s+\]", on_one_line, text) + "\n")


def model_config(case: Case) -> dict:
    """The layout of transformers 4: rope_theta at the top level, and torch_dtype."""
    config = {
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": None,
        "eos_token_id": 0,
        "hidden_act": "silu",
        "hidden_size": case.hidden,
        "initializer_range": 0.02,
        "intermediate_size": case.ffn,
        "max_position_embeddings": 64,
        "mlp_bias": False,
        "model_type": "llama",
        "num_attention_heads": case.heads,
        "num_hidden_layers": case.layers,
        "num_key_value_heads": case.kv_heads,
        "pretraining_tp": 1,
        "rms_norm_eps": case.rms_norm_eps,
        "rope_scaling": None,
        "rope_theta": case.rope_theta,
        "tie_word_embeddings": case.tied,
        "torch_dtype": "float32",
        "use_cache": True,
        "vocab_size": case.vocab,
    }
    if case.head_dim is not None:
        config["head_dim"] = case.head_dim
    return dict(sorted(config.items()))


def random_weights(case: Case, random: torch.Generator) -> dict[str, torch.Tensor]:
    """Weights for which mistakes show: norm gains differ from 1 and attention is not uniform."""

    def normal(*shape: int, std: float) -> torch.Tensor:
        return torch.randn(*shape, generator=random) * std

    def linear(rows: int, columns: int) -> torch.Tensor:
        return normal(rows, columns, std=1.2 / math.sqrt(columns))

    def gain() -> torch.Tensor:
        return 1.0 + normal(case.hidden, std=0.2)

    query, key = case.heads * case.dim_per_head, case.kv_heads * case.dim_per_head
    weights = {"model.embed_tokens.weight": normal(case.vocab, case.hidden, std=0.4)}
    for layer in range(case.layers):
        at = f"model.layers.{layer}."
        weights[at + "input_layernorm.weight"] = gain()
        weights[at + "self_attn.q_proj.weight"] = linear(query, case.hidden)
        weights[at + "self_attn.k_proj.weight"] = linear(key, case.hidden)
        weights[at + "self_attn.v_proj.weight"] = linear(key, case.hidden)
        weights[at + "self_attn.o_proj.weight"] = linear(case.hidden, query)
        weights[at + "post_attention_layernorm.weight"] = gain()
        weights[at + "mlp.gate_proj.weight"] = linear(case.ffn, case.hidden)
        weights[at + "mlp.up_proj.weight"] = linear(case.ffn, case.hidden)
        weights[at + "mlp.down_proj.weight"] = linear(case.hidden, case.ffn)
    weights["model.norm.weight"] = gain()
    if not case.tied:
        weights["lm_head.weight"] = linear(case.vocab, case.hidden)
    return weights


def write_model(case: Case, directory: Path, random: torch.Generator) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    write_json(directory / "config.json", model_config(case))
    save_file(random_weights(case, random), directory / "model.safetensors", {"format": "pt"})


def write_adapter(case, name: str, root: Path, random: torch.Generator, adapters=ADAPTERS) -> None:
    """Saved by PEFT itself, with random A and B: with B = 0 every gradient of A would be zero."""
    targets, rank, alpha, _ = adapters[name]
    shape = LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=0.0, target_modules=targets,
                       task_type="CAUSAL_LM")
    model = get_peft_model(load_model(root / "model", torch.float32), shape)
    for parameter_name, parameter in sorted(model.named_parameters()):
        if ".lora_A." in parameter_name:
            std = 1.0 / math.sqrt(parameter.shape[1])
        elif ".lora_B." in parameter_name:
            std = 0.1
        else:
            continue
        parameter.data = torch.randn(parameter.shape, generator=random) * std
    model.save_pretrained(root / name)
    (root / name / "README.md").unlink(missing_ok=True)
    # PEFT writes targets in set order and the path of the model; neither may differ between runs.
    config_path = root / name / "adapter_config.json"
    config = json.loads(config_path.read_text())
    config["target_modules"] = sorted(config["target_modules"])
    config["base_model_name_or_path"] = f"golden/{case.name}"
    config_path.write_text(json.dumps(config, indent=2, sort_keys=True))


FIVE_LENGTHS = [(2, 1), (17, 0), (33, 9), (26, 13), (11, 10)]  # (length, masked); the last: one label


def sequences(case, random: torch.Generator, plan=FIVE_LENGTHS) -> list[dict]:
    """`masked` leading labels are ignored. Labels are not shifted (see README.md)."""
    result = []
    for length, masked in plan:
        ids = torch.randint(1, case.vocab, (length,), generator=random).tolist()
        result.append({"ids": ids, "labels": [IGNORED] * masked + ids[masked:]})
    return result


# ---------------------------------------------------------------- the oracle


def load_model(directory: Path, dtype: torch.dtype):
    # PyTorch's fused attention has no soft cap, and transformers does not say so.
    capped = getattr(AutoConfig.from_pretrained(directory), "attn_logit_softcapping", None)
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32,
                                                 attn_implementation="eager" if capped else "sdpa")
    return in_double(model) if dtype == torch.float64 else model


@contextlib.contextmanager
def float_is_double():
    """Inside, code that asks for float32 by name gets float64."""
    names = {name: getattr(torch, name) for name in ("float", "float32")}
    for name in names:
        setattr(torch, name, torch.float64)
    try:
        yield
    finally:
        for name, value in names.items():
            setattr(torch, name, value)


def in_double(model):
    """transformers narrows to float32 inside RMSNorm, RoPE and the softmax of eager attention
    whatever the model's type; here the same formulas stay in float64. The angles are those of the
    library's own functions."""

    def rms_norm(self):
        gemma = type(self).__name__.startswith("Gemma")

        def forward(x):
            epsilon = self.eps if gemma else self.variance_epsilon
            gain = 1.0 + self.weight if gemma else self.weight
            return gain * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + epsilon))
        return forward

    def rotary(self):
        def forward(x, position_ids):
            # The dynamic kind looks at the length of the sequence at hand.
            length = {"seq_len": int(position_ids.max()) + 1} if self.rope_type == "dynamic" else {}
            with float_is_double():
                frequencies, magnitude = self.rope_init_fn(self.config, "cpu", **length)
            angles = position_ids[..., None].double() * frequencies
            both_halves = torch.cat([angles, angles], dim=-1)
            return both_halves.cos() * magnitude, both_halves.sin() * magnitude
        return forward

    model = model.double()
    for module in model.modules():
        if type(module).__name__.endswith("RMSNorm"):
            module.forward = rms_norm(module)
        elif type(module).__name__.endswith("RotaryEmbedding"):
            module.forward = rotary(module)
    return model


narrowing_softmax = torch.nn.functional.softmax


def softmax(x, dim=None, _stacklevel=3, dtype=None):
    return narrowing_softmax(x, dim, _stacklevel, x.dtype if x.dtype == torch.float64 else dtype)


torch.nn.functional.softmax = softmax


def load_adapted(root: Path, adapter: str, dtype: torch.dtype) -> PeftModel:
    model = PeftModel.from_pretrained(load_model(root / "model", dtype), root / adapter,
                                      is_trainable=True)
    return model.to(dtype)


def logits_of(model, sequence: dict) -> torch.Tensor:
    return model(input_ids=torch.tensor([sequence["ids"]])).logits[0]  # [T, V]


def supervised_tokens(batch: list[dict]) -> int:
    return sum(label != IGNORED for sequence in batch for label in sequence["labels"][1:])


def loss_of(model, batch: list[dict]) -> torch.Tensor:
    """Sum over all supervised tokens of the batch / their number; every sequence on its own."""
    total = sum(
        torch.nn.functional.cross_entropy(
            logits_of(model, sequence)[:-1], torch.tensor(sequence["labels"][1:]),
            ignore_index=IGNORED, reduction="sum")
        for sequence in batch)
    return total / supervised_tokens(batch)


def loss_and_gradients(model, batch: list[dict]) -> tuple[float, dict[str, torch.Tensor]]:
    loss = loss_of(model, batch)
    loss.backward()
    gradients = {name.replace(".default.", "."): parameter.grad.detach()
                 for name, parameter in model.named_parameters() if parameter.requires_grad}
    return loss.item(), gradients


def everything(root: Path, batch: list[dict], dtype: torch.dtype, adapters, full: bool):
    """All losses and all tensors of golden.safetensors, in `dtype`."""
    base = load_model(root / "model", dtype)
    losses, tensors = {}, {}
    losses["base_loss"], gradients = loss_and_gradients(base, batch)
    if full:
        tensors.update({"full_grad." + name: value for name, value in gradients.items()})
    with torch.no_grad():
        tensors.update({f"logits.{i}": logits_of(base, s) for i, s in enumerate(batch)})

    for adapter, (_, _, _, prefix) in adapters.items():
        model = load_adapted(root, adapter, dtype)
        loss_name = "loss" if adapter == "adapter" else "qv_loss"
        losses[loss_name], gradients = loss_and_gradients(model, batch)
        tensors.update({prefix + name: value for name, value in gradients.items()})
        if adapter == "adapter":
            with torch.no_grad():
                tensors.update(
                    {f"adapter_logits.{i}": logits_of(model, s) for i, s in enumerate(batch)})
    return losses, tensors


def training_curve(root: Path, batch: list[dict], dtype: torch.dtype) -> list[dict]:
    model = load_adapted(root, "adapter", dtype)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=BASE_LR, betas=BETAS, eps=EPSILON,
                                  weight_decay=WEIGHT_DECAY)
    schedule = get_scheduler("cosine", optimizer, WARMUP_STEPS, STEPS)
    steps = []
    for step in range(STEPS):
        optimizer.zero_grad()
        loss = loss_of(model, batch)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(trained, MAX_GRAD_NORM)
        steps.append({"step": step, "loss": loss.item(), "grad_norm": norm.item(),
                      "learning_rate": schedule.get_last_lr()[0]})
        optimizer.step()
        schedule.step()
    return steps


# ---------------------------------------------------------------- agreement and output


def relative_difference(one: torch.Tensor, other: torch.Tensor) -> float:
    """Largest difference, relative to the largest magnitude of the reference `other`."""
    return ((one.double() - other.double()).abs().max() / other.double().abs().max()).item()


def require_agreement(what: str, difference: float) -> float:
    if not difference <= AGREEMENT:
        sys.exit(f"{what}: float32 and float64 differ by {difference:.2e} (limit {AGREEMENT:.0e})")
    return difference


def golden_values(case, root: Path, batch: list[dict], adapters=ADAPTERS, full: bool = True):
    losses64, tensors64 = everything(root, batch, torch.float64, adapters, full)
    losses32, tensors32 = everything(root, batch, torch.float32, adapters, full)
    assert tensors64.keys() == tensors32.keys()
    worst = 0.0
    for name, value in tensors64.items():
        assert value.abs().max() > 0, f"{case.name}: {name} is zero and would test nothing"
        worst = max(worst, require_agreement(f"{case.name}: {name}",
                                             relative_difference(tensors32[name], value)))
    for name, value in losses64.items():
        require_agreement(f"{case.name}: {name}", abs(losses32[name] - value) / value)

    golden = {"sequences": batch, "supervised_tokens": supervised_tokens(batch)}
    for name in losses64:
        golden[name] = losses32[name]
        golden[name + "_fp64"] = losses64[name]
    golden["worst_fp32_difference"] = worst
    return golden, {name: value.float().contiguous() for name, value in tensors64.items()}


def training_golden(root: Path, batch: list[dict]) -> dict:
    curve64 = training_curve(root, batch, torch.float64)
    curve32 = training_curve(root, batch, torch.float32)
    for exact, rounded in zip(curve64, curve32):
        exact["loss_fp32"], exact["grad_norm_fp32"] = rounded["loss"], rounded["grad_norm"]
    return {
        "optimizer": {"name": "adamw", "betas": list(BETAS), "eps": EPSILON,
                      "weight_decay": WEIGHT_DECAY},
        "schedule": {"name": "cosine", "base_learning_rate": BASE_LR,
                     "warmup_steps": WARMUP_STEPS, "total_steps": STEPS},
        "max_grad_norm": MAX_GRAD_NORM,
        "steps": curve64,
    }


def write_case(case: Case, root: Path) -> None:
    random = torch.Generator().manual_seed(case.seed)
    write_model(case, root / "model", random)
    for adapter in ADAPTERS:
        write_adapter(case, adapter, root, random)
    batch = sequences(case, random)
    write_golden(case, root, batch, *golden_values(case, root, batch))


def write_golden(case, root: Path, batch: list[dict], golden: dict, tensors: dict) -> None:
    curve = training_golden(root, batch)
    write_json(root / "golden.json", golden)
    write_json(root / "curve.json", curve)
    save_file(tensors, root / "golden.safetensors")
    drift = max(abs(s["loss_fp32"] - s["loss"]) / s["loss"] for s in curve["steps"])
    print(f"{case.name}: loss {golden['loss_fp64']:.6f}, base {golden['base_loss_fp64']:.6f}, "
          f"float32 within {golden['worst_fp32_difference']:.1e}; curve "
          f"{curve['steps'][0]['loss']:.4f} -> {curve['steps'][-1]['loss']:.4f}, "
          f"float32 within {drift:.1e}")


def write_schedules(path: Path) -> None:
    """Multipliers of the base learning rate at steps 0..STEPS-1, as transformers gives them."""
    schedules = []
    for name in SCHEDULES:
        for warmup in (0, 3):
            optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
            schedule = get_scheduler(name, optimizer, warmup, STEPS)
            multipliers = []
            for _ in range(STEPS):
                multipliers.append(schedule.get_last_lr()[0])
                optimizer.step()
                schedule.step()
            schedules.append({"lr_scheduler_type": name, "warmup_steps": warmup,
                              "multipliers": multipliers})
    write_json(path, {"total_steps": STEPS, "schedules": schedules})


def numbers_differ(one, other) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() != other.keys() or any(numbers_differ(one[k], other[k]) for k in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) != len(other) or any(map(numbers_differ, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return not math.isclose(one, other, rel_tol=1e-4, abs_tol=1e-6)
    return one != other


def differs(made: Path, committed: Path) -> bool:
    if not committed.exists():
        return True
    if made.suffix == ".json":
        return numbers_differ(json.loads(made.read_text()), json.loads(committed.read_text()))
    ours, theirs = load_file(made), load_file(committed)
    return ours.keys() != theirs.keys() or any(
        ours[n].shape != theirs[n].shape or relative_difference(ours[n], theirs[n]) > AGREEMENT
        for n in ours)


def write_or_check(write_into) -> int:
    """Calls write_into(directory) for data/ or, to compare with it, for an empty directory."""
    parser = argparse.ArgumentParser(description="Write (or check) the golden values.")
    parser.add_argument("--check", action="store_true",
                        help="recompute into a temporary directory and compare with data/")
    check = parser.parse_args().check
    transformers_logging.set_verbosity_error()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)

    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) if check else DATA
        out.mkdir(parents=True, exist_ok=True)
        write_into(out)
        if not check:
            return 0
        stale = [made.relative_to(out) for made in sorted(out.rglob("*")) if made.is_file()
                 and differs(made, DATA / made.relative_to(out))]
        for path in stale:
            print(f"differs from data/: {path}", file=sys.stderr)
        return 1 if stale else 0


def write_all(out: Path) -> None:
    write_schedules(out / "schedules.json")
    for case in CASES:
        write_case(case, out / case.name)


if __name__ == "__main__":
    sys.exit(write_or_check(write_all))
