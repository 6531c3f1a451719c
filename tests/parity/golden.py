"""Writes tests/golden/families/NAME.json: what PyTorch makes of the tiny model of a family in fp64. The weights are a
formula (families.py), so that the file holds only a batch and results; tests/unit/worker/golden_families_test.cpp
compares."""
import json
import pathlib

import numpy as np
import torch
import transformers

import strand
from families import Case, formula

FOLDER = pathlib.Path(__file__).resolve().parents[1] / "golden" / "families"
STEPS = 4


def rounded(values):
    return [float("%.7g" % v) for v in np.asarray(values, np.float64).ravel()]


def write(name, program, make_peer):
    case = Case(name, real=False, segment=13, steps=1, rows=3, seed=100)
    case.job["train.learning_rate"] = 1e-3
    peer = make_peer(case, strand.table(program, case), exact=True)
    logits, hidden, loss, targets = peer.loss()
    real = case.mask().astype(bool)
    last = [(row, int(n) - 1) for row, n in enumerate(case.lengths[0])]
    result = {
        "made_by": "tests/parity/run --golden, with torch %s and transformers %s" % (torch.__version__,
                                                                                     transformers.__version__),
        "job": case.job, "weights_scale": case.scale, "rows": case.rows, "segment": case.segment,
        **{key: getattr(case, key).ravel().tolist() for key in ("ids", "targets", "lengths")},
        "loss": loss, "target_count": targets,
        # Of the last real token of each row.
        "logits": [rounded(logits[row, at]) for row, at in last],
        # Norms over the real tokens: of the input of each block and of the last block's output.
        "hidden": rounded([np.linalg.norm(h.numpy()[real]) for h in hidden]),
        # Of each tensor: the norm, and the product with the formula's numbers for "probe." + name at scale 1.
        "gradients": {n: rounded([np.linalg.norm(g), np.sum(g * formula("probe." + n, g.shape, 1.0))])
                      for n, g in peer.gradients().items()},
    }
    # Mean losses of the same batch before each of STEPS updates.
    losses = []
    for _ in range(STEPS):
        summed, count = peer.loss()[2:]
        losses.append(summed / count)
        peer.step(count)
    result["losses"] = losses
    FOLDER.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join("%s: %s" % (json.dumps(k), json.dumps(v)) for k, v in result.items())
    path = FOLDER / (name + ".json")
    path.write_text("{\n%s\n}\n" % lines)
    print("%s: %d bytes" % (path.relative_to(FOLDER.parents[2]), path.stat().st_size))
