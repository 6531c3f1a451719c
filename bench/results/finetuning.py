#!/usr/bin/env python3
"""Full finetuning on published tasks: from a model pretrained here, from random weights, and a k-mer baseline.

    tests/parity/setup                                        # scikit-learn, for the baseline
    build/parity-venv/bin/python bench/results/finetuning.py --data ../shared/data --out runs/results [--size small]

Pretrains once (bench/results/pretrain.toml on human chrX out of Debian's smalt-examples), then finetunes every task from
the pretrained and from random weights, a seed or fold after the other; a run that is there already is not repeated, so
that the script can be stopped and started again. Prints a table for docs/results.md.
"""
import argparse
import concurrent.futures
import csv
import gzip
import json
import lzma
import os
import pathlib
import statistics
import subprocess
import sys
import tomllib

HERE = pathlib.Path(__file__).resolve().parent
TASKS = {"prom_300_tata": "prom/prom_300_tata", "tf_0": "tf/0"}  # their folders in the GUE benchmark
SIZES = {  # what is set beside pretrain.toml's [model], and the passes over each task's rows
    "base": ({}, {"prom_300_tata": 6, "tf_0": 2, "splice": 8}),
    "small": ({"layers": 4, "hidden": 128, "heads": 4, "mlp_hidden": 352},
              {"prom_300_tata": 4, "tf_0": 1, "splice": 6}),
}
LEARNING_RATE = {"pretrained": 5e-4, "random": 1e-3}
ROWS_A_STEP = 32


def run(command, **more):
    print("+", " ".join(map(str, command)), file=sys.stderr, flush=True)
    return subprocess.run([str(c) for c in command], check=True, **more)


def strand_run(args, job, directory, sets=(), at_once=1):
    """Runs a job, or goes on with it, while others run beside it; its result."""
    result = directory / "result.json"
    if not result.exists():
        resume = ["--resume"] if (directory / "job.toml").exists() else []
        command = [args.strand, "run", job, "--dir", directory, "--json",
                   "--threads", max(1, os.cpu_count() // at_once), *resume]
        for key in sets:
            command += ["--set", key]
        text = run(command, stdout=subprocess.PIPE, text=True).stdout
        (directory / "table.json").write_text(text)
    return json.loads((directory / "table.json").read_text())


def pretrained(args):
    genome = args.out / "hs37chrXtrunc.fa.gz"
    if not genome.exists():
        fetched = run([HERE.parent / "peers/data", "human"], stdout=subprocess.PIPE, text=True).stdout.strip()
        args.out.mkdir(parents=True, exist_ok=True)
        genome.symlink_to(fetched)
    job = args.out / "pretrain.toml"
    job.write_text((HERE / "pretrain.toml").read_text())
    steps = args.pretrain_steps
    sets = [f"model.{key}={value}" for key, value in SIZES[args.size][0].items()]
    sets += [f"train.steps={steps}", f"train.warmup={steps // 10}"] if steps else []
    result = strand_run(args, job, args.out / "pretrained", sets)
    print(f"pretrained: {result['tokens']:,} masked tokens, held-out loss {result['eval_loss']:.4f} nats", flush=True)
    return args.out / "pretrained"


def unpack(source, target):
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(lzma.decompress(source.read_bytes()))
    return target


def tables(args):
    """Of each task: its rows by split, and how [[task]] reads them."""
    found, passes = {}, SIZES[args.size][1]
    for name, folder in TASKS.items():
        files = {s: unpack(args.data / "gue" / folder / f"{s}.csv.xz", args.out / "tables" / name / f"{s}.csv")
                 for s in ("train", "dev", "test")}
        task = [f'{split} = "{file.resolve()}"' for split, file in files.items()] + ["classes = 2"]
        found[name] = {"files": files, "task": task, "passes": passes[name], "parts": range(args.seeds), "what": "seed"}
    splice = HERE.parent.parent / "examples/splice/primate-splice.csv.gz"
    task = [f'train = "{splice}"', 'classes = ["EI", "IE", "N"]', "folds = 10"]
    found["splice"] = {"files": {"all": splice}, "task": task, "passes": passes["splice"], "parts": range(args.folds),
                       "what": "fold"}
    return {name: found[name] for name in args.tasks}


def rows_of(file):
    opened = gzip.open(file, "rt") if file.suffix == ".gz" else open(file)
    with opened as lines:
        return [(row["sequence"], row["label"]) for row in csv.DictReader(lines)]


def job_text(size, name, table, start, init, part, steps):
    model = tomllib.loads((HERE / "pretrain.toml").read_text())["model"] | SIZES[size][0]
    lines = ["[job]", f'name = "{name}"', 'kind = "finetune"', "[model]"]
    lines += [f"{key} = {json.dumps(value)}" for key, value in model.items()]
    lines += [f'init = "{init}"', "[tokenizer]", 'kind = "nucleotide"', "[[task]]", f'name = "{name}"', 'kind = "classify"']
    lines += table["task"] + ['pooling = "mean"', "head_dropout = 0.1"]
    lines += [f"fold = {part}"] if table["what"] == "fold" else []
    seed = 1 if table["what"] == "fold" else part + 1
    lines += ["[train]", f"steps = {steps}", "lanes = 4", "micro_batch = 8", 'precision = "bf16"', f"seed = {seed}",
              f"learning_rate = {LEARNING_RATE[start]}", 'schedule = "linear"', "final_fraction = 0.0",
              f"warmup = {steps // 10}", "weight_decay = 0.05", "[checkpoint]", "every = 0", "keep = 1",
              "[evaluate]", "every = 0"]
    return "\n".join(lines) + "\n"


def finetuning(args, name, table, start, init, part):
    """One run of a task; its test MCC and accuracy."""
    rows = len(rows_of(table["files"].get("train", next(iter(table["files"].values())))))
    if table["what"] == "fold":
        rows = rows * 8 // 10
    (args.out / name).mkdir(parents=True, exist_ok=True)
    job = args.out / name / f"{start}-{part}.toml"
    steps = args.steps or table["passes"] * rows // ROWS_A_STEP
    job.write_text(job_text(args.size, name, table, start, init, part, steps))
    test = strand_run(args, job, args.out / name / f"{start}-{part}", at_once=args.jobs)["test"]
    return test["mcc"], test["accuracy"]


def baseline(table, part):
    """Logistic regression on counts of k-mers, k and strength chosen on dev: MCC and accuracy on test."""
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import accuracy_score, matthews_corrcoef
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MaxAbsScaler
    if table["what"] == "fold":
        from sklearn.model_selection import StratifiedKFold
        rows = rows_of(next(iter(table["files"].values())))
        folds = [f for _, f in StratifiedKFold(10, shuffle=True, random_state=1).split(rows, [r[1] for r in rows])]
        pick = lambda numbers: [rows[i] for n in numbers for i in folds[n % 10]]
        train, dev, test = pick(range(part + 2, part + 10)), pick([part + 1]), pick([part])
    else:
        train, dev, test = (rows_of(table["files"][s]) for s in ("train", "dev", "test"))
    best = None
    for k in (3, 4, 5, 6):
        for strength in (0.1, 1.0):
            counts = CountVectorizer(analyzer="char", ngram_range=(1, k), lowercase=False)
            model = make_pipeline(counts, MaxAbsScaler(), LogisticRegression(C=strength, max_iter=1000))
            model.fit([r[0] for r in train], [r[1] for r in train])
            score = matthews_corrcoef([r[1] for r in dev], model.predict([r[0] for r in dev]))
            if best is None or score > best[0]:
                best = (score, model)
    predicted, truth = best[1].predict([r[0] for r in test]), [r[1] for r in test]
    return matthews_corrcoef(truth, predicted), accuracy_score(truth, predicted)


def counted(number, what):
    return f"{number} {what}" + ("s" if number != 1 else "")


def shown(scores):
    mcc, accuracy = zip(*scores)
    spread = lambda v: f"{statistics.mean(v):.3f}" + (f" ± {statistics.stdev(v):.3f}" if len(v) > 1 else "")
    return f"{spread(mcc)} | {spread(accuracy)}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--strand", default="build/release/strand", type=pathlib.Path)
    parser.add_argument("--data", default=pathlib.Path("../shared/data"), type=pathlib.Path)
    parser.add_argument("--out", default=pathlib.Path("runs/results"), type=pathlib.Path)
    parser.add_argument("--size", default="base", choices=[*SIZES], help="of the model; small: a quarter of the time")
    parser.add_argument("--tasks", nargs="+", default=[*TASKS, "splice"], choices=[*TASKS, "splice"])
    parser.add_argument("--seeds", type=int, default=3, help="runs of a task with published splits")
    parser.add_argument("--folds", type=int, default=10, help="of the ten of splice, how many")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="finetunings at once; they share the cores")
    parser.add_argument("--steps", type=int, default=0, help="of every finetuning, to try the script out")
    parser.add_argument("--pretrain-steps", type=int, default=0, help="instead of pretrain.toml's")
    args = parser.parse_args()
    args.out = args.out.resolve() / args.size
    init = {"pretrained": pretrained(args), "random": "random"}
    found = tables(args)
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        runs = {(name, start): [pool.submit(finetuning, args, name, table, start, where, part) for part in table["parts"]]
                for name, table in found.items() for start, where in init.items()}
        print("| task | from | runs | test MCC | test accuracy |\n| --- | --- | --- | --- | --- |")
        for (name, start), of in runs.items():
            scores = [one.result() for one in of]
            print(f"| {name} | {start} weights | {counted(len(scores), found[name]['what'])} | {shown(scores)} |", flush=True)
    for name, table in found.items():
        parts = table["parts"] if table["what"] == "fold" else range(1)
        scores = [baseline(table, part) for part in parts]
        print(f"| {name} | k-mer logistic regression | {len(scores)} | {shown(scores)} |", flush=True)


if __name__ == "__main__":
    main()
