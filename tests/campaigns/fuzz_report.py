"""Results of a fuzzing campaign as JSON, from what libFuzzer printed.

result NAME DIRECTORY SECONDS STATUS: DIRECTORY/log and DIRECTORY/findings -> DIRECTORY/result.json
summary WORK FILE: all result.json under WORK -> FILE; exit code 1 when one of them has findings
"""
import json
import pathlib
import re
import subprocess
import sys


def last(pattern, text):
    found = re.findall(pattern, text, re.MULTILINE)
    return int(found[-1]) if found else 0


def result(name, directory, seconds, status):
    here = pathlib.Path(directory)
    log = here.joinpath("log").read_text(errors="replace")
    fuzzing = log.split("MERGE-OUTER", 1)[0]  # the merge counts anew
    commit = subprocess.run(["git", "describe", "--always", "--dirty", "--exclude=*"], capture_output=True, text=True).stdout.strip()
    clang = subprocess.run(["clang++", "--version"], capture_output=True, text=True).stdout.splitlines()[0]
    findings = sorted(file.name for file in here.joinpath("findings").iterdir())
    if int(status) and not findings:
        findings = [f"the fuzzer ended with exit code {status}, see its log"]
    summary = {
        "target": name,
        "seconds": int(seconds),
        "executions": last(r"^stat::number_of_executed_units:\s+(\d+)", fuzzing) or last(r"^#(\d+)\s", fuzzing),
        "covered_edges": last(r"\bcov: (\d+)", fuzzing),
        "features": last(r"\bft: (\d+)", fuzzing),
        "findings": findings,
        "commit": commit,
        "compiler": clang,
    }
    here.joinpath("result.json").write_text(json.dumps(summary, indent=2) + "\n")
    print(f"campaign fuzz: {name}: {summary['executions']} executions, {summary['covered_edges']} edges, "
          f"{len(findings)} findings")


def summary(work, file):
    results = [json.loads(path.read_text()) for path in sorted(pathlib.Path(work).glob("*/result.json"))]
    for one in results:
        one["corpus_files"] = sum(1 for _ in pathlib.Path("tests/fuzz/corpus", one["target"]).iterdir())
    pathlib.Path(file).write_text(json.dumps({"schema": "ftlaunch.fuzz_campaign/1", "targets": results}, indent=2) + "\n")
    found = [f"{one['target']}: {finding}" for one in results for finding in one["findings"]]
    for line in found:
        print("campaign fuzz: FOUND " + line)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    {"result": result, "summary": summary}[sys.argv[1]](*sys.argv[2:])
