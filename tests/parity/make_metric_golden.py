#!/usr/bin/env python3
"""Writes tests/golden/prediction_metrics.json: metrics of random, tied and degenerate inputs by scikit-learn and scipy.

    tests/parity/setup
    build/parity-venv/bin/python tests/parity/make_metric_golden.py            # --check: compare instead of writing

tests/unit/metrics/prediction_metrics_test.cpp compares Strand's values with the file's, without Python.
"""
import argparse
import json
import math
import pathlib
import sys
import warnings

import numpy as np
import scipy
import scipy.stats
import sklearn
import sklearn.metrics as sk

GOLDEN = pathlib.Path(__file__).resolve().parents[1] / "golden" / "prediction_metrics.json"
SEED = 20260102


def softmax(logits):
    """In double; the sum is correctly rounded, so that rows with permuted logits get permuted values."""
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return e / np.array([[math.fsum(row)] for row in e])


def ranking(truth, scores):
    """ROC AUC and average precision; nothing where only one class occurs."""
    if len(set(truth.tolist())) < 2:
        return None, None
    return sk.roc_auc_score(truth, scores), sk.average_precision_score(truth, scores)


def mean(values):
    kept = [v for v in values if v is not None]
    return float(np.mean(kept)) if kept else None


def one_against_rest(truth, predicted, scores):
    roc, pr = ranking(truth, scores)
    return {"positives": int(truth.sum()), "accuracy": sk.accuracy_score(truth, predicted),
            "precision": sk.precision_score(truth, predicted, zero_division=0),
            "recall": sk.recall_score(truth, predicted, zero_division=0),
            "f1": sk.f1_score(truth, predicted, zero_division=0),
            "mcc": sk.matthews_corrcoef(truth, predicted), "roc_auc": roc, "pr_auc": pr}


def classification(logits, labels):
    logits, labels = np.asarray(logits, np.float32).astype(np.float64), np.asarray(labels)
    classes = logits.shape[1]
    probabilities, predicted = softmax(logits), logits.argmax(axis=1)
    each = [one_against_rest((labels == c).astype(int), (predicted == c).astype(int), probabilities[:, c])
            for c in range(classes)]
    missing = sum(one["roc_auc"] is None for one in each)
    if classes == 2:
        roc, pr = ranking(labels, probabilities[:, 1])
    else:
        roc, pr = mean([one["roc_auc"] for one in each]), mean([one["pr_auc"] for one in each])
    if classes > 2 and not missing:
        roc = sk.roc_auc_score(labels, probabilities, multi_class="ovr", average="macro")
    macro = dict(average="macro", zero_division=0)
    return {"kind": "classification", "rows": len(labels), "classes": classes,
            "accuracy": sk.accuracy_score(labels, predicted),
            "macro_precision": sk.precision_score(labels, predicted, **macro),
            "macro_recall": sk.recall_score(labels, predicted, **macro),
            "macro_f1": sk.f1_score(labels, predicted, **macro),
            "mcc": sk.matthews_corrcoef(labels, predicted), "roc_auc": roc, "pr_auc": pr,
            "left_out": missing, "per_class": each}


def multi_label(logits, labels, threshold=0.0):
    logits, labels = np.asarray(logits, np.float32).astype(np.float64), np.asarray(labels)
    predicted = (logits > np.float32(threshold)).astype(int)
    each = [one_against_rest(labels[:, k], predicted[:, k], logits[:, k]) for k in range(labels.shape[1])]
    macro = dict(average="macro", zero_division=0)
    return {"kind": "multi_label", "rows": len(labels), "labels": labels.shape[1],
            "accuracy": float((predicted == labels).mean()),
            "macro_precision": sk.precision_score(labels, predicted, **macro),
            "macro_recall": sk.recall_score(labels, predicted, **macro),
            "macro_f1": sk.f1_score(labels, predicted, **macro),
            "mcc": mean([one["mcc"] for one in each]),
            "roc_auc": mean([one["roc_auc"] for one in each]), "pr_auc": mean([one["pr_auc"] for one in each]),
            "exact_match": sk.accuracy_score(labels, predicted),
            "left_out": sum(one["roc_auc"] is None for one in each), "per_label": each}


def correlation(function, a, b):
    if len(a) < 2:
        return None
    value = float(function(a, b)[0])
    return None if math.isnan(value) else value


def regression(predicted, truth):
    predicted, truth = np.asarray(predicted, np.float64), np.asarray(truth, np.float64)
    each = []
    for p, t in zip(predicted.T, truth.T):
        each.append({"pearson": correlation(scipy.stats.pearsonr, t, p),
                     "spearman": correlation(scipy.stats.spearmanr, t, p),
                     "r2": sk.r2_score(t, p) if len(t) > 1 else None,
                     "mae": sk.mean_absolute_error(t, p), "mse": sk.mean_squared_error(t, p)})
    overall = {name: mean([one[name] for one in each]) for name in each[0]}
    if len(truth) > 1:
        overall["r2"] = sk.r2_score(truth, predicted)
        overall["mae"] = sk.mean_absolute_error(truth, predicted)
        overall["mse"] = sk.mean_squared_error(truth, predicted)
    return {"kind": "regression", "rows": len(truth), "outputs": truth.shape[1], **overall,
            "left_out": sum(one["pearson"] is None for one in each), "per_output": each}


def classification_inputs(rng):
    def noisy(labels, classes, signal=1.0):
        logits = rng.normal(size=(len(labels), classes))
        logits[np.arange(len(labels)), labels] += signal
        return logits.round(3)

    labels2, labels5 = rng.integers(0, 2, 60), rng.integers(0, 5, 70)
    skewed = rng.choice(4, size=60, p=[0.85, 0.1, 0.04, 0.01])
    yield "two classes", noisy(labels2, 2), labels2
    yield "two classes, tied scores", (noisy(labels2, 2) * 2).round() / 2, labels2
    yield "two classes, all scores equal", np.zeros((10, 2)), labels2[:10]
    yield "two classes, every row right", noisy(labels2, 2, 20), labels2
    yield "two classes, every row wrong", noisy(1 - labels2, 2, 20), labels2
    yield "two classes, one label only", noisy(labels2, 2), np.ones_like(labels2)
    yield "two classes, one prediction only", noisy(labels2, 2) + [50, 0], labels2
    yield "two classes, one row", [[0.5, -0.5]], [1]
    yield "two classes, large logits", noisy(labels2, 2, 1) * 1e4, labels2
    yield "five classes", noisy(labels5, 5), labels5
    yield "five classes, tied scores", noisy(labels5, 5).round(), labels5
    yield "five classes, large logits", noisy(labels5, 5) * 300, labels5
    yield "four classes, skewed", noisy(skewed, 4), skewed
    yield "six classes, two of them nowhere", np.hstack([noisy(labels2, 4), np.full((60, 2), -30.0)]), labels2
    yield "three classes, one only predicted", noisy(labels2, 3, 0.2), labels2


def multi_label_inputs(rng):
    labels = rng.integers(0, 2, (40, 4))
    logits = (rng.normal(size=labels.shape) + labels).round(3)
    degenerate = labels.copy()
    degenerate[:, 0], degenerate[:, 2] = 0, 1
    yield "four labels", logits, labels, 0.0
    yield "four labels, tied scores", (logits * 2).round() / 2, labels, 0.0
    yield "four labels, another threshold", logits, labels, 0.75
    yield "one label never, one always", logits, degenerate, 0.0
    yield "no label has both", logits[:, :2], np.hstack([np.zeros((40, 1), int), np.ones((40, 1), int)]), 0.0
    yield "never predicted", logits - 50, labels, 0.0
    yield "rare labels", logits[:, :3], (rng.random((40, 3)) < 0.06).astype(int), 0.0


def regression_inputs(rng):
    truth = rng.normal(size=(50, 1)).round(4)
    near = (0.7 * truth + 0.5 * rng.normal(size=truth.shape)).round(4)
    several = rng.normal(size=(30, 3)).round(4)
    yield "one value", near, truth
    yield "tied values", near.round(), truth.round()
    yield "against", -near, truth
    yield "equal", truth, truth
    yield "constant labels", near, np.full_like(truth, 2.0)
    yield "constant labels, all right", np.full_like(truth, 2.0), np.full_like(truth, 2.0)
    yield "constant predictions", np.full_like(truth, -0.5), truth
    yield "far from zero", near + 1e4, truth + 1e4
    yield "two rows", near[:2], truth[:2]
    yield "one row", near[:1], truth[:1]
    yield "three values", (several + 0.3 * rng.normal(size=several.shape)).round(4), several
    yield "three values, one constant", several * [1, 0, -1], (several + rng.normal(size=several.shape)).round(4)
    yield "heavy tail", np.exp(3 * near).round(4), np.exp(3 * truth).round(4)


def cases():
    rng = np.random.default_rng(SEED)

    def numbers(values):
        return [int(v) if v == int(v) else float(v) for v in np.asarray(values, np.float64).ravel()]

    for name, logits, labels in classification_inputs(rng):
        yield {"name": name, "scores": numbers(logits), "labels": numbers(labels),
               "expected": classification(logits, labels)}
    for name, logits, labels, threshold in multi_label_inputs(rng):
        yield {"name": name, "threshold": threshold, "scores": numbers(logits), "labels": numbers(labels),
               "expected": multi_label(logits, labels, threshold)}
    for name, predicted, truth in regression_inputs(rng):
        yield {"name": name, "scores": numbers(predicted), "labels": numbers(truth),
               "expected": regression(predicted, truth)}


def differences(a, b, where):
    if isinstance(a, dict) and isinstance(b, dict) and list(a) == list(b):
        return [d for key in a for d in differences(a[key], b[key], where + "." + key)]
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        return [d for n, (x, y) in enumerate(zip(a, b)) for d in differences(x, y, "%s[%d]" % (where, n))]
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        return [] if abs(a - b) <= 1e-12 * max(1, abs(b)) else ["%s: %r, the file has %r" % (where, a, b)]
    return [] if a == b else ["%s: %r, the file has %r" % (where, a, b)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with the file instead of writing it")
    check = parser.parse_args().check
    warnings.simplefilter("ignore")  # scikit-learn warns of every degenerate input
    made = list(cases())
    if check:
        found = differences(json.loads(json.dumps(made)), json.loads(GOLDEN.read_text())["cases"], "cases")
        print("\n".join(found) or "%d cases: equal" % len(made))
        return 1 if found else 0
    head = {"made_by": "tests/parity/make_metric_golden.py with scikit-learn %s and scipy %s"
                       % (sklearn.__version__, scipy.__version__)}
    lines = ",\n".join(json.dumps(case) for case in made)
    GOLDEN.write_text("%s,\n\"cases\": [\n%s\n]}\n" % (json.dumps(head)[:-1], lines))
    print("%s: %d cases, %d bytes" % (GOLDEN.name, len(made), GOLDEN.stat().st_size))
    return 0


if __name__ == "__main__":
    sys.exit(main())
