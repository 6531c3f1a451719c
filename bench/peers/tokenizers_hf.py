"""Speed of byte-pair encoding and training beside Hugging Face's tokenizers: the same texts, one thread, taking turns.

    tests/parity/setup
    ninja -C build/release tokenizer_bench
    build/parity-venv/bin/python bench/peers/tokenizers_hf.py encode [--rounds N] [--only NAME]
    build/parity-venv/bin/python bench/peers/tokenizers_hf.py train [--rounds N] [--only NAME]

encode: chr2R of the fly (21 Mb, upper case) and English through DNABERT-2's and GPT-2's vocabularies. Every id is
compared. Hugging Face's side gets its fastest call, encode_batch_fast, a thousand texts at a time; its tokenizer is a
new one in each round, since it remembers whole words of any length, and texts met again would cost it nothing.
train: 4,096 tokens from the same 21 Mb in pieces of 1 kb, beside Hugging Face's trainer and, where it is installed
(`build/parity-venv/bin/python -m pip install sentencepiece`), SentencePiece's; and Strand alone on 70 Mb of human
chromosome X.
Speeds are in millions of bytes a second of processor time, which what else runs on the machine disturbs least; each side's
best round, and the ratio of the medians. bench/peers/data fetches the texts. The last line is JSON.
"""
import argparse
import array
import gzip
import json
import os
import pathlib
import statistics
import struct
import subprocess
import sys
import tempfile
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BENCH = ROOT / "build/release/tokenizer_bench"
VOCABULARIES = ROOT.parent / "shared/data/tokenizers"


def fetched(name):
    path = subprocess.run([ROOT / "bench/peers/data", name], check=True, capture_output=True, text=True).stdout.strip()
    return gzip.decompress(pathlib.Path(path).read_bytes()) if path.endswith(".gz") else pathlib.Path(path).read_bytes()


def bases(name):
    lines = fetched(name).decode().split("\n")
    return "".join(line.strip() for line in lines if not line.startswith(">")).upper()


def cut(text, size):
    return [text[at:at + size] for at in range(0, len(text), size)]


def cases():
    """Of each: its name, Strand's tokenizer, a maker of Hugging Face's, the texts."""
    dnabert = VOCABULARIES / "dnabert2-tokenizer.json"
    gpt2 = VOCABULARIES / "gpt2-vocab.json"

    def hf_dnabert():
        return Tokenizer.from_file(str(dnabert))

    def hf_gpt2():
        tokenizer = Tokenizer(models.BPE.from_file(str(gpt2), str(VOCABULARIES / "gpt2-merges.txt")))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        return tokenizer

    fly = bases("fly")
    english = fetched("english").decode("utf-8", "ignore")
    yield "dnabert2, 1 kb", dnabert, hf_dnabert, cut(fly, 1_000)
    yield "dnabert2, 100 kb", dnabert, hf_dnabert, cut(fly, 100_000)
    letters = "".join(c for c in fly if c in "ACGT")[:10_000_000]
    yield "dnabert2, one word of 10 Mb", dnabert, hf_dnabert, [letters]
    yield "gpt2, 1 kb of bases", gpt2, hf_gpt2, cut(fly, 1_000)
    yield "gpt2, 10 kB of English", gpt2, hf_gpt2, cut(english, 10_000)


def write_texts(path, texts):
    with open(path, "wb") as out:
        for text in texts:
            data = text.encode()
            out.write(struct.pack("<I", len(data)) + data)


def peer_encode(tokenizer, texts, ids):
    """Seconds of the processor; ids, where given, takes the count and the ids of each text."""
    seconds = 0.0
    for at in range(0, len(texts), 1000):
        begun = time.process_time()
        encodings = tokenizer.encode_batch_fast(texts[at:at + 1000], add_special_tokens=False)
        seconds += time.process_time() - begun
        if ids is not None:
            for encoding in encodings:
                found = encoding.ids
                ids.append(len(found))
                ids.extend(found)
    return seconds


def in_turns(rounds, sides):
    """Seconds of each side in each round; who begins changes."""
    seconds = {side: [] for side in sides}
    for number in range(rounds):
        for side in (list(sides) if number % 2 == 0 else list(sides)[::-1]):
            seconds[side].append(sides[side](number))
    return seconds


def summary(name, size, seconds):
    row = {"what": name, "bytes": size}
    for side, taken in seconds.items():
        row[side] = round(size / min(taken) / 1e6, 2)
        if side != "strand":
            row[f"times {side}"] = round(statistics.median(taken) / statistics.median(seconds["strand"]), 1)
    print("%-30s %s" % (name, "  ".join(f"{k} {v}" for k, v in row.items() if k not in ("what", "bytes"))), flush=True)
    return row


def encode(args, folder):
    rows = []
    for name, ours, make, texts in cases():
        if args.only not in name:
            continue
        ids = array.array("i")
        write_texts(folder / "texts", texts)

        def strand(number):
            command = [BENCH, "encode", ours, folder / "texts"] + ([folder / "ids"] if number == 0 else [])
            return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["cpu_seconds"]

        seconds = in_turns(args.rounds, {
            "strand": strand, "hf": lambda number: peer_encode(make(), texts, ids if number == 0 else None)})
        if (folder / "ids").read_bytes() != ids.tobytes():
            sys.exit(f"{name}: the ids differ")
        row = summary(name, sum(len(text.encode()) for text in texts), seconds)
        row["tokens"] = len(ids) - len(texts)
        rows.append(row)
    return rows


def peer_train(texts, folder):
    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.BpeTrainer(vocab_size=4096, show_progress=False, max_token_length=32,
                                  special_tokens=["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"])
    begun = time.process_time()
    tokenizer.train_from_iterator(texts, trainer)
    return time.process_time() - begun


def sentencepiece_train(texts, folder):
    import sentencepiece
    (folder / "lines").write_text("\n".join(texts))
    begun = time.process_time()
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "lines"), model_prefix=str(folder / "sp"), model_type="bpe", vocab_size=4096, num_threads=1,
        max_sentencepiece_length=32, max_sentence_length=4192, add_dummy_prefix=False, minloglevel=2)
    return time.process_time() - begun


def train(args, folder):
    rows = []
    for name, piece in (("fly", 1_000), ("human", 1_000_000)):
        if args.only not in name:
            continue
        texts = cut(bases(name), piece)
        write_texts(folder / "texts", texts)
        size, memory, vocabularies = sum(map(len, texts)), [], set()

        def strand(number):
            command = [BENCH, "train", folder / "texts", "4096", folder / "tokenizer.json"]
            made = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            memory.append(made["memory"])
            vocabularies.add((folder / "tokenizer.json").read_bytes())
            return made["cpu_seconds"]

        sides = {"strand": strand}
        if name == "fly":
            sides["hf"] = lambda number: peer_train(texts, folder)
            try:
                import sentencepiece  # noqa: F401
                sides["sentencepiece"] = lambda number: sentencepiece_train(texts, folder)
            except ImportError:
                print("sentencepiece is not installed; without it", flush=True)
        row = summary(f"train, {name}", size, in_turns(args.rounds, sides))
        row["bytes of memory per base"] = round(max(memory) / size, 1)
        if len(vocabularies) != 1:
            sys.exit(f"{name}: {len(vocabularies)} different vocabularies")
        rows.append(row)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=["encode", "train"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="cases whose name holds this")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = (encode if args.what == "encode" else train)(args, pathlib.Path(folder))
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
