"""Random windows of 1 kb beside pyfaidx and mosaicml-streaming: one thread, taking turns in one run.

    bench/peers/setup
    ninja -C build/release data_bench
    PYTHONPATH=build/peers-python build/parity-venv/bin/python bench/peers/windows.py [--rounds N]

Human chromosome X, 70 Mb. pyfaidx (as_raw, its fastest) reads letters at random places of the plain FASTA file, which is
in the page cache; Strand reads the same places from its open store, and the letters of all are compared. mosaicml-
streaming reads samples of 1,000 token bytes, written by it from the same bases, in its shuffled order from a local folder;
Strand makes rows of 1,000 tokens in its shuffled order on either strand, from packed bases.
Windows a second of processor time, which what else runs on the machine disturbs least; each side's best round, and the
ratio of the medians. The last line is JSON.
"""
import argparse
import array
import gzip
import json
import pathlib
import random
import shutil
import statistics
import subprocess
import tempfile
import time

import numpy
import pyfaidx
import streaming
import xxhash

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BENCH = ROOT / "build/release/data_bench"
BASES = 1000


def human(folder):
    path = subprocess.run([ROOT / "bench/peers/data", "human"], check=True, capture_output=True, text=True).stdout.strip()
    plain = folder / "chrX.fa"
    with gzip.open(path) as packed, open(plain, "wb") as out:
        shutil.copyfileobj(packed, out)
    return plain


def draw_places(genome, windows):
    """Random places without the letter N, as pyfaidx's names and numbers of bases."""
    fasta = pyfaidx.Fasta(str(genome), as_raw=True, sequence_always_upper=True)
    names = list(fasta.keys())
    draw, places = random.Random(5), []
    while len(places) < windows:
        record = draw.randrange(len(names))
        begin = draw.randrange(len(fasta[names[record]]) - BASES)
        if "N" not in fasta[names[record]][begin:begin + BASES]:
            places.append((record, begin))
    return names, places


def letters_sum(genome, names, places):
    fasta = pyfaidx.Fasta(str(genome), as_raw=True, sequence_always_upper=True)
    digests = (xxhash.xxh3_64_intdigest(fasta[names[r]][b:b + BASES].encode()) for r, b in places)
    return sum(digests) % 2**64


def faidx(genome, names, places):
    fasta = pyfaidx.Fasta(str(genome), as_raw=True, sequence_always_upper=True)
    records = [fasta[name] for name in names]
    begun = time.process_time()
    for record, begin in places:
        records[record][begin:begin + BASES]
    return len(places) / (time.process_time() - begun)


def write_samples(genome, folder):
    fasta = pyfaidx.Fasta(str(genome), as_raw=True, sequence_always_upper=True)
    ids = numpy.full(256, 4, numpy.uint8)
    for letter, token in zip(b"AGCT", (5, 6, 7, 8)):
        ids[letter] = token
    with streaming.MDSWriter(out=str(folder), columns={"tokens": "bytes"}) as out:
        for record in fasta:
            tokens = ids[numpy.frombuffer(record[:].encode(), numpy.uint8)]
            for begin in range(0, len(tokens) - BASES + 1, BASES):
                out.write({"tokens": tokens[begin:begin + BASES].tobytes()})


def mosaic(folder):
    dataset = streaming.StreamingDataset(local=str(folder), shuffle=True, batch_size=64, shuffle_seed=9)
    begun, samples = time.process_time(), 0
    for sample in dataset:
        samples += len(sample["tokens"]) == BASES
    return samples / (time.process_time() - begun)


def strand(genome, store, places_file):
    command = [BENCH, "windows", "--fasta", genome, "--dir", store, "--segment", str(BASES), "--places", places_file]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--windows", type=int, default=100_000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        genome = human(folder)
        names, places = draw_places(genome, args.windows)
        (folder / "places").write_bytes(array.array("q", [n for place in places for n in place]).tobytes())
        write_samples(genome, folder / "mds")
        (folder / "store").mkdir()
        expected = letters_sum(genome, names, places)
        found = {"strand letters": [], "strand rows": [], "pyfaidx": [], "mosaicml-streaming": []}

        def ours():
            made = strand(genome, folder / "store", folder / "places")
            if made["letters_sum"] != expected:
                raise SystemExit("the letters differ")
            found["strand letters"].append(made["letter_windows_per_cpu_second"])
            found["strand rows"].append(made["windows_per_cpu_second"])

        def theirs():
            found["pyfaidx"].append(faidx(genome, names, places))
            found["mosaicml-streaming"].append(mosaic(folder / "mds"))

        ours()  # builds the store
        for side in found.values():
            side.clear()
        for number in range(args.rounds):
            for side in ((ours, theirs) if number % 2 == 0 else (theirs, ours)):
                side()
            print({what: round(speeds[-1]) for what, speeds in found.items()}, flush=True)
    middle = {what: statistics.median(speeds) for what, speeds in found.items()}
    row = {what: {"best": round(max(speeds)), "median": round(middle[what]), "worst": round(min(speeds))}
           for what, speeds in found.items()}
    row["letters, times pyfaidx"] = round(middle["strand letters"] / middle["pyfaidx"], 1)
    row["rows, times pyfaidx"] = round(middle["strand rows"] / middle["pyfaidx"], 1)
    row["rows, times mosaicml-streaming"] = round(middle["strand rows"] / middle["mosaicml-streaming"], 1)
    print(json.dumps(row))


if __name__ == "__main__":
    main()
