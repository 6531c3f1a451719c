#!/usr/bin/env python3
"""Writes tests/golden/tokenizer.json: hashes of the ids that Hugging Face's `tokenizers` gives.

Run from the repository's root, in a virtual environment with `pip install tokenizers`:
    ninja -C build/dev tokenizer_dump
    python tests/parity/tokenizer_golden.py --dump build/dev/tokenizer_dump \
        --published ../shared/data/tokenizers
tests/unit/tokenizer/golden_test.cpp makes the same strings and compares the hashes of Strand's ids. With --check the
file is not written but compared.
"""
import argparse
import gzip
import hashlib
import json
import pathlib
import subprocess
import sys
import tempfile

import tokenizers

GOLDEN = pathlib.Path("tests/golden/tokenizer.json")
GENOME = pathlib.Path("examples/ecoli/escherichia-coli-k12-mg1655.fna.gz")
PUBLISHED_SHA256 = "5d178e8ce2ba55df97fff197f4b30f40133b95d7096be398c2df6b526c5d8cd3"
GENOME_BASES = 1_000_000
STRINGS = 10_000
SEED = 20260101
# Unknown letters, lower case, special tokens whole and broken, white space and letters of several scripts.
PIECES = ["[MASK]", "[CLS]", "[UNK]", "[SEP]", "[PAD]", "[BOS]", "[EOS]", "[UNUSED1]", "[", "MASK]", "[MAS", "[[MASK]]",
          "<mask>", "<unk>", "<cls>", "<pad>", "<", "\n", " ", "\t", "\u00a0", "\u2009", "\u3000", "\u0085", "\u001c",
          "\u00e9", "\u4e2d", "\U0001f600", "\u00a9", "\u00b2", "\u0301", "_", "N", "NNNN", "n", "acgt", "U", "R", "Y",
          "0", "11", "-", ".", "''", "Domain: DNA\nSequence: ", "'s", "they'll", "DON'T", " the promoter", "  ", " \r\n\n",
          "\u0416\u0437", "\u00bd", "\u0663", "\u2160", "\u2028", "\u200b", "\U0001d7d8", "\u0301\u0905", "2.5", "x_1",
          "<|endoftext|>", "</s>", "<s>"]


class Generator:
    """The strings, from Knuth's MMIX generator (high bits)."""

    def __init__(self):
        self.state = SEED

    def below(self, bound):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.state >> 33) % bound

    def next(self):
        text = []
        for _ in range(1 + self.below(11)):
            kind = self.below(10)
            if kind < 5:
                text.append("".join("ACGT"[self.below(4)] for _ in range(1 + self.below(40))))
            elif kind == 5:
                letter = "ACGT"[self.below(4)]
                text.append(letter * (1 + self.below(70)))
            else:
                text.append(PIECES[self.below(len(PIECES))])
        return "".join(text)


def hash_ids(texts, tokenizer):
    """FNV-1a over 32-bit little-endian ids, each text closed by 0xffffffff."""
    value = 0xCBF29CE484222325
    for text in texts:
        for word in tokenizer.encode(text, add_special_tokens=False).ids + [0xFFFFFFFF]:
            for byte in word.to_bytes(4, "little"):
                value = ((value ^ byte) * 0x100000001B3) % 2**64
    return f"{value:016x}"


def genome():
    with gzip.open(GENOME, "rt") as lines:
        return "".join(line.strip() for line in lines if not line.startswith(">"))[:GENOME_BASES]


def dnabert2(folder):
    path = folder / "dnabert2-tokenizer.json"
    if hashlib.sha256(path.read_bytes()).hexdigest() != PUBLISHED_SHA256:
        sys.exit(f"{path}: not the published file (its sha256 differs)")
    return tokenizers.Tokenizer.from_file(str(path))


def gpt2(folder):
    model = tokenizers.models.BPE.from_file(str(folder / "gpt2-vocab.json"), str(folder / "gpt2-merges.txt"))
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.add_special_tokens(["<|endoftext|>"])
    return tokenizer


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dump", required=True, help="the tokenizer_dump program")
    parser.add_argument("--published", required=True, type=pathlib.Path,
                        help="folder with dnabert2-tokenizer.json, gpt2-vocab.json and gpt2-merges.txt")
    parser.add_argument("--check", action="store_true", help="compare with the file instead of writing it")
    arguments = parser.parse_args()
    published = {"dnabert2": dnabert2(arguments.published), "gpt2": gpt2(arguments.published)}
    generator = Generator()
    strings = [generator.next() for _ in range(STRINGS)]
    hashes = {}
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([arguments.dump, folder], check=True)
        paths = {path.stem: str(path) for path in sorted(pathlib.Path(folder).glob("*.json"))}
        for name, path in paths.items():
            published[name] = tokenizers.Tokenizer.from_file(path)
        for name, tokenizer in sorted(published.items()):
            hashes[name] = {"strings": hash_ids(strings, tokenizer), "genome": hash_ids([genome()], tokenizer)}
    golden = {"made_by": f"tests/parity/tokenizer_golden.py with tokenizers {tokenizers.__version__}", "seed": SEED,
              "strings": STRINGS, "genome_bases": GENOME_BASES, "pieces": PIECES, "hashes": hashes}
    text = json.dumps(golden, indent=1) + "\n"
    if not arguments.check:
        GOLDEN.write_text(text)
    elif json.loads(GOLDEN.read_text())["hashes"] != hashes:
        sys.exit(f"{GOLDEN}: the ids of tokenizers {tokenizers.__version__} differ from the file's")


if __name__ == "__main__":
    main()
