#!/usr/bin/env python3
"""ftlaunch's tokenizer beside Hugging Face `tokenizers`: same tokenizer.json, same texts, same number of threads.

    python3 -m venv VENV && VENV/bin/pip install tokenizers==0.23.2
    cmake --build build/release --target tokenizer_bench
    VENV/bin/python bench/compare_tokenizers.py --bin build/release/bin/tokenizer_bench \\
        --out docs/tokenizer_speed.json [DIRECTORY WITH A tokenizer.json ...]

The ids of every text are compared before any time is. Both programs stay loaded and take turns, A B A B ..., each turn
encoding all texts once; medians in MB (10^6 bytes of UTF-8) a second and the slowest and fastest turn are reported. The
library encodes one batch without offsets (encode_batch_fast), which is the fastest it offers. Texts: prose (the
example's), code (this project's own sources) and scripts (the golden texts, which are short and odd).
"""
import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent


def texts():
    lines = lambda path: [json.loads(line)["text"] for line in path.read_text(encoding="utf-8").splitlines()]
    rooms = ("trainer", "launcher", "comm", "checkpoints", "kernels", "failures", "simulation")
    sources = [path for room in rooms for end in ("*.h", "*.cpp") for path in sorted((ROOT / room).rglob(end))]
    return {"prose": lines(ROOT / "examples/tiny-llama/text/austen.jsonl"),
            "code": [path.read_text(encoding="utf-8") for path in sources],
            "scripts": lines(ROOT / "tests/golden/data/tokenizer/vectors.jsonl") * 20}


def serve_library(tokenizer_file, texts_file, ids_file):
    """The library's side of tokenizer_bench; the number of threads is RAYON_NUM_THREADS."""
    from tokenizers import Tokenizer

    begin = time.perf_counter()
    tokenizer = Tokenizer.from_file(tokenizer_file)
    loaded = time.perf_counter() - begin
    batch = [json.loads(line)["text"] for line in open(texts_file, encoding="utf-8")]
    encode = lambda: tokenizer.encode_batch_fast(batch, add_special_tokens=False)
    with open(ids_file, "w", encoding="utf-8") as out:
        out.writelines(json.dumps(encoding.ids, separators=(",", ":")) + "\n" for encoding in encode())
    print(json.dumps({"load_seconds": loaded}), flush=True)
    for _ in sys.stdin:
        begin = time.perf_counter()
        encode()
        print(time.perf_counter() - begin, flush=True)


class Program:
    def __init__(self, command, threads):
        environment = os.environ | {"RAYON_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "true"}
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env=environment)
        self.threads = threads
        self.load_seconds = json.loads(self.process.stdout.readline())["load_seconds"]

    def turn(self):
        self.process.stdin.write(f"{self.threads}\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def spread(size, seconds):
    rates = sorted(size / s / 1e6 for s in seconds)
    return {"median": round(statistics.median(rates), 2), "slowest": round(rates[0], 2), "fastest": round(rates[-1], 2)}


def compare(binary, tokenizer_file, batch, threads, turns, work):
    texts_file, ours_file, theirs_file = (work / name for name in ("texts.jsonl", "ours", "theirs"))
    texts_file.write_text("".join(json.dumps({"text": text}) + "\n" for text in batch), encoding="utf-8")
    ours = Program([binary, tokenizer_file, str(texts_file), str(ours_file)], threads)
    theirs = Program([sys.executable, __file__, "--serve", tokenizer_file, str(texts_file), str(theirs_file)], threads)
    ids, expected = ours_file.read_text().splitlines(), theirs_file.read_text().splitlines()
    unequal = sum(a != b for a, b in zip(ids, expected, strict=True))
    if unequal:
        raise SystemExit(f"{tokenizer_file}: {unequal} of {len(ids)} texts have other ids; no time is worth reporting")
    ours.turn(), theirs.turn()
    times = [(ours.turn(), theirs.turn()) for _ in range(turns)]
    ours.end(), theirs.end()
    size = sum(len(text.encode()) for text in batch)
    a, b = (spread(size, side) for side in zip(*times))
    return {"megabytes": round(size / 1e6, 2), "texts": len(batch), "ids": sum(line.count(",") + 1 for line in ids),
            "ours": a, "tokenizers": b, "ratio": round(a["median"] / b["median"], 2),
            "load_seconds": {"ours": round(ours.load_seconds, 3), "tokenizers": round(theirs.load_seconds, 3)}}


def machine():
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    load = os.getloadavg()[0]
    return {"processor": model, "cores": os.cpu_count(), "system": platform.platform(terse=True),
            "load_at_start": round(load, 2), "loaded": load > 0.5}


def main():
    if sys.argv[1:2] == ["--serve"]:
        return serve_library(*sys.argv[2:])
    import tokenizers

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True)
    parser.add_argument("--out", type=pathlib.Path)
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("directories", nargs="*", default=[])
    arguments = parser.parse_args()
    record = {"machine": machine(), "tokenizers_version": tokenizers.__version__, "turns": arguments.turns, "cases": []}
    with tempfile.TemporaryDirectory() as work:
        for directory in [str(ROOT / "examples/tiny-llama"), *arguments.directories]:
            for kind, batch in texts().items():
                for threads in (1, 2):
                    case = {"tokenizer": pathlib.Path(directory).name, "texts_of": kind, "threads": threads}
                    case |= compare(arguments.bin, directory + "/tokenizer.json", batch, threads, arguments.turns,
                                    pathlib.Path(work))
                    record["cases"].append(case)
                    print(json.dumps(case), flush=True)
    record["machine"]["load_at_end"] = round(os.getloadavg()[0], 2)
    if arguments.out:
        arguments.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
