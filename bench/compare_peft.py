#!/usr/bin/env python3
"""ftlaunch beside PyTorch + PEFT: same base, adapters, tokens, batch, precision and threads, on the CPU.

    python3 -m venv VENV && VENV/bin/pip install -r tests/golden/requirements.txt
    VENV/bin/python bench/compare_peft.py --bin build/release/bin --work /some/scratch --out docs/benchmarks.json

A case is a base model and a share of supervised tokens. Both programs train the same batch (every step sees all
examples, so their order does not matter) from the same initial adapter; the losses of all steps are compared before any
time is. Runs are interleaved, A B A B ..., and medians with their spread are reported. Of each run: seconds a step (the
first two left out), peak resident memory of the rank, and seconds from the command to the first finished step.
"""
import argparse
import json
import os
import pathlib
import platform
import resource
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
RANK, ALPHA, RATE = 16, 32, 1e-3

# Name: (model, tokens a sequence, sequences a batch, steps)
MODELS = {"example": ("examples/tiny-llama", 120, 8, 12), "135m": (None, 256, 4, 6)}
# Name: the share of a sequence's tokens at its end that is supervised.
LABELS = {"full": 1.0, "answers": 0.25}


def write_135m(directory):
    """A random Llama of the size of SmolLM-135M in bfloat16, with the example's tokenizer."""
    import torch
    from safetensors.torch import save_file

    directory.mkdir(parents=True, exist_ok=True)
    config = json.loads((ROOT / "examples/tiny-llama/config.json").read_text())
    config |= {"hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9,
               "num_key_value_heads": 3, "head_dim": 64, "vocab_size": 49152, "max_position_embeddings": 2048}
    (directory / "config.json").write_text(json.dumps(config, indent=2))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        source = ROOT / "examples/tiny-llama" / name
        if source.exists():
            (directory / name).write_bytes(source.read_bytes())
    random = torch.Generator().manual_seed(7)
    normal = lambda *shape: (torch.randn(*shape, generator=random) * 0.02).to(torch.bfloat16)
    ones = lambda n: torch.ones(n, dtype=torch.bfloat16)
    width, ffn, kv = 576, 1536, 192
    tensors = {"model.embed_tokens.weight": normal(49152, width), "model.norm.weight": ones(width)}
    for layer in range(30):
        at = f"model.layers.{layer}."
        shapes = {"self_attn.q_proj": (width, width), "self_attn.k_proj": (kv, width), "self_attn.v_proj": (kv, width),
                  "self_attn.o_proj": (width, width), "mlp.gate_proj": (ffn, width), "mlp.up_proj": (ffn, width),
                  "mlp.down_proj": (width, ffn)}
        tensors |= {f"{at}{name}.weight": normal(*shape) for name, shape in shapes.items()}
        tensors |= {f"{at}{name}.weight": ones(width) for name in ("input_layernorm", "post_attention_layernorm")}
    save_file(tensors, str(directory / "model.safetensors"), metadata={"format": "pt"})


def write_data(path, tokenizer_file, sequences, tokens, share):
    """Sequences of words from the example's text in two segments, cut so that each has at most `tokens` tokens."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    count = lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)
    texts = (ROOT / "examples/tiny-llama/text/austen.jsonl").read_text().splitlines()
    words = " ".join(json.loads(line)["text"] for line in texts).split()
    lines, at = [], 1000
    for _ in range(sequences):
        segments = []
        for budget, label in ((tokens - round(tokens * share), False), (round(tokens * share), True)):
            if budget == 0:
                continue
            text = ""
            while count(text + " " + words[at]) <= budget:
                text, at = text + " " + words[at], at + 1
            segments.append({"text": text, "label": label})
        lines.append(json.dumps({"segments": segments}))
    path.write_text("\n".join(lines) + "\n")


def peft_child(args):
    """One run of PyTorch + PEFT; prints a JSON line a step, then a summary."""
    import torch
    from peft import PeftModel
    from tokenizers import Tokenizer
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(args.threads)
    tokenizer = Tokenizer.from_file(str(pathlib.Path(args.model) / "tokenizer.json"))
    ids, labels = [], []
    for line in pathlib.Path(args.data).read_text().splitlines():
        own, mask = [], []
        for segment in json.loads(line)["segments"]:
            part = tokenizer.encode(segment["text"], add_special_tokens=False).ids
            own += part
            mask += part if segment["label"] else [-100] * len(part)
        ids.append(own)
        labels.append([-100] + mask[1:])
    longest = max(map(len, ids))
    pad = lambda rows, value: torch.tensor([row + [value] * (longest - len(row)) for row in rows])
    batch = {"input_ids": pad(ids, 0), "labels": pad(labels, -100),
             "attention_mask": pad([[1] * len(row) for row in ids], 0)}
    model = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32, attn_implementation="sdpa")
    model = PeftModel.from_pretrained(model, args.adapter, is_trainable=True)
    model.train()
    trainable = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trainable, lr=RATE, weight_decay=0.0)
    micro = args.micro
    supervised = int((batch["labels"] != -100).sum())
    for step in range(args.steps):
        began = time.monotonic()
        total = 0.0
        for first in range(0, len(ids), micro):
            part = {k: v[first:first + micro] for k, v in batch.items()}
            loss = model(**part, num_items_in_batch=supervised).loss
            loss.backward()
            total += float(loss)
        torch.nn.utils.clip_grad_norm_(trainable, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        print(json.dumps({"step": step + 1, "loss": total, "seconds": time.monotonic() - began, "at": time.time()}),
              flush=True)
    print(json.dumps({"peak_rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}), flush=True)


def config_text(model, data, output, batch, tokens, steps, rate, micro):
    return json.dumps({  # JSON is YAML
        "model_name_or_path": str(model), "adapter": "lora", "lora_rank": RANK, "lora_alpha": ALPHA, "lora_target": "all",
        "datasets": [{"path": str(data), "type": "input_output"}], "cutoff_len": tokens + 8, "val_set_size": 0,
        "global_batch_size": batch, "per_device_train_batch_size": micro, "max_steps": steps, "learning_rate": rate,
        "lr_scheduler_type": "constant", "warmup_steps": 0, "weight_decay": 0.0, "max_grad_norm": 1.0, "seed": 1,
        "output_dir": str(output), "save_steps": 0})


def run_ftlaunch(args, case, steps, rate, name, micro):
    model, data, tokens, batch = case["model"], case["data"], case["tokens"], case["batch"]
    output = case["work"] / f"ftlaunch-{name}"
    config = case["work"] / f"{name}.yaml"
    config.write_text(config_text(model, data, output, batch, tokens, steps, rate, micro))
    log = (case["work"] / "ftlaunch.log").open("w")
    began = time.time()
    process = subprocess.Popen([str(args.bin / "ftlaunch"), "--config", str(config), "--resume", "never", "--quiet",
                                "--nodes", str(args.ranks)], stdout=log, stderr=log, cwd=ROOT)
    first, peak = None, {}
    metrics = output / "metrics.jsonl"
    while process.poll() is None:
        if first is None and metrics.exists() and metrics.stat().st_mtime >= began and '"loss"' in metrics.read_text():
            first = time.time() - began
        for entry in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if (entry / "comm").read_text().strip() != "fttrain":
                    continue
                for line in (entry / "status").read_text().splitlines():
                    if line.startswith("VmHWM"):
                        peak[entry.name] = int(line.split()[1]) * 1024
            except OSError:
                pass
        time.sleep(0.02)
    if process.returncode != 0:
        sys.exit(f"ftlaunch ended with {process.returncode}, see {log.name}")
    lines = [json.loads(line) for line in metrics.read_text().splitlines()]
    lines = [line for line in lines if "loss" in line]
    return {"losses": [line["loss"] for line in lines], "first_step": first, "peak_rss": sum(peak.values()),
            "seconds": [line["tokens"] / line["tokens_per_second"] for line in lines], "adapter": output / "adapter"}


def run_peft(args, case, adapter, micro):
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "1", "--master_port", "29591",
               str(pathlib.Path(__file__).resolve()), "--child", "--model", str(case["model"]), "--data",
               str(case["data"]), "--adapter", str(adapter), "--steps", str(case["steps"]), "--threads",
               str(args.threads), "--micro", str(micro)]
    began = time.time()
    environment = os.environ | {"OMP_NUM_THREADS": str(args.threads), "HF_HUB_OFFLINE": "1"}
    ended = subprocess.run(command, capture_output=True, text=True, env=environment)
    if ended.returncode != 0:
        sys.exit(f"PyTorch ended with {ended.returncode}:\n{ended.stderr[-3000:]}")
    lines = [json.loads(line) for line in ended.stdout.splitlines() if line.startswith("{")]
    steps = [line for line in lines if "loss" in line]
    return {"losses": [line["loss"] for line in steps], "seconds": [line["seconds"] for line in steps],
            "first_step": steps[0]["at"] - began, "peak_rss": lines[-1]["peak_rss"]}


def sgemm_peak(threads):
    """FLOP/s of torch's float32 product of 2048-cubes (MKL), the best of ten."""
    import torch

    torch.set_num_threads(threads)
    a, b = torch.randn(2048, 2048), torch.randn(2048, 2048)
    best = 0.0
    for _ in range(10):
        began = time.monotonic()
        torch.mm(a, b)
        best = max(best, 2 * 2048**3 / (time.monotonic() - began))
    return best


def operations_of_step(model, tokens, batch, share):
    """As trainer/model/arithmetic.h counts, of LoRA on all linear layers: products and the causal half of attention."""
    config = json.loads((model / "config.json").read_text())
    width, ffn, layers = config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"]
    heads, head_dim = config["num_attention_heads"], config.get("head_dim") or width // config["num_attention_heads"]
    kv = config["num_key_value_heads"] * head_dim
    shapes = [(width, heads * head_dim), (width, kv), (width, kv), (heads * head_dim, width), (width, ffn), (width, ffn),
              (ffn, width)]
    rows, supervised = tokens - 1, round(tokens * share) - (share == 1)
    linear = sum(2 * 2 * rows * i * o + 2 * rows * RANK * (3 * i + 3 * o) for i, o in shapes)
    attention = 7 * heads * head_dim * rows * (rows + 1)
    return batch * (layers * (linear + attention) + 2 * 2 * supervised * width * config["vocab_size"])


def summary(runs, tokens, operations, peak):
    seconds = [second for run in runs for second in run["seconds"][2:]]
    rates = sorted(tokens / second for second in seconds)
    step = statistics.median(seconds)
    return {"tokens_per_second": statistics.median(rates), "slowest": rates[0], "fastest": rates[-1],
            "share_of_sgemm_peak": operations / step / peak, "peak_rss_bytes": max(run["peak_rss"] for run in runs),
            "first_step_seconds": statistics.median(run["first_step"] for run in runs),
            "start_seconds": statistics.median(run["first_step"] - run["seconds"][0] for run in runs)}


def compare(args, model_name, label_name):
    model, tokens, batch, steps = MODELS[model_name]
    work = args.work / f"{model_name}-{label_name}"
    work.mkdir(parents=True, exist_ok=True)
    if model is None:
        model = args.work / "llama-135m"
        if not (model / "model.safetensors").exists():
            write_135m(model)
    else:
        model = ROOT / model
    case = {"model": model, "data": work / "data.jsonl", "work": work, "tokens": tokens, "batch": batch, "steps": steps}
    write_data(case["data"], model / "tokenizer.json", batch, tokens, LABELS[label_name])
    # A step at rate 0 leaves the initial adapter, from which both start.
    initial = run_ftlaunch(args, case, 1, 1e-30, "initial", 1)["adapter"]
    ours, theirs = [], []
    for _ in range(args.repeats):
        ours.append(run_ftlaunch(args, case, steps, RATE, "run", args.lanes))
        theirs.append(run_peft(args, case, initial, batch))
    differences = [abs(a - b) / abs(b) for a, b in zip(ours[0]["losses"], theirs[0]["losses"])]
    operations = operations_of_step(model, tokens, batch, LABELS[label_name])
    result = {"case": f"{model_name}, {label_name}", "sequence": tokens, "batch": batch, "steps": steps,
              "losses": [ours[0]["losses"], theirs[0]["losses"]], "largest_loss_difference": max(differences),
              "ftlaunch": summary(ours, tokens * batch, operations, args.peak),
              "pytorch_peft": summary(theirs, tokens * batch, operations, args.peak)}
    a, b = result["ftlaunch"], result["pytorch_peft"]
    result["ratios"] = {"speed": a["tokens_per_second"] / b["tokens_per_second"],
                        "memory": a["peak_rss_bytes"] / b["peak_rss_bytes"],
                        "first_step": a["first_step_seconds"] / b["first_step_seconds"],
                        "start": a["start_seconds"] / b["start_seconds"]}
    if max(differences) > 1e-3:
        sys.exit(f"{result['case']}: losses differ by {max(differences):.2e}, nothing is comparable: {result['losses']}")
    print(f"{result['case']:18} loss difference {max(differences):.1e}   "
          f"ftlaunch {a['tokens_per_second']:.0f} tokens/s ({100 * a['share_of_sgemm_peak']:.0f} % of peak), "
          f"{a['peak_rss_bytes'] >> 20} MiB, {a['start_seconds']:.2f} s   PyTorch + PEFT {b['tokens_per_second']:.0f} "
          f"tokens/s ({100 * b['share_of_sgemm_peak']:.0f} %), {b['peak_rss_bytes'] >> 20} MiB, "
          f"{b['start_seconds']:.2f} s   speed x {result['ratios']['speed']:.2f}, memory x "
          f"{result['ratios']['memory']:.2f}, start x {result['ratios']['start']:.2f}", flush=True)
    return result


def machine():
    import peft
    import torch
    import transformers

    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    return {"processor": model, "cores": os.cpu_count(), "system": platform.platform(), "torch": torch.__version__,
            "transformers": transformers.__version__, "peft": peft.__version__}


def page(record):
    """docs/benchmarks.md from the JSON record."""
    here = record["machine"]
    text = f"""# Benchmarks

Made by `bench/compare_peft.py` (record: benchmarks.json). The same base, adapters, tokens, batch and threads in ftlaunch and in
PyTorch + PEFT, runs interleaved; the losses of every step agree within the difference shown, or nothing is printed.

Machine: {here["processor"]}, {here["cores"]} cores, {here["system"]}. torch {here["torch"]}, transformers {here["transformers"]}, peft {here["peft"]}.
ftlaunch: {record["ranks"]} rank(s), {record["lanes"]} lane(s); PyTorch: one process; {record["threads"]} threads each; {record["repeats"]} run(s) of each.
Speed: median (slowest to fastest step). Of peak: arithmetic of a step (products and the causal half of attention, nothing recomputed)
against torch's fastest float32 product, {record["sgemm_peak"] * 1e-9:.1f} GFLOP/s in this run (it differs between hours; ratios do less). Memory: peak resident, the mapped base included. Start: from
the command (`ftlaunch`, `torchrun`) to the first step's beginning; first step: to its end.

| case | loss difference | ftlaunch, tokens/s | PyTorch + PEFT, tokens/s | speed | of peak | memory, MiB | start, s | first step, s |
|---|---|---|---|---|---|---|---|---|
"""
    for result in record["results"]:
        a, b, ratio = result["ftlaunch"], result["pytorch_peft"], result["ratios"]
        rate = lambda side: f"{side['tokens_per_second']:.0f} ({side['slowest']:.0f} to {side['fastest']:.0f})"
        text += (f"| {result['case']}: {result['batch']} x {result['sequence']} tokens | {result['largest_loss_difference']:.0e} | "
                 f"{rate(a)} | {rate(b)} | x {ratio['speed']:.2f} | {100 * a['share_of_sgemm_peak']:.0f} % against "
                 f"{100 * b['share_of_sgemm_peak']:.0f} % | {a['peak_rss_bytes'] >> 20} against {b['peak_rss_bytes'] >> 20} | "
                 f"{a['start_seconds']:.2f} against {b['start_seconds']:.2f} | {a['first_step_seconds']:.1f} against {b['first_step_seconds']:.1f} |\n")
    return text


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    for name in ("--model", "--data", "--adapter"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    parser.add_argument("--steps", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--micro", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--bin", type=pathlib.Path, default=ROOT / "build/release/bin")
    parser.add_argument("--work", type=pathlib.Path, help="a scratch directory")
    parser.add_argument("--out", type=pathlib.Path, help="JSON file to write, and a page beside it")
    parser.add_argument("--cases", nargs="*", default=[f"{m}:{l}" for m in MODELS for l in LABELS], metavar="MODEL:LABELS")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--ranks", type=int, default=1, help="of ftlaunch; PyTorch always has one process of --threads")
    parser.add_argument("--lanes", type=int, default=2, help="ftlaunch's per_device_train_batch_size")
    args = parser.parse_args()
    if args.child:
        return peft_child(args)
    args.peak = sgemm_peak(args.threads)
    results = [compare(args, *case.split(":")) for case in args.cases]
    if args.out:
        record = {"machine": machine(), "threads": args.threads, "ranks": args.ranks, "lanes": args.lanes,
                  "repeats": args.repeats, "sgemm_peak": args.peak, "results": results}
        args.out.write_text(json.dumps(record, indent=1) + "\n")
        args.out.with_suffix(".md").write_text(page(record))


if __name__ == "__main__":
    main()
