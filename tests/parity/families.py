"""What is compared: for each family a tiny model, and a published size; and the weights and batches both sides get."""
import numpy as np

IGNORED = -100


def family(kind, preset, tiny, real_preset, real, causal, pad_id, mask_id=0, changes=None, rows=5):
    """tiny and real: sizes for the reference. Strand gets `preset` with tiny and changes on top, or real_preset alone
    (with changes): all else must come out of its presets."""
    return dict(kind=kind, preset=preset, tiny=tiny, real_preset=real_preset, real=real, causal=causal, pad_id=pad_id,
                mask_id=mask_id, changes=changes or {}, rows=rows)


def sizes(layers, hidden, heads, mlp_hidden, vocabulary, max_sequence, **more):
    return dict(layers=layers, hidden=hidden, heads=heads, mlp_hidden=mlp_hidden, vocabulary=vocabulary,
                max_sequence=max_sequence, **more)


FAMILIES = {
    "opt-125m": family("opt", "opt-125m", sizes(3, 48, 4, 80, 71, 40), "opt-125m",
                       sizes(12, 768, 12, 3072, 50272, 2048), True, 1),
    "opt-350m": family("opt", "opt-350m", sizes(3, 48, 4, 80, 71, 40, embedding_width=20), "opt-350m",
                       sizes(24, 1024, 16, 4096, 50272, 2048, embedding_width=512), True, 1),
    "nt-v1": family("nt-v1", "nt-v1-500m", sizes(3, 48, 4, 80, 71, 40), "nt-v1-500m",
                    sizes(24, 1280, 20, 5120, 4105, 1000), False, 1, 2),
    "nt-v2": family("nt-v2", "nt-v2-500m", sizes(3, 48, 4, 80, 71, 40), "nt-v2-50m",
                    sizes(12, 512, 16, 2048, 4107, 2048), False, 1, 2),
    "dnabert-2": family("dnabert-2", "dnabert-2-117m", sizes(3, 48, 6, 80, 71, 40), "dnabert-2-117m",
                        sizes(12, 768, 12, 3072, 4096, 512), False, 3, 4),
    "dna-fm": family("dna-fm", "dna-fm-7b", sizes(3, 272, 2, 84, 16, 40), "dna-fm-300m",
                     sizes(24, 1024, 16, 2688, 16, 4000), False, 0, 1),
    "omni-dna-rms": family("llama", "omni-dna-300m", sizes(3, 48, 3, 80, 71, 40), "omni-dna-116m",
                           sizes(12, 768, 16, 3072, 4096, 250), True, 3),
    "omni-dna-layer": family("olmo", "omni-dna-1b", sizes(3, 48, 3, 80, 71, 40), "omni-dna-116m",
                             sizes(12, 768, 16, 3072, 4096, 250), True, 3, changes={"norm": "layer-no-affine"}),
    "omni-dna-untied": family("llama", "omni-dna-20m", sizes(3, 48, 3, 80, 71, 40), "omni-dna-20m",
                              sizes(8, 256, 8, 1024, 4096, 250), True, 3, changes={"tied": False}),
    # More rows than the output matrix takes at a time.
    "large-vocabulary": family("llama", "omni-dna-20m", sizes(1, 48, 3, 80, 40000, 40), None, None, True, 3, rows=9),
}

# Added to or taken from the biases before the ReLUs of a real size: four deviations, so that no unit is at the kink.
# Tiny models keep theirs.
AWAY = 2.5

DEFAULTS = dict(norm_placement="pre", tied=True, embedding_width=0)


class Case:
    """One configuration of one family, with its weights and batches."""

    def __init__(self, name, real, segment, steps, rows=None, seed=0, kinks=False):
        f = FAMILIES[name]
        self.name, self.family, self.real = name, f, real
        self.away = 0 if kinks or not real or f["kind"] != "opt" else AWAY
        self.rows, self.segment, self.steps = rows or f["rows"], segment, steps
        shape = f["real"] if real else f["tiny"]
        self.config = {**DEFAULTS, **shape, **f["changes"], "pad_id": f["pad_id"], "mask_id": f["mask_id"]}
        if name == "opt-350m":
            self.config["norm_placement"] = "post"
        # A published size comes from the preset alone.
        changes = dict(f["changes"]) if real else {**shape, **f["changes"]}
        self.job = {"model.preset": f["real_preset"] if real else f["preset"],
                    **{"model." + key: value for key, value in changes.items()},
                    "model.dropout": 0, "model.embedding_dropout": 0,
                    "train.learning_rate": 1e-4, "train.weight_decay": 0.1, "train.clip": 1.0, "train.epsilon": 1e-8,
                    "train.beta1": 0.9, "train.beta2": 0.95}
        # Weights of real sizes have the deviation of a fresh model; tiny ones are large, so that every tensor matters.
        wide = self.config["hidden"] > 200  # as large sums as those of the narrow ones
        self.scale = 2.0 ** -5 if real else 2.0 ** -3 if wide else 2.0 ** -2
        shape = (max(steps, 1), self.rows, segment)
        self.ids, self.targets, self.lengths = batches(self.config, f["causal"], shape, seed)

    def mask(self, step=0):
        return (np.arange(self.segment)[None, :] < self.lengths[step][:, None]).astype(np.int64)

    def weights(self, name, shape):
        values = formula(name, shape, self.scale)
        if name.endswith("mlp.up.bias"):
            values += np.copysign(np.float32(self.away), values)
        return values


def batches(c, causal, shape, seed):
    """ids and targets [steps, rows, segment], lengths [steps, rows]; the first row is full, the others are padded.
    Masked models predict a fifth of the tokens: 80 % become [MASK], 10 % another token, 10 % stay."""
    rng = np.random.default_rng(20260103 + seed)
    ordinary = np.setdiff1d(np.arange(c["vocabulary"]), [c["pad_id"], c["mask_id"]])
    steps, rows, segment = shape
    ids, other = rng.choice(ordinary, shape), rng.choice(ordinary, shape)
    lengths = rng.integers(2, segment + 1, (steps, rows))
    lengths[:, 0] = segment
    real = np.arange(segment) < lengths[..., None]
    targets = np.full(shape, IGNORED)
    if causal:
        targets[..., :-1] = np.where(real[..., 1:], ids[..., 1:], IGNORED)
    else:
        chosen = (rng.random(shape) < 0.2) & real
        chosen[..., 1] = True
        how = rng.random(shape)
        targets[chosen] = ids[chosen]
        ids = np.where(chosen & (how < 0.8), c["mask_id"], np.where(chosen & (how < 0.9), other, ids))
    ids[~real] = c["pad_id"]
    return ids.astype(np.int32), targets.astype(np.int32), lengths.astype(np.int32)


def formula(name, shape, scale):
    """Numbers of a tensor, from its name and their place alone: element i is centre + scale (2 u - 1), rounded to fp32,
    where u is the top 24 bits of SplitMix64's finaliser of (FNV-1a of the name + (i + 1) 0x9e3779b97f4a7c15), as a
    fraction, and centre is 1 for the weights of norms, else 0. tests/unit/worker/golden_families_test.cpp does the
    same."""
    seed = 0xcbf29ce484222325
    for byte in name.encode():
        seed = (seed ^ byte) * 0x100000001b3 % 2**64
    centre = 1.0 if name.endswith("norm.weight") else 0.0
    count, piece = int(np.prod(shape)), 1 << 22
    values = np.empty(count, np.float32)
    with np.errstate(over="ignore"):
        for first in range(0, count, piece):
            last = min(first + piece, count)
            z = np.arange(first + 1, last + 1, dtype=np.uint64) * np.uint64(0x9e3779b97f4a7c15) + np.uint64(seed)
            z = (z ^ (z >> np.uint64(30))) * np.uint64(0xbf58476d1ce4e5b9)
            z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94d049bb133111eb)
            z ^= z >> np.uint64(31)
            u = (z >> np.uint64(40)).astype(np.float64) * 2.0**-24
            values[first:last] = centre + scale * (2 * u - 1)
    return values.reshape(shape)
