#!/usr/bin/env python3
"""Compares Strand's token ids with those of Hugging Face's `tokenizers` and `transformers`, on 10 MB of mixed text.

    ninja -C build/release tokenizer_encode && tests/parity/setup
    build/parity-venv/bin/python tests/parity/tokenizer_parity.py [--opt-vocab gpt2-vocab.json]

Instead of the whole environment, `pip install tokenizers transformers` in any virtual environment will do. The
vocabularies are read from ../shared/data/tokenizers (--data); without them the script says so and ends with 77.
OPT's own numbering is compared with --opt-vocab: projects/OPT/assets/gpt2-vocab.json of facebookresearch/metaseq, where
OPT was published. Without it OPT's layout is compared with made-up numbers.
One line per comparison; exit 0 when every id is equal. Speeds are of one thread and for information.
"""
import argparse
import gzip
import hashlib
import json
import logging
import os
import pathlib
import random
import struct
import subprocess
import sys
import sysconfig
import tempfile
import time
import unicodedata

os.environ["TOKENIZERS_PARALLELISM"] = "false"
import tokenizers  # noqa: E402
import transformers  # noqa: E402
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors  # noqa: E402

GENOME = pathlib.Path("examples/ecoli/escherichia-coli-k12-mg1655.fna.gz")
SEED = 20260301
BYTES = 10_000_000
OPT_VOCAB_MD5 = "cf410ee085c5c69c957bb1f6d8456596"  # published in metaseq's projects/OPT/download_opt175b.md
OPT_IDS = {  # of the OPT and RoBERTa tests of transformers
    "Hello world": [31414, 232],
    "Hello world! cécé herlolip": [31414, 232, 328, 740, 1140, 12695, 69, 46078, 1588],
    "A photo of a cat": [250, 1345, 9, 10, 4758],
}
PROMPT = "Domain: DNA Promoter\nSequence: {}\nAnnotation:"


def genome():
    with gzip.open(GENOME, "rt") as lines:
        return "".join(line.strip() for line in lines if not line.startswith(">"))


def prose():
    """English, code and a little of everything else: the sources of Python's own library."""
    folder = pathlib.Path(sysconfig.get_paths()["stdlib"])
    files = [p for p in sorted(folder.rglob("*.py")) if "site-packages" not in p.parts and "dist-packages" not in p.parts]
    texts, size = [], 0
    for path in files:
        text = path.read_text(encoding="utf-8", errors="ignore")
        texts.append(text)
        size += len(text)
        if size > BYTES // 2:
            break
    return "".join(texts)


def random_unicode(rng, length):
    ranges = [(0x20, 0x7E), (0xA0, 0x24F), (0x370, 0x3FF), (0x400, 0x4FF), (0x5D0, 0x5EA), (0x900, 0x97F), (0x2000, 0x206F),
              (0x2100, 0x214F), (0x2460, 0x24FF), (0x3040, 0x30FF), (0x4E00, 0x4FFF), (0xAC00, 0xACFF), (0x1F600, 0x1F64F),
              (0x1D400, 0x1D7FF), (0x9, 0xD)]
    return "".join(chr(rng.randint(*rng.choice(ranges))) for _ in range(length))


def mixed_texts(rng):
    """DNA in upper and lower case with N, English, prompts, other scripts and white space, BYTES in all."""
    dna, english = genome(), prose()
    texts = [dna[:1_000_000], dna[:300_000].lower(), "N" * 10_000 + dna[:5000]]  # pre-tokens as long as a genome
    size = sum(map(len, texts))
    while size < BYTES:
        parts = []
        for _ in range(rng.randint(1, 6)):
            kind = rng.random()
            length = int(10 ** rng.uniform(0, 3.7))
            at = rng.randrange(len(dna) - length)
            if kind < 0.35:
                parts.append(dna[at:at + length])
            elif kind < 0.45:
                letters = list(dna[at:at + length])
                for _ in range(1 + length // 50):
                    letters[rng.randrange(length)] = rng.choice("NRYKMacgtn")
                parts.append("".join(letters))
            elif kind < 0.55:
                parts.append(PROMPT.format(dna[at:at + min(length, 1000)]))
            elif kind < 0.9:
                at = rng.randrange(len(english) - length)
                parts.append(english[at:at + length])
            elif kind < 0.95:
                parts.append(random_unicode(rng, min(length, 300)))
            else:
                parts.append("".join(rng.choice(" \t\n\r\u00a0\u3000'sSdll.0") for _ in range(rng.randint(1, 30))))
        text = rng.choice(["", " ", "\n"]).join(parts)
        texts.append(text)
        size += len(text.encode())
    return texts


def text_around(code):
    c = chr(code)
    return f"a{c}b 1{c}2 .{c}. {c}{c} {c}"


class Comparison:
    def __init__(self, program, folder):
        self.program, self.folder, self.failed = program, folder, False

    def strand(self, tokenizer, texts, written=None):
        """What the program says and the ids of each text; `written`: a folder for the tokenizer's own files."""
        texts_path, ids_path = self.folder / "texts", self.folder / "ids"
        with open(texts_path, "wb") as out:
            for text in texts:
                data = text.encode()
                out.write(struct.pack("<I", len(data)) + data)
        command = [self.program, str(tokenizer), str(texts_path), str(ids_path)] + ([str(written)] if written else [])
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{self.program} {tokenizer}: {done.stderr}")
        data, at, ids = ids_path.read_bytes(), 0, []
        for _ in texts:
            count, = struct.unpack_from("<i", data, at)
            ids.append(list(struct.unpack_from(f"<{count}i", data, at + 4)))
            at += 4 + 4 * count
        return json.loads(done.stdout), ids

    def report(self, name, good, text):
        self.failed |= not good
        print(f"{'ok  ' if good else 'FAIL'} {name}: {text}", flush=True)

    def equal(self, name, tokenizer, texts, encode, framed=None):
        """`encode` without special tokens; `framed` one text with them."""
        about, ids = self.strand(tokenizer, texts)
        start = time.perf_counter()
        theirs = [encode(text) for text in texts]
        seconds = time.perf_counter() - start
        wrong = [i for i, (a, b) in enumerate(zip(ids, theirs)) if a != b]
        megabytes = about["bytes"] / 1e6
        self.report(name, not wrong, f"{len(texts)} texts, {megabytes:.2f} MB, {about['tokens']} tokens, "
                    f"{len(wrong)} texts differ; {megabytes / about['seconds']:.1f} MB/s here, "
                    f"{megabytes / seconds:.1f} MB/s there")
        for i in wrong[:3]:
            at = next((k for k, (a, b) in enumerate(zip(ids[i], theirs[i])) if a != b), min(len(ids[i]), len(theirs[i])))
            print(f"       text {i}, token {at}: {ids[i][at:at + 5]} here, {theirs[i][at:at + 5]} there, of {texts[i][:80]!r}")
        if framed:
            ours = about["prefix"] + ids[-1] + about["suffix"]
            self.report(name + ", framed", ours == framed(texts[-1]), f"{about['prefix']} x {about['suffix']}")


    def export(self, name, tokenizer, texts):
        """The files that Strand writes, opened by transformers without a warning, give the same ids."""
        written = self.folder / "written" / name
        about, ids = self.strand(tokenizer, texts, written)
        messages = []
        handler = logging.Handler()
        handler.emit = lambda record: messages.append(record.getMessage())
        logging.getLogger("transformers").addHandler(handler)
        library = transformers.AutoTokenizer.from_pretrained(written)
        wrong = [i for i, text in enumerate(texts) if library.encode(text) != about["prefix"] + ids[i] + about["suffix"]]
        named = {role: -1 if getattr(library, f"{role}_token_id") is None else getattr(library, f"{role}_token_id")
                 for role in about["specials"]}
        logging.getLogger("transformers").removeHandler(handler)
        differ = {role: (id, named[role]) for role, id in about["specials"].items() if named[role] != id}
        self.report(f"written files, {name}", not wrong and not messages and not differ,
                    f"{type(library).__name__}, {len(wrong)} of {len(texts)} texts differ, special tokens differ: "
                    f"{differ or 'none'}, warnings: {messages or 'none'}")


def byte_level_library(vocab, merges, special_tokens):
    tokenizer = Tokenizer(models.BPE.from_file(str(vocab), str(merges)))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in special_tokens])
    return tokenizer


def gpt2_library(data):
    return byte_level_library(data / "gpt2-vocab.json", data / "gpt2-merges.txt", ["<|endoftext|>"])


def write_opt(data, vocab, folder):
    """GPT-2's merges with fairseq's numbering: <s> <pad> </s> <unk>, then tokens in another order, as OPT has it."""
    folder.mkdir()
    if vocab:
        (folder / "vocab.json").write_bytes(vocab.read_bytes())
    else:
        tokens = list(json.loads((data / "gpt2-vocab.json").read_text()))
        tokens.remove("<|endoftext|>")
        random.Random(SEED).shuffle(tokens)
        tokens = ["<s>", "<pad>", "</s>", "<unk>"] + tokens
        (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text((data / "gpt2-merges.txt").read_text())
    config = {"add_bos_token": True, "add_prefix_space": False, "bos_token": "</s>", "eos_token": "</s>", "errors": "replace",
              "pad_token": "<pad>", "tokenizer_class": "GPT2Tokenizer", "unk_token": "</s>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    (folder / "special_tokens_map.json").write_text(
        json.dumps({k: config[k] for k in ("bos_token", "eos_token", "pad_token", "unk_token")}))
    return folder


def compare_opt(comparison, data, vocab, texts, folder):
    opt_folder = write_opt(data, vocab, folder / "opt")
    opt = transformers.GPT2Tokenizer.from_pretrained(opt_folder)
    some = [t[:2000] for t in texts[:600]] + ["</s>" + PROMPT.format("ACGT" * 20) + "<pad></s> end"]
    comparison.equal("OPT, vocab.json and merges.txt", opt_folder, some,
                     lambda t: opt.encode(t, add_special_tokens=False), opt.encode)
    library = byte_level_library(opt_folder / "vocab.json", data / "gpt2-merges.txt", ["</s>", "<pad>"])
    comparison.equal("OPT, every text", opt_folder, texts, lambda t: library.encode(t).ids)
    if vocab:
        _, ids = comparison.strand(opt_folder, list(OPT_IDS))
        comparison.report("OPT's own numbers, known ids", ids == list(OPT_IDS.values()), str(ids))


def compare_byte_level(comparison, data, texts, rng, folder):
    gpt2 = gpt2_library(data)
    comparison.equal("GPT-2", data / "gpt2-vocab.json", texts, lambda t: gpt2.encode(t, add_special_tokens=False).ids)

    gpt2.add_special_tokens([AddedToken("<mask>", lstrip=True, normalized=False), AddedToken("[R]", rstrip=True)])
    gpt2.add_tokens([AddedToken("motif", single_word=True), AddedToken("é", single_word=True, normalized=False),
                     AddedToken(" two words ", normalized=False), AddedToken("motifs", normalized=True)])
    gpt2.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    gpt2.post_processor = processors.RobertaProcessing(sep=("<mask>", gpt2.token_to_id("<mask>")),
                                                       cls=("<|endoftext|>", gpt2.token_to_id("<|endoftext|>")))
    path = folder / "added-tokenizer.json"
    gpt2.save(str(path))
    pieces = ["motif", "motifs", "<mask>", "[R]", "é", " two words ", " ", "\n", "\u2003", "x", "_", "9", "\u0301", ".", "\u24d0", "ACGT",
              "\u200d", "\u00b2", "\u2160", "'s", "中"]
    puzzles = ["".join(rng.choice(pieces) for _ in range(rng.randint(1, 12))) for _ in range(20_000)]
    comparison.equal("added tokens with every flag", path, puzzles, lambda t: gpt2.encode(t, add_special_tokens=False).ids,
                     lambda t: gpt2.encode(t).ids)


def compare_code_points(comparison, data):
    """Every Unicode character among letters, digits, dots and spaces."""
    gpt2 = gpt2_library(data)
    codes = [code for code in range(0x110000) if not 0xD800 <= code <= 0xDFFF]
    _, ids = comparison.strand(data / "gpt2-vocab.json", [text_around(code) for code in codes])
    different = [code for code, ours in zip(codes, ids) if ours != gpt2.encode(text_around(code)).ids]
    # The library's Unicode may be older or newer than ours: such characters are unassigned in one of the two.
    unassigned = [code for code in different if unicodedata.category(chr(code)) == "Cn"]
    comparison.report("every code point", len(unassigned) == len(different),
                      f"{len(different)} of {len(codes)} differ, {len(unassigned)} of these unassigned in Unicode "
                      f"{unicodedata.unidata_version}" + "".join(f" U+{code:04X}" for code in different[:8]))


def compare_bases(comparison, data, texts, folder):
    dnabert2 = Tokenizer.from_file(str(data / "dnabert2-tokenizer.json"))
    comparison.equal("DNABERT-2", data / "dnabert2-tokenizer.json", texts,
                     lambda t: dnabert2.encode(t, add_special_tokens=False).ids, lambda t: dnabert2.encode(t).ids)
    dna = genome()
    comparison.equal("DNABERT-2, one word of 4.6 MB", data / "dnabert2-tokenizer.json", [dna],
                     lambda t: dnabert2.encode(t, add_special_tokens=False).ids)
    kmers = [""]
    for _ in range(6):
        kmers = [kmer + letter for kmer in kmers for letter in "ATCG"]
    for name, specials in {"nt-v1": ["<unk>", "<pad>", "<mask>", "<cls>"],
                           "nt-v2": ["<unk>", "<pad>", "<mask>", "<cls>", "<eos>", "<bos>"]}.items():
        place = folder / name
        place.mkdir()
        (place / "vocab.txt").write_text("\n".join(specials + kmers + list("ATCGN")))
        config = {"cls_token": "<cls>", "eos_token": None, "mask_token": "<mask>", "pad_token": "<pad>",
                  "tokenizer_class": "EsmTokenizer", "unk_token": "<unk>"}
        (place / "tokenizer_config.json").write_text(json.dumps(config))
        library = transformers.EsmTokenizer.from_pretrained(place)
        cut = [t[:1000] for t in texts[:400]] + [dna[i:i + 997].replace("ATAT", "ANNT") for i in range(0, 400_000, 997)]
        comparison.equal(f"Nucleotide Transformer, {name}", place, cut,
                         lambda t: library.encode(t, add_special_tokens=False), library.encode)


def compare_written(comparison, data):
    dna = genome()
    texts = [PROMPT.format(dna[i:i + 300]) for i in range(0, 30_000, 300)] + [dna[:5000], "it's </s>\n é 中 [MASK]<mask>"]
    for name, path in {"GPT-2": data / "gpt2-vocab.json", "OPT": comparison.folder / "opt",
                       "DNABERT-2": data / "dnabert2-tokenizer.json", "NT-v1": comparison.folder / "nt-v1",
                       "NT-v2": comparison.folder / "nt-v2", "DNA-FM": "nucleotide"}.items():
        comparison.export(name, path, texts)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="build/release/tests/tokenizer_encode")
    parser.add_argument("--data", type=pathlib.Path, default=pathlib.Path("../shared/data/tokenizers"))
    parser.add_argument("--opt-vocab", type=pathlib.Path, help="OPT's own gpt2-vocab.json, see above")
    arguments = parser.parse_args()
    if not os.access(arguments.program, os.X_OK):
        parser.error(f"{arguments.program} is not built; ninja -C build/release tokenizer_encode")
    vocab = arguments.opt_vocab
    if vocab:
        found = hashlib.md5(vocab.read_bytes()).hexdigest() if vocab.is_file() else "no file"
        if found != OPT_VOCAB_MD5:
            parser.error(f"{vocab} is not OPT's vocabulary: expected MD5 {OPT_VOCAB_MD5}, found {found}")
    for name in ("gpt2-vocab.json", "gpt2-merges.txt", "dnabert2-tokenizer.json"):
        if not (arguments.data / name).exists():
            print(f"skipped: {arguments.data / name} is absent; give the folder of the published vocabularies with --data")
            sys.exit(77)
    print(f"tokenizers {tokenizers.__version__}, transformers {transformers.__version__}, seed {SEED}")
    rng = random.Random(SEED)
    texts = mixed_texts(rng)
    with tempfile.TemporaryDirectory() as folder:
        comparison = Comparison(arguments.program, pathlib.Path(folder))
        compare_byte_level(comparison, arguments.data, texts, rng, comparison.folder)
        compare_opt(comparison, arguments.data, vocab, texts, comparison.folder)
        compare_bases(comparison, arguments.data, texts, comparison.folder)
        compare_written(comparison, arguments.data)
        compare_code_points(comparison, arguments.data)
    sys.exit(comparison.failed)


if __name__ == "__main__":
    main()
