"""Strand against PyTorch, family by family: hidden states, logits, loss, every gradient, AdamW and 20 training steps.

    tests/parity/run [FAMILY...] [--real] [--steps N] [--dump PROGRAM]

Without a family: all. --real: published sizes instead of tiny ones, one after another. One line a comparison; ends with
exit 0 when every bar is met. --golden writes the files of tests/golden/families that ./check compares with.
"""
import argparse
import os
import sys
import tempfile
import time

import numpy as np
import torch

import golden
import references
import strand
from families import FAMILIES, IGNORED, Case

BARS = {"hidden": 1e-5, "logits": 1e-5, "published": 1e-5, "loss": 1e-6, "gradient": 1e-4, "key": 1e-6, "steps": 1e-4,
        "fed": 2e-6, "drift": 4, "bf16": 5e-3}


class Peer:
    """The reference with its optimizer; tensors go by Strand's names."""

    def __init__(self, case, tensors, exact):
        self.case, self.tensors, self.optimizer = case, tensors, None
        self.reference = references.build(case.family["kind"], case.config, exact)
        mine, theirs = {t.name for t in tensors}, set(self.reference.parts)
        if mine != theirs:
            sys.exit("%s: only Strand has %s; only the published model has %s"
                     % (case.name, sorted(mine - theirs), sorted(theirs - mine)))
        for t in tensors:
            self.reference.load(t.name, case.weights(t.name, t.shape))

    def forward(self, step=0):
        ids = torch.from_numpy(self.case.ids[step].astype(np.int64))
        return self.reference.forward(ids, torch.from_numpy(self.case.mask(step)))

    def loss(self, step=0):
        """Logits, hidden states, summed loss and number of targets; leaves the gradients of the sum."""
        self.reference.module.zero_grad(set_to_none=True)
        logits, hidden = self.forward(step)
        targets = torch.from_numpy(self.case.targets[step].astype(np.int64)).reshape(-1)
        loss = torch.nn.functional.cross_entropy(logits.reshape(targets.numel(), -1), targets, ignore_index=IGNORED,
                                                 reduction="sum")
        loss.backward()
        return logits.detach(), hidden, loss.item(), int((targets != IGNORED).sum())

    def gradients(self):
        return self.reference.gather(lambda p: torch.zeros_like(p) if p.grad is None else p.grad)

    def values(self):
        return self.reference.gather(lambda p: p.detach())

    def step(self, targets):
        """One update from the gradients of the sum; `targets` divides them."""
        used = [p for p in self.reference.parameters.values() if p.requires_grad]
        if self.optimizer is None:
            self.optimizer = adamw(self.case, *self.groups())
        for p in used:
            if p.grad is not None:
                p.grad /= targets
        torch.nn.utils.clip_grad_norm_(used, self.case.job["train.clip"])
        self.optimizer.step()

    def groups(self):
        decayed = {p.name for t in self.tensors if t.decayed for p in self.reference.parts[t.name]}
        used = {n: p for n, p in self.reference.parameters.items() if p.requires_grad}
        return [p for n, p in used.items() if n in decayed], [p for n, p in used.items() if n not in decayed]

    def forget(self):
        """All but the weights."""
        self.optimizer = None
        self.reference.module.zero_grad(set_to_none=True)

    def train(self, keep=False):
        kept = []
        for step in range(self.case.steps):
            targets = self.loss(step)[3]
            if keep:
                kept.append(np.concatenate([(self.gradients()[t.name] / targets).ravel() for t in self.tensors]))
            self.step(targets)
        return kept


def adamw(case, decayed, plain):
    job = case.job
    groups = [dict(params=decayed, weight_decay=job["train.weight_decay"]), dict(params=plain, weight_decay=0.0)]
    # Fused: the same numbers in a sixth of the time.
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=job["train.learning_rate"],
                             betas=(job["train.beta1"], job["train.beta2"]), eps=job["train.epsilon"], fused=True)


def fed(case, tensors, gradients):
    """AdamW alone, in fp64, on the given mean gradients."""
    weights = {t.name: torch.from_numpy(case.weights(t.name, t.shape)).double().requires_grad_() for t in tensors}
    optimizer = adamw(case, [weights[t.name] for t in tensors if t.decayed],
                      [weights[t.name] for t in tensors if not t.decayed])
    for flat in gradients:
        rounded = torch.from_numpy(flat.astype(np.float32).astype(np.float64))
        for t in tensors:
            weights[t.name].grad = rounded[t.first:t.first + t.size].reshape(t.shape).clone()
        torch.nn.utils.clip_grad_norm_(list(weights.values()), case.job["train.clip"])
        optimizer.step()
    return {name: value.detach().numpy() for name, value in weights.items()}


def without_keys(name, array):
    """A query-key-value bias without its keys: softmax does not see them, so that their gradient is rounding alone and
    AdamW, which divides by its size, follows that rounding."""
    if not name.endswith("qkv.bias"):
        return array
    d = len(array) // 3
    return np.concatenate([array[:d], array[2 * d:]])


def worst_tensor(mine, theirs):
    """Largest error of a tensor relative to its norm, and its name."""
    worst = (0.0, "none")
    for name, wanted in theirs.items():
        a, b = without_keys(name, mine[name]).astype(np.float64), without_keys(name, wanted).astype(np.float64)
        norm = np.linalg.norm(b)
        error = np.linalg.norm(a - b) / norm if norm > 0 else float(np.abs(a).max() > 0)
        worst = max(worst, (error, name))
    return worst


def key_error(mine, theirs):
    """Of the key biases' gradients, relative to the global norm; 0 without biases."""
    total = np.sqrt(sum(np.sum(np.square(v, dtype=np.float64)) for v in theirs.values()))
    errors = [0.0]
    for name in theirs:
        if name.endswith("qkv.bias"):
            d = len(theirs[name]) // 3
            errors.append(np.linalg.norm(mine[name][d:2 * d].astype(np.float64) - theirs[name][d:2 * d]) / total)
    return max(errors)


def largest(mine, theirs):
    """Largest difference of an element, key biases left out."""
    return max(np.abs(without_keys(n, mine[n]).astype(np.float64) - without_keys(n, w)).max()
               for n, w in theirs.items())


class Comparison:
    """Prints a line for each value against its bar."""

    def __init__(self):
        self.good = True

    def line(self, key, what, value):
        met = value <= BARS[key]
        self.good = self.good and met
        print("  %-78s %9.2e  bar %.0e  %s" % (what, value, BARS[key], "ok" if met else "FAILED"), flush=True)


def of_largest(mine, wanted, real):
    difference = np.abs(mine.reshape(wanted.shape).astype(np.float64) - wanted)[real].max()
    return difference / np.abs(wanted[real]).max()


def judge(out, key, what, mine, exact, single):
    """The worst tensor against its bar; where that is not met (kinks of ReLUs), against what PyTorch in fp32 makes
    of it, which single() gives."""
    error, name = worst_tensor(mine, exact)
    what = "%s, worst of its norm (%s)" % (what, name)
    if error <= BARS[key]:
        out.line(key, what, error)
        return
    print("  %-78s %9.2e  above %.0e" % (what, error, BARS[key]))
    own, name = worst_tensor(single(), exact)
    out.line("drift", "the same over PyTorch in fp32 against itself in fp64, %.2e (%s)" % (own, name), error / own)


def compare_forward(out, case, tensors, run, peer):
    """Also leaves peer's gradients of the first batch."""
    logits, hidden, loss, targets = peer.loss()
    real = case.mask().astype(bool)
    mine = run.array("hidden", (len(hidden), case.rows, case.segment, -1))
    out.line("hidden", "hidden states around %d blocks, worst of the layer's largest" % (len(hidden) - 1),
             max(of_largest(mine[n], h.numpy(), real) for n, h in enumerate(hidden)))
    out.line("logits", "logits, of the largest", of_largest(run.array("logits"), logits.numpy(), real))
    out.line("loss", "loss (%.4f a target)" % (loss / targets), abs(run.loss - loss) / loss)
    if run.targets != targets:
        sys.exit("%s: %d targets, PyTorch has %d" % (case.name, run.targets, targets))
    theirs, mine = peer.gradients(), run.split("gradient")

    def single():
        other = Peer(case, tensors, exact=False)
        other.loss()
        return other.gradients()

    judge(out, "gradient", "gradients of %d tensors" % len(theirs), mine, theirs, single)
    if any(n.endswith("qkv.bias") for n in theirs):
        out.line("key", "gradients of key biases, of the global norm", key_error(mine, theirs))


def compare_published(out, case, tensors, run):
    """With the published code as it is, in fp32."""
    with torch.no_grad():
        logits = Peer(case, tensors, exact=False).forward()[0]
    out.line("published", "logits against the published code in fp32, of the largest",
             of_largest(run.array("logits"), logits.numpy().astype(np.float64), case.mask().astype(bool)))


def compare_training(out, case, tensors, run, peer, program, folder):
    gradients = peer.train(keep=not case.real)
    exact, trained = peer.values(), run.split("trained")
    peer.forget()

    def single():
        other = Peer(case, tensors, exact=False)
        other.train()
        return other.values()

    judge(out, "steps", "weights after %d steps" % case.steps, trained, exact, single)
    if case.real:
        return
    out.line("drift", "the same, largest difference over that of PyTorch in fp32",
             largest(trained, exact) / largest(single(), exact))
    again = strand.Run(program, case, tensors, folder, ["fed"], gradients=gradients).split("fed")
    wanted = fed(case, tensors, gradients)
    out.line("fed", "AdamW on the same gradients, of the largest weight",
             max(np.abs(again[n] - w).max() for n, w in wanted.items()) / max(np.abs(w).max() for w in wanted.values()))


def memory_needed(tensors, steps):
    """Bytes: fp64 weights and gradients, moments when training, and what is on the way."""
    return sum(t.size for t in tensors) * (32 if steps else 16) * 1.15 + 1e9


def check(program, case):
    tensors, start = strand.table(program, case), time.monotonic()
    print("%s%s: %s parameters" % (case.name, " (%s)" % case.job["model.preset"] if case.real else ", tiny",
                                   "{:,}".format(sum(t.size for t in tensors))), flush=True)
    with open("/proc/meminfo") as f:
        free = next(int(line.split()[1]) * 1024 for line in f if line.startswith("MemAvailable"))
    needed = memory_needed(tensors, case.steps)
    if needed > free:
        print("  left out: needs about %.1f GiB, %.1f are free" % (needed / 2**30, free / 2**30))
        return None
    out = Comparison()
    with tempfile.TemporaryDirectory() as folder:
        outputs = ["hidden", "logits", "gradient"] + ["trained"] * (case.steps > 0)
        run = strand.Run(program, case, tensors, folder, outputs)
        compare_published(out, case, tensors, run)
        peer = Peer(case, tensors, exact=True)
        compare_forward(out, case, tensors, run, peer)
        if case.steps > 0:
            compare_training(out, case, tensors, run, peer, program, folder)
        rough = strand.Run(program, case, tensors, folder, [], bf16=True)
        out.line("bf16", "loss in bf16 against fp32", abs(rough.loss - run.loss) / run.loss)
    print("  %.0f s" % (time.monotonic() - start), flush=True)
    return out.good


def main():
    parser = argparse.ArgumentParser(prog="tests/parity/run", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("families", nargs="*", metavar="FAMILY", help="of " + ", ".join(FAMILIES))
    parser.add_argument("--real", action="store_true", help="published sizes instead of tiny ones")
    parser.add_argument("--steps", type=int, help="training steps (20)")
    parser.add_argument("--kinks", action="store_true", help="real sizes with units at the kinks of ReLUs")
    parser.add_argument("--dump", default="build/release/tests/parity_dump", help="the parity_dump program")
    parser.add_argument("--golden", action="store_true", help="write tests/golden/families instead of comparing")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.families if name not in FAMILIES]
    if unknown:
        parser.error("no family %s; there are %s" % (", ".join(unknown), ", ".join(FAMILIES)))
    torch.set_num_threads(os.cpu_count())
    published = [name for name, family in FAMILIES.items() if family["real"]]
    names = arguments.families or (published if arguments.real else list(FAMILIES))
    if arguments.golden:
        for name in arguments.families or published:
            golden.write(name, arguments.dump, Peer)
        return 0
    results = []
    for name in names:
        steps = 20 if arguments.steps is None else arguments.steps
        case = Case(name, arguments.real, *((41, steps, 2) if arguments.real else (37, steps)), kinks=arguments.kinks)
        results.append(check(arguments.dump, case))
    left_out = results.count(None)
    print("%d passed, %d failed%s" % (results.count(True), results.count(False),
                                      ", %d skipped" % left_out if left_out else ""))
    return 0 if not results.count(False) else 1


if __name__ == "__main__":
    sys.exit(main())
