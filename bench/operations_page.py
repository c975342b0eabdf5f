#!/usr/bin/env python3
"""docs/operations.md from what kernel_bench measured.

    kernel_bench --benchmark_out=docs/operations.json --benchmark_out_format=json
    python3 bench/operations_page.py docs/operations.json docs/operations.md
"""
import json
import pathlib
import platform
import sys

UNITS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}


def readable(seconds):
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def named(benchmark):
    parts = [part for part in benchmark["name"].split("/") if ":" not in part and part != "real_time"]
    return parts[0], parts[1:]


def main():
    record, page = sys.argv[1:]
    content = json.loads(pathlib.Path(record).read_text())
    context = content["context"]
    content["context"] = {key: context[key] for key in ("date", "num_cpus", "mhz_per_cpu", "caches") if key in context}
    content["context"]["processor"] = processor()
    pathlib.Path(record).write_text(json.dumps(content, indent=1) + "\n")
    products, elements, watching = [], [], []
    for benchmark in content["benchmarks"]:
        name, arguments = named(benchmark)
        time = readable(benchmark["real_time"] * UNITS[benchmark["time_unit"]])
        if "of_peak" in benchmark:
            if name == "matmul":
                m, n, k, ta, tb, threads, bf16 = arguments
                what = f"product {m} x {n} x {k}{', A transposed' if ta == '1' else ''}{', B transposed' if tb == '1' else ''}"
                what += ", B in bfloat16" if bf16 == "1" else ""
            elif name == "openblas":
                m, n, k, ta, tb = arguments
                threads = "1"
                what = f"OpenBLAS {m} x {n} x {k}{', A transposed' if ta == '1' else ''}{', B transposed' if tb == '1' else ''}"
            else:
                rows, heads, kv_heads, head_dim, threads = arguments
                what = f"{name.replace('_', ' ')}, {rows} tokens, {heads}/{kv_heads} heads of {head_dim}"
            products.append(f"| {what} | {threads} | {time} | {benchmark['GFLOP/s']:.1f} | {100 * benchmark['of_peak']:.0f} % |")
        elif "of_memory" in benchmark:
            elements.append(f"| {name.replace('_', ' ')} | {arguments[0]} | {time} | {benchmark['GB/s']:.1f} | "
                            f"{100 * benchmark['of_memory']:.0f} % |")
        else:
            watching.append(f"| {name.replace('_', ' ')} | {time} |")
    caches = ", ".join(f"{cache['type']} L{cache['level']} {cache['size'] // 1024} KiB" for cache in content["context"]["caches"])
    text = ["# Operations against their floors", "",
            "Made by `make campaign operations` (record: operations.json), the sizes are those of a 135M model's step unless said.",
            "", f"Machine: {content['context']['processor']}, {content['context']['num_cpus']} cores; {caches}.", "",
            "Products and attention, as a share of the fastest 1024-cube (OpenBLAS or ours) on as many threads:", "",
            "| operation | threads | time | GFLOP/s | of peak |", "|---|---|---|---|---|", *products, "",
            "Everything else, as a share of a copy between arrays that fit no cache; what stays in a cache can pass it:", "",
            "| operation | threads | time | GB/s | of memory |", "|---|---|---|---|---|", *elements, "",
            "Being watched and losing no step: the recorder's entries, a keeper's look at the ring (ten a second), hot state after",
            "every step and the exact sum of four leaves, both of 4,884,480 values:", "",
            "| what | time |", "|---|---|", *watching]
    pathlib.Path(page).write_text("\n".join(text) + "\n")


main()
