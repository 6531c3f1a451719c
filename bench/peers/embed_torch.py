"""Embedding speed beside PyTorch: the same weights, ids, precision and threads, in one run, taking turns.

    tests/parity/setup
    ninja -C build/release embed_bench
    build/parity-venv/bin/python bench/peers/embed_torch.py [--sequences N] [--tokens N] [--rounds N] [--dtype f32|bf16]
                                                            [--threads N] [--batch N] [--preset NAME]
                                                            [--torch-share S]

A sequence of 1 kb is about 200 tokens of a vocabulary of 4096 (the default), or 1000 nucleotides. Each round gives both
sides the same share of the sequences, Strand first in even rounds. PyTorch takes batches of --batch rows. The vectors
are compared, so that both sides have computed the same. With --torch-share 0.2 PyTorch, which takes longer, embeds only
the first fifth of every round's sequences: enough for its speed. The last line is JSON.
"""
import argparse
import json
import os
import subprocess
import tempfile
import time

import numpy as np
import torch
from transformers import AutoModel

BENCH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "build", "release", "embed_bench")


def strand(args, folder, first, count):
    made = subprocess.run([BENCH, "run", folder, "--tokens", str(args.tokens), "--first", str(first), "--sequences",
                           str(count), "--dtype", args.dtype, "--threads", str(args.threads)],
                          check=True, capture_output=True, text=True)
    vectors = np.fromfile(os.path.join(folder, "vectors.f32"), np.float32).reshape(count, -1)
    return json.loads(made.stdout)["seconds"], vectors


def peer(model, ids, batch):
    vectors = []
    with torch.inference_mode():
        model(input_ids=ids[:1])  # warm
        begun = time.perf_counter()
        for first in range(0, len(ids), batch):
            hidden = model(input_ids=ids[first:first + batch], use_cache=False).last_hidden_state
            vectors.append(hidden.float().mean(1))
        seconds = time.perf_counter() - begun
    return seconds, torch.cat(vectors).numpy()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sequences", type=int, default=10000)
    parser.add_argument("--tokens", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--dtype", choices=["f32", "bf16"], default="f32")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--preset", default="omni-dna-116m")
    parser.add_argument("--torch-share", type=float, default=1.0)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    share = args.sequences // args.rounds
    if share == 0:
        parser.error("--sequences: expected at least as many as --rounds")
    theirs_share = max(1, round(share * args.torch_share))
    seconds, speeds, worst = {"strand": 0.0, "torch": 0.0}, [], 0.0
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([BENCH, "make", folder, "--preset", args.preset, "--tokens", str(args.tokens), "--sequences",
                        str(share * args.rounds)], check=True)
        model = AutoModel.from_pretrained(
            folder, torch_dtype=torch.bfloat16 if args.dtype == "bf16" else torch.float32).eval()
        ids = torch.from_numpy(np.fromfile(os.path.join(folder, "ids.i32"), np.int32).astype(np.int64))
        ids = ids.reshape(-1, args.tokens)
        for number in range(args.rounds):
            first, results = number * share, {}
            sides = {"strand": lambda: strand(args, folder, first, share),
                     "torch": lambda: peer(model, ids[first:first + theirs_share], args.batch)}
            for side in (sorted(sides) if number % 2 == 0 else sorted(sides, reverse=True)):
                results[side] = sides[side]()
                seconds[side] += results[side][0]
            ours, theirs = results["strand"][1], results["torch"][1]
            worst = max(worst, float(np.abs(ours[:theirs_share] - theirs).max() / np.abs(theirs).max()))
            rates = {"strand": share / results["strand"][0], "torch": theirs_share / results["torch"][0]}
            speeds.append(rates["strand"] / rates["torch"])
            print("round %d: strand %.2f, torch %.2f sequences/s" % (number + 1, rates["strand"], rates["torch"]),
                  flush=True)
    done, theirs_done = share * args.rounds, theirs_share * args.rounds
    print(json.dumps({"preset": args.preset, "sequences": done, "tokens": args.tokens, "dtype": args.dtype,
                      "threads": args.threads, "torch": torch.__version__, "batch": args.batch,
                      "strand_sequences_per_second": done / seconds["strand"],
                      "torch_sequences": theirs_done,
                      "torch_sequences_per_second": theirs_done / seconds["torch"],
                      "strand_over_torch_quartiles": [float(q) for q in np.quantile(speeds, [0.25, 0.5, 0.75])],
                      "largest_relative_difference": worst}))


if __name__ == "__main__":
    main()
