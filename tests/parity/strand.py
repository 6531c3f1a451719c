"""Strand's side: writes what parity_dump reads and reads what it writes (dump.cpp describes both)."""
import json
import os
import subprocess

import numpy as np


class Tensor:
    def __init__(self, entry, first):
        self.name, self.shape, self.decayed = entry["name"], tuple(entry["shape"]), entry["decayed"]
        self.first, self.size = first, int(np.prod(entry["shape"]))


def table(program, case):
    """Strand's parameters in its flat order."""
    out = subprocess.run([program, "table", json.dumps({"job": case.job})], check=True, stdout=subprocess.PIPE)
    tensors, first = [], 0
    for entry in json.loads(out.stdout):
        tensors.append(Tensor(entry, first))
        first += tensors[-1].size
    return tensors


class Run:
    """One run of parity_dump in a folder. outputs: of hidden, logits, gradient, trained, fed."""

    def __init__(self, program, case, tensors, folder, outputs, bf16=False, gradients=None):
        self.folder, self.tensors = folder, tensors
        paths = {key: os.path.join(folder, key) for key in ("weights", "ids", "targets", "lengths", "gradients")}
        if not os.path.exists(paths["weights"]):
            with open(paths["weights"], "wb") as f:
                for t in tensors:
                    case.weights(t.name, t.shape).tofile(f)
        for key in ("ids", "targets", "lengths"):
            getattr(case, key).astype("<i4").tofile(paths[key])
        if gradients is not None:
            np.stack(gradients).astype("<f4").tofile(paths["gradients"])
        request = {"job": case.job, "rows": case.rows, "segment": case.segment, "steps": case.steps, "bf16": bf16,
                   "threads": os.cpu_count(), "in": folder, "out": folder, "outputs": outputs}
        out = subprocess.run([program, "run", json.dumps(request)], check=True, stdout=subprocess.PIPE)
        result = json.loads(out.stdout)
        self.loss, self.targets, self.losses = result["loss"], result["targets"], result["losses"]

    def array(self, name, shape=-1):
        return np.memmap(os.path.join(self.folder, name), "<f4", "r").reshape(shape)

    def split(self, name):
        flat = self.array(name)
        return {t.name: flat[t.first:t.first + t.size].reshape(t.shape) for t in self.tensors}
