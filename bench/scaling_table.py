#!/usr/bin/env python3
"""The tables of docs/scaling.md: step time of DNA FM 7B from parts. Every constant is there, with where it comes from."""

PARAMETERS = 7_285_036_304  # strand job check, preset dna-fm-7b
FLOPS_PER_TOKEN = 50_382_790_656  # the same: forward and backward, attention at 4,000 tokens counted
ROWS, SEGMENT, MICRO_BATCH, HIDDEN, LAYERS = 1024, 4000, 2, 4352, 32
COMPUTE = 0.46 * 989e12  # FLOP/s of one H100: published share for 7B models in bf16 on one node, times the data sheet's
MEMORY = 3.35e12  # bytes/s, data sheet
NVLINK = 450e9  # bytes/s in each direction, data sheet
INFINIBAND = 50e9  # bytes/s in each direction: NDR, one 400 Gb/s adapter a GPU
WIRE = 0.8  # share of a link's speed that large frames reach: assumed
EXCHANGE = 28e-6  # seconds for a control message and its acknowledgement, many on the way: build/release/hub_bench
ROUND_TRIP = 93e-6  # seconds there and back, one on the way: the same


def forward(stages):
    """F: seconds of one micro batch's forward at one stage."""
    return MICRO_BATCH * SEGMENT * FLOPS_PER_TOKEN / 3 / stages / COMPUTE


def link_speed(workers):
    return WIRE * (INFINIBAND if workers > 8 else NVLINK)


def update_and_pull(stages, replicas):
    """Seconds of the update of what a worker holds, and of pulling what it does not."""
    own = PARAMETERS / stages
    copies = 2 if replicas > 1 else 1
    update = copies * 30 * own / replicas / MEMORY
    return update, own * max(0, replicas - 2) / replicas * 4 / link_speed(stages * replicas)


def not_hidden(stages, replicas):
    """Seconds that the first stage's first forward waits for weights: all of the first of its n blocks; of the others,
    which come one after the other while blocks before them compute, what takes longer than that."""
    update, pull = update_and_pull(stages, replicas)
    n = LAYERS / stages
    return (update + pull) / n + (n - 1) / n * max(0.0, max(update, pull) - forward(stages))


def parts(stages, replicas, piece_bytes=4):
    """Seconds of one step by part, schedule zb-h1 with F = B = W."""
    workers = stages * replicas
    micro_batches = ROWS // MICRO_BATCH // replicas
    unit = forward(stages)
    frame = 4 * MICRO_BATCH * SEGMENT * HIDDEN
    own = PARAMETERS / stages
    link = link_speed(workers)
    push = own * (replicas - 1) / replicas * piece_bytes / link
    backup = own / replicas * 4 / link if replicas > 1 else 0
    return {
        "compute": micro_batches * 3 * unit,
        "bubble": (stages - 1) * unit,
        "links of stages": 2 * (stages - 1) * frame / (WIRE * NVLINK),
        "push": max(0.0, push + backup - 2 * unit),
        "norm": ROUND_TRIP + 2 * (workers - 1) * EXCHANGE,
        "weights": not_hidden(stages, replicas),
    }


def memory_bytes(stages, replicas):
    """Of one worker, without activations: weights fp32 and bf16, gradients of a lane and their sum, moments held."""
    own = PARAMETERS / stages
    return own * (4 + 2 + 4 + 4) + own * min(1.0, 2 / replicas) * 8


def bytes_per_step(stages, replicas, piece_bytes=4):
    """Sent by one worker, of a middle stage: pieces, sums, weights; activations and their gradients."""
    own = PARAMETERS / stages
    shards = own * ((replicas - 1) * piece_bytes + 4 * (replicas > 1) + 4 * max(0, replicas - 2)) / replicas
    frames = ROWS // MICRO_BATCH // replicas * (2 if stages > 2 else 1 if stages > 1 else 0)
    return shards, frames * 4 * MICRO_BATCH * SEGMENT * HIDDEN


def main():
    names = list(parts(8, 1))
    print("| H100s | stages x replicas | GB/worker | " + " | ".join(names) + " | step s | tokens/s | of linear |")
    print("| --- " * (6 + len(names)) + "|")
    base = sum(parts(8, 1).values()) * 8
    for workers in (8, 16, 32, 64, 128, 256):
        for stages in (8, 4, 2):
            replicas = workers // stages
            if memory_bytes(stages, replicas) > 60e9 or ROWS // MICRO_BATCH // replicas < stages:
                continue
            p = parts(stages, replicas)
            step = sum(p.values())
            cells = [f"{p[n]:.3f}" for n in names]
            print(f"| {workers} | {stages} x {replicas} | {memory_bytes(stages, replicas) / 1e9:.0f} | " + " | ".join(cells)
                  + f" | {step:.2f} | {ROWS * SEGMENT / step:,.0f} | {100 * base / workers / step:.0f}% |")
    print()
    print("| H100s | stages x replicas | shards sent, GB a worker and step | activations sent, GB | control messages | "
          "update s | pull s | of both not hidden s |")
    print("| --- " * 8 + "|")
    for workers in (8, 16, 32, 64, 128, 256):
        replicas = workers // 8
        shards, frames = bytes_per_step(8, replicas)
        update, pull = update_and_pull(8, replicas)
        print(f"| {workers} | 8 x {replicas} | {shards / 1e9:.2f} | {frames / 1e9:.2f} | {2 * workers} | "
              f"{update:.3f} | {pull:.3f} | {not_hidden(8, replicas):.3f} |")


if __name__ == "__main__":
    main()
