#!/usr/bin/env python3
"""Strand against PyTorch: logits, loss, gradients, AdamW and 20 training steps of the OLMo decoder and its variants.

    python3 tests/parity/omni_dna_parity.py build/release/tests/parity_dump

Makes a virtual environment with torch when this Python has none. Ends with exit 0 when every bar is met.
The forward is written from OLMo's model.py (pre-norm, split-half RoPE, SwiGLU with the linear half first).
"""
import os
import subprocess
import sys
import tempfile

VENV = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "build", "parity-venv")
try:
    import numpy as np
    import torch
except ImportError:
    python = os.path.join(VENV, "bin", "python3")
    if os.path.realpath(sys.prefix) == os.path.realpath(VENV):
        sys.exit("torch cannot be imported from " + VENV + "; remove that folder and try again")
    if not os.path.exists(python):
        subprocess.check_call([sys.executable, "-m", "venv", VENV])
        subprocess.check_call([python, "-m", "pip", "install", "--quiet", "torch", "numpy"])
    os.execv(python, [python] + sys.argv)

NORMS, POSITIONS, MLPS = ["layer", "none", "rms"], ["rope", "learned", "none"], ["swiglu", "gelu", "relu"]


def config(**changes):
    c = dict(layers=3, hidden=48, heads=3, mlp_hidden=96, vocabulary=70, max_sequence=37, norm="rms", positions="rope",
             mlp="swiglu", tied=True, bias=False, rows=5, segment=37, steps=20, norm_eps=1e-5, rope_theta=1e4,
             learning_rate=1e-4, weight_decay=0.1, clip=1.0, epsilon=1e-8)
    c.update(changes)
    return c


CASES = {
    "rms tied (300M)": config(),
    "rms untied": config(tied=False),
    "layer norm without affine (1B)": config(norm="none"),
    "head size 48, one row": config(hidden=96, heads=2, rows=1),
    "vocabulary 16": config(vocabulary=16, segment=31),
    "layer norm, biases, learned, gelu": config(norm="layer", bias=True, positions="learned", mlp="gelu"),
    "layer norm, biases, no positions, relu, untied": config(norm="layer", bias=True, positions="none", mlp="relu", tied=False),
    "large vocabulary (chunked head)": config(vocabulary=40000, rows=9, layers=1, steps=3),
}


def table(c):
    """Strand's parameter table: (name, shape, decayed)."""
    d, m, out = c["hidden"], c["mlp_hidden"], []
    up = 2 * m if c["mlp"] == "swiglu" else m

    def norm(name):
        if c["norm"] != "none":
            out.append((name + ".weight", (d,), False))
        if c["norm"] == "layer":
            out.append((name + ".bias", (d,), False))

    def linear(name, rows, cols):
        out.append((name + ".weight", (rows, cols), True))
        if c["bias"]:
            out.append((name + ".bias", (rows,), False))

    out.append(("embedding.weight", (c["vocabulary"], d), True))
    if c["positions"] == "learned":
        out.append(("position.weight", (c["max_sequence"], d), True))
    for n in range(c["layers"]):
        p = "blocks.%d." % n
        norm(p + "attention_norm")
        linear(p + "attention.qkv", 3 * d, d)
        linear(p + "attention.out", d, d)
        norm(p + "mlp_norm")
        linear(p + "mlp.up", up, d)
        linear(p + "mlp.down", d, m)
    norm("final_norm")
    if not c["tied"]:
        out.append(("head.weight", (c["vocabulary"], d), True))
    return out


def initial_weights(c, rng):
    w = {}
    for name, shape, _ in table(c):
        centre = 1.0 if name.endswith("norm.weight") else 0.0
        w[name] = (centre + 0.1 * rng.standard_normal(shape)).astype(np.float32)
    return w


def forward(c, w, ids):
    F, d, heads = torch.nn.functional, c["hidden"], c["heads"]
    batch, length = ids.shape
    size = d // heads

    def norm(name, x):
        if c["norm"] == "rms":
            return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + c["norm_eps"]) * w[name + ".weight"]
        return F.layer_norm(x, (d,), w.get(name + ".weight"), w.get(name + ".bias"), c["norm_eps"])

    def linear(name, x):
        return F.linear(x, w[name + ".weight"], w.get(name + ".bias"))

    def rope(x):  # [batch, heads, length, size]
        if c["positions"] != "rope":
            return x
        inverse = c["rope_theta"] ** (-torch.arange(0, size, 2, dtype=torch.float64) / size)
        angle = torch.outer(torch.arange(length, dtype=torch.float64), inverse)
        angle = torch.cat([angle, angle], -1)
        a, b = x.chunk(2, -1)
        return x * angle.cos().to(x.dtype) + torch.cat([-b, a], -1) * angle.sin().to(x.dtype)

    x = w["embedding.weight"][ids]
    if c["positions"] == "learned":
        x = x + w["position.weight"][:length]
    mask = torch.full((length, length), float("-inf"), dtype=x.dtype).triu(1)
    for n in range(c["layers"]):
        p = "blocks.%d." % n
        q, k, v = linear(p + "attention.qkv", norm(p + "attention_norm", x)).split(d, -1)
        q, k, v = (t.view(batch, length, heads, size).transpose(1, 2) for t in (q, k, v))
        score = rope(q) @ rope(k).transpose(-1, -2) / size ** 0.5 + mask
        o = (score.softmax(-1) @ v).transpose(1, 2).reshape(batch, length, d)
        x = x + linear(p + "attention.out", o)
        u = linear(p + "mlp.up", norm(p + "mlp_norm", x))
        if c["mlp"] == "swiglu":
            a, gate = u.chunk(2, -1)
            u = F.silu(gate) * a
        else:
            u = F.gelu(u) if c["mlp"] == "gelu" else F.relu(u)
        x = x + linear(p + "mlp.down", u)
    return norm("final_norm", x) @ w["embedding.weight" if c["tied"] else "head.weight"].T


class Peer:
    """The same model and optimizer in PyTorch, in fp32 or fp64."""

    def __init__(self, c, weights, dtype):
        self.c = c
        self.w = {k: torch.tensor(v, dtype=dtype, requires_grad=True) for k, v in weights.items()}
        decayed = [self.w[n] for n, _, d in table(c) if d]
        plain = [self.w[n] for n, _, d in table(c) if not d]
        groups = [dict(params=decayed, weight_decay=c["weight_decay"])]
        if plain:
            groups.append(dict(params=plain, weight_decay=0.0))
        self.optimizer = torch.optim.AdamW(groups, lr=c["learning_rate"], betas=(0.9, 0.95), eps=c["epsilon"])

    def loss(self, tokens, lengths):
        """Logits, summed loss and number of targets; leaves the gradients of the sum in the weights."""
        self.optimizer.zero_grad()
        ids = torch.tensor(tokens.astype(np.int64))
        target = torch.full_like(ids, -100)
        for r, n in enumerate(lengths):
            target[r, : n - 1] = ids[r, 1:n]
        logits = forward(self.c, self.w, ids)
        loss = torch.nn.functional.cross_entropy(
            logits.reshape(-1, self.c["vocabulary"]), target.reshape(-1), ignore_index=-100, reduction="sum")
        loss.backward()
        return logits.detach(), loss.item(), int((target != -100).sum())

    def gradients(self):
        return flat(self.c, {k: v.grad.numpy() for k, v in self.w.items()})

    def step(self):
        torch.nn.utils.clip_grad_norm_(list(self.w.values()), self.c["clip"])
        self.optimizer.step()

    def train(self, tokens, lengths):
        kept = []
        for t, n in zip(tokens, lengths):
            targets = self.loss(t, n)[2]
            for v in self.w.values():
                v.grad /= targets
            kept.append(self.gradients())
            self.step()
        return kept

    def weights(self):
        return flat(self.c, {k: v.detach().numpy() for k, v in self.w.items()})


def flat(c, tensors):
    return np.concatenate([np.asarray(tensors[name], dtype=np.float64).ravel() for name, _, _ in table(c)])


def split(c, values):
    out, at = {}, 0
    for name, shape, _ in table(c):
        n = int(np.prod(shape))
        out[name] = values[at:at + n]
        at += n
    return out


def fed(c, weights, gradients):
    """AdamW alone, in fp64, on the given mean gradients."""
    peer = Peer(c, weights, torch.float64)
    for g in gradients:
        for (name, shape, _), part in zip(table(c), split(c, g).values()):
            peer.w[name].grad = torch.tensor(part.reshape(shape))
        peer.step()
    return peer.weights()


def strand(program, c, weights, tokens, lengths, gradients):
    with tempfile.TemporaryDirectory() as folder:
        source, result = os.path.join(folder, "in"), os.path.join(folder, "out")
        with open(source, "wb") as f:
            integers = [c[k] for k in ("layers", "hidden", "heads", "mlp_hidden", "vocabulary", "max_sequence")]
            integers += [NORMS.index(c["norm"]), POSITIONS.index(c["positions"]), MLPS.index(c["mlp"])]
            integers += [int(c["tied"]), int(c["bias"]), 0, c["rows"], c["segment"], c["steps"]]
            f.write(np.array(integers, dtype="<i8").tobytes())
            reals = [c[k] for k in ("norm_eps", "rope_theta", "learning_rate", "weight_decay", "clip", "epsilon")]
            f.write(np.array(reals, dtype="<f8").tobytes())
            f.write(flat(c, weights).astype("<f4").tobytes())
            f.write(tokens.astype("<u2").tobytes() + lengths.astype("<u2").tobytes())
            f.write(np.stack(gradients).astype("<f4").tobytes())
        subprocess.check_call([program, source, result])
        with open(result, "rb") as f:
            data = f.read()
    elements = flat(c, weights).size
    logits_size = c["rows"] * c["segment"] * c["vocabulary"]
    at = 4 * logits_size
    logits = np.frombuffer(data, "<f4", logits_size)
    loss, targets = np.frombuffer(data, "<f8", 2, at)
    arrays = np.frombuffer(data, "<f4", 3 * elements, at + 16).reshape(3, elements).astype(np.float64)
    return logits, loss, targets, arrays[0], arrays[1], arrays[2]


def gradient_error(c, mine, peer):
    """Largest error of a tensor relative to its norm; key biases, whose gradient is 0 but for rounding, to the global norm."""
    worst, total, key = (0.0, ""), np.linalg.norm(peer), 0.0
    mine, peer, d = split(c, mine), split(c, peer), c["hidden"]
    for name in mine:
        a, b = mine[name], peer[name]
        if name.endswith("qkv.bias"):
            key = max(key, np.linalg.norm(a[d:2 * d] - b[d:2 * d]) / total)
            a, b = np.delete(a, slice(d, 2 * d)), np.delete(b, slice(d, 2 * d))
        worst = max(worst, (np.linalg.norm(a - b) / np.linalg.norm(b), name))
    return worst, key


def check(program, title, c, seed):
    rng = np.random.default_rng(seed)
    weights = initial_weights(c, rng)
    tokens = rng.integers(0, c["vocabulary"], (c["steps"], c["rows"], c["segment"]))
    lengths = rng.integers(2, c["segment"] + 1, (c["steps"], c["rows"]))
    lengths[:, 0] = c["segment"]
    for step, row in np.ndindex(lengths.shape):
        tokens[step, row, lengths[step, row]:] = 0

    exact, single = Peer(c, weights, torch.float64), Peer(c, weights, torch.float32)
    logits64, loss64, targets64 = exact.loss(tokens[0], lengths[0])
    gradient64 = exact.gradients()
    gradients = exact.train(tokens, lengths)
    single.train(tokens, lengths)
    gradients32 = [g.astype(np.float32).astype(np.float64) for g in gradients]
    logits, loss, targets, gradient, trained, updated = strand(program, c, weights, tokens, lengths, gradients)

    real = np.zeros((c["rows"], c["segment"]), dtype=bool)
    for row, n in enumerate(lengths[0]):
        real[row, :n] = True
    difference = np.abs(logits.reshape(logits64.shape) - logits64.numpy())[real].max()
    (worst, name), key = gradient_error(c, gradient, gradient64)
    peer_error = np.abs(single.weights() - exact.weights()).max()
    rows = [
        ("logits, of the largest", difference / np.abs(logits64.numpy()[real]).max(), 1e-5),
        ("loss", abs(loss - loss64) / loss64, 1e-6),
        ("targets", abs(targets - targets64), 0),
        ("gradient, of the tensor's norm (%s)" % name, worst, 2e-5),
        ("key bias gradient, of the global norm", key, 1e-6),
        ("AdamW on the same gradients, of the largest weight",
         np.abs(updated - fed(c, weights, gradients32)).max() / np.abs(updated).max(), 1e-6),
        ("weights after %d steps, over PyTorch fp32's own error" % c["steps"],
         np.abs(trained - exact.weights()).max() / peer_error, 4),
    ]
    good = True
    print(title)
    for what, value, bar in rows:
        met = value <= bar
        good = good and met
        print("  %-75s %9.2e  bar %.0e  %s" % (what, value, bar, "ok" if met else "FAILED"))
    return good


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: omni_dna_parity.py PATH/OF/parity_dump")
    torch.set_num_threads(2)
    results = [check(sys.argv[1], title, c, seed) for seed, (title, c) in enumerate(CASES.items())]
    print("%d passed, %d failed" % (sum(results), len(results) - sum(results)))
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
