#!/usr/bin/env python3
"""Logits of a model and an adapter as real PEFT computes them, to compare with `ftlaunch logits`.

Reads JSON lines {"ids": [...]} from standard input and prints {"logits": [[...], ...]} for each,
one row a position, float32. With --compare it prints no logits but compares them with the lines of
FILE (the output of `ftlaunch logits` for the same input).

    ftlaunch logits --model M --adapter A < ids.jsonl > ours.jsonl
    python check_peft.py --model M --adapter A --compare ours.jsonl < ids.jsonl

Exit status: 0 agreement (or printed), 1 a difference above the tolerance, 2 unusable input.
"""

import argparse
import json
import sys

import torch
from transformers import AutoModelForCausalLM


def load(model_dir: str, adapter_dir: str | None):
    model = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32)
    if adapter_dir is not None:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, adapter_dir)
    return model.eval()


def unusable(message: str):
    print(message, file=sys.stderr)
    sys.exit(2)


def parse(line: str, where: str, key: str):
    try:
        return json.loads(line)[key]
    except (json.JSONDecodeError, KeyError, TypeError):
        unusable(f"{where}: not a JSON object with {key!r}: {line.strip()[:120]}")


def compare(expected: list[torch.Tensor], path: str, tolerance: float) -> int:
    with open(path) as file:
        lines = [line for line in file if line.strip()]
    if len(lines) != len(expected):
        unusable(f"{path}: {len(lines)} lines for {len(expected)} inputs")
    worst = 0.0
    for number, (line, reference) in enumerate(zip(lines, expected), start=1):
        found = torch.tensor(parse(line, f"{path}:{number}", "logits"), dtype=torch.float64)
        if found.shape != reference.shape:
            unusable(f"{path}:{number}: shape {tuple(found.shape)}, "
                     f"PEFT has {tuple(reference.shape)}")
        difference = ((found - reference).abs().max() / reference.abs().max()).item()
        if not difference <= tolerance:  # a NaN fails too
            print(f"{path}:{number}: differs by {difference:.3e} of the largest logit "
                  f"(tolerance {tolerance:.0e})")
        worst = difference if difference != difference else max(worst, difference)
        if worst != worst:
            break
    print(f"{len(expected)} sequences, largest difference {worst:.3e} of the largest logit")
    return 0 if worst <= tolerance else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="Hugging Face model directory")
    parser.add_argument("--adapter", help="PEFT adapter directory")
    parser.add_argument("--compare", metavar="FILE", help="output of `ftlaunch logits`")
    parser.add_argument("--tolerance", type=float, default=1e-5,
                        help="largest difference / largest |logit| of a sequence (default 1e-5)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    model = load(arguments.model, arguments.adapter)
    expected = []
    for number, line in enumerate(sys.stdin, start=1):
        if not line.strip():
            continue
        ids = parse(line, f"stdin:{number}", "ids")
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids])).logits[0].float()
        if arguments.compare:
            expected.append(logits.double())
        else:
            print(json.dumps({"logits": logits.tolist()}), flush=True)
    return compare(expected, arguments.compare, arguments.tolerance) if arguments.compare else 0


if __name__ == "__main__":
    sys.exit(main())
