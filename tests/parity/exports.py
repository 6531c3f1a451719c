#!/usr/bin/env python3
"""Weights in and out of Strand, against the libraries that own the formats.

    build/parity-venv/bin/python tests/parity/exports.py [build/release/strand]

A tiny model of every family with random weights is saved by torch and by safetensors (whole, in shards, in half
precision; Omni-DNA also under its published names), taken in by `strand import`, written by `strand export` and opened
again. Then: the same digest for every way in, the same logits bit for bit, no missing or unexpected tensor, and no
warning where the class is transformers' own (rotary ESM: none but of what it computes or never uses). With --golden it
writes tests/golden/opt_half instead: a pytorch_model.bin of torch's own making.
"""
import io
import json
import logging
import os
import subprocess
import sys
import tempfile
import warnings

os.environ["HF_HUB_OFFLINE"] = os.environ["TRANSFORMERS_OFFLINE"] = "1"
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import safetensors.torch  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from transformers import OPTConfig, OPTForCausalLM  # noqa: E402

import references  # noqa: E402

SIZES = dict(vocabulary=60, hidden=32, layers=2, heads=4, mlp_hidden=48, max_sequence=30, embedding_width=0,
             norm_placement="pre", tied=True, pad_id=1, mask_id=2)
CASES = {
    "opt-125m": ("opt", {}), "opt-350m": ("opt", dict(embedding_width=16, norm_placement="post")),
    "omni-dna-layer": ("olmo", {}), "omni-dna-rms": ("llama", {}), "omni-dna-untied": ("llama", dict(tied=False)),
    "nt-v1": ("nt-v1", {}), "esm-2": ("esm-2", {}), "nt-v2": ("nt-v2", {}), "dnabert-2": ("dnabert-2", {}),
    "dna-fm": ("dna-fm", {}),
}
# config.json of the families whose class is not in transformers, as published.
ENCODER = dict(hidden_size=32, intermediate_size=48, num_attention_heads=4, num_hidden_layers=2, vocab_size=60,
               hidden_dropout_prob=0.0)
CONFIGS = {
    "nt-v2": dict(ENCODER, model_type="esm", add_bias_fnn=False, emb_layer_norm_before=False, layer_norm_eps=1e-12,
                  mask_token_id=2, pad_token_id=1, max_position_embeddings=32, position_embedding_type="rotary",
                  tie_word_embeddings=False, token_dropout=False),
    "dnabert-2": dict(ENCODER, model_type="bert", alibi_starting_size=30, hidden_act="gelu", layer_norm_eps=1e-12,
                      max_position_embeddings=30, type_vocab_size=2),
    "dna-fm": dict(ENCODER, model_type="rnabert", add_linear_bias=True, hidden_act="swiglu", layer_norm_eps=1e-5,
                   max_position_embeddings=30, normalization_type="LayerNorm", position_embedding_type="rope",
                   rotary_percent=1.0, type_vocab_size=2),
}
OLMO = dict(model_type="olmo-gfm", d_model=32, n_layers=2, n_heads=4, layer_norm_with_affine=True,
            bias_for_layer_norm=False, include_bias=False, vocab_size=60, embedding_size=60, mlp_hidden_size=96,
            activation_type="swiglu", block_type="sequential", rope=True, max_sequence_length=30)
ABOUT_MISSING = ("Some weights of EsmForMaskedLM were not initialized", "You should probably TRAIN this model")


class Strand:
    def __init__(self, program):
        self.program = program

    def __call__(self, *arguments):
        done = subprocess.run([self.program, *arguments, "--json"], capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit("strand %s: exit %d: %s" % (" ".join(arguments), done.returncode, done.stderr))
        return json.loads(done.stdout)


def save_tensors(tensors, way, folder):
    """As save_pretrained names its files: one, or two shards with their index."""
    stem, ending = ("model", "safetensors") if "safetensors" in way else ("pytorch_model", "bin")
    names = sorted(tensors)
    shards = [names[::2], names[1::2]] if way.startswith("sharded") else [names]
    files = {}
    for n, shard in enumerate(shards, 1):
        number = "-%05d-of-%05d" % (n, len(shards)) if len(shards) > 1 else ""
        file = stem + number + "." + ending
        some = {name: tensors[name] for name in shard}
        if ending == "bin":
            torch.save(some, os.path.join(folder, file))
        else:
            safetensors.torch.save_file(some, os.path.join(folder, file), metadata={"format": "pt"})
        files.update((name, file) for name in shard)
    if len(shards) > 1:
        size = sum(t.numel() * t.element_size() for t in tensors.values())
        with open("%s/%s.%s.index.json" % (folder, stem, ending), "w") as index:
            json.dump({"metadata": {"total_size": size}, "weight_map": files}, index)


def load_tensors(folder):
    """All that `strand export` wrote, whole or in shards."""
    index = folder + "/model.safetensors.index.json"
    files = ["model.safetensors"]
    if os.path.exists(index):
        with open(index) as file:
            files = sorted(set(json.load(file)["weight_map"].values()))
        assert len(files) > 1, files
    return {n: t for file in files for n, t in safetensors.torch.load_file(os.path.join(folder, file)).items()}


def as_olmo(tensors):
    """Llama's and OLMo's tensors under the names that Omni-DNA is published with; linear half first, then the gate."""
    top, out = "model.transformer.", {}
    for name, to in (("model.embed_tokens", top + "wte"), ("model.norm", top + "ln_f"), ("lm_head", top + "ff_out")):
        if name + ".weight" in tensors:
            out[to + ".weight"] = tensors[name + ".weight"].clone()
    for n in range(SIZES["layers"]):
        ours, theirs = "model.layers.%d." % n, top + "blocks.%d." % n
        for name, parts in (("att_proj", ["self_attn.%s_proj" % p for p in "qkv"]), ("attn_out", ["self_attn.o_proj"]),
                            ("ff_proj", ["mlp.up_proj", "mlp.gate_proj"]), ("ff_out", ["mlp.down_proj"]),
                            ("attn_norm", ["input_layernorm"]), ("ff_norm", ["post_attention_layernorm"])):
            found = [tensors[ours + part + ".weight"] for part in parts if ours + part + ".weight" in tensors]
            if found:
                out[theirs + name + ".weight"] = torch.cat(found).clone()
    return out


def save(reference, kind, way, folder):
    """What another program would publish."""
    module = reference.module
    if way == "half":
        module = module.half()
    if "olmo-gfm" in way:
        os.makedirs(folder)
        tied, rms = module.config.tie_word_embeddings, kind == "llama"
        with open(folder + "/config.json", "w") as file:
            json.dump(dict(OLMO, weight_tying=tied, layer_norm_type="rms" if rms else "default",
                           layer_norm_with_affine=rms), file)
        own = {n: t for n, t in module.state_dict().items() if not (tied and n == "lm_head.weight")}
        save_tensors(as_olmo(own), way, folder)
    elif hasattr(module, "save_pretrained"):
        size = "20KB" if way.startswith("sharded") else "5GB"
        module.save_pretrained(folder, safe_serialization="safetensors" in way, max_shard_size=size)
    else:
        os.makedirs(folder)
        with open(folder + "/config.json", "w") as file:
            json.dump(CONFIGS[kind], file)
        tensors = module.state_dict()
        if "safetensors" in way:
            tensors = {n: t.clone() for n, t in tensors.items() if n != "cls.predictions.decoder.weight"}
        save_tensors(tensors, way, folder)
    if way == "half":
        module.float()


def open_again(reference, kind, folder):
    """A fresh module with the exported weights; asserts that nothing was missing, unexpected or warned about."""
    if hasattr(reference.module, "save_pretrained"):
        said = io.StringIO()
        handler = logging.StreamHandler(said)
        logging.getLogger("transformers").addHandler(handler)
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            module, info = type(reference.module).from_pretrained(folder, output_loading_info=True)
        logging.getLogger("transformers").removeHandler(handler)
        if kind == "esm-2":  # what rotary positions do not use, and buffers that the class computes
            info["missing_keys"] = [k for k in info["missing_keys"]
                                    if not k.endswith(("inv_freq", "embeddings.position_embeddings.weight"))]
            lines = said.getvalue().splitlines()
            said = io.StringIO("\n".join(line for line in lines if not line.startswith(ABOUT_MISSING)))
        assert not any(info.values()), info
        assert not warned and not said.getvalue(), (warned, said.getvalue())
        return module.eval()
    module = references.build(kind, dict(SIZES), exact=False).module
    tensors = load_tensors(folder)
    missing, unexpected = module.load_state_dict(tensors, strict=False)
    # Tied, under its other name, or a part that the reference leaves out.
    assert set(missing) <= {"cls.predictions.decoder.weight", "cls.predictions.decoder.bias"}, missing
    assert set(unexpected) <= {"cls.predictions.bias", "esm.contact_head.regression.weight",
                               "esm.contact_head.regression.bias"}, unexpected
    if "cls.predictions.bias" in unexpected:
        with torch.no_grad():
            module.cls.predictions.decoder.bias.copy_(tensors["cls.predictions.bias"])
    return module


def check(name, strand, folder):
    kind, changes = CASES[name]
    config = {**SIZES, **changes}
    torch.manual_seed(1)
    reference = references.build(kind, config, exact=False)
    for parameter in reference.module.parameters():
        parameter.data.normal_(0, 0.3).copy_(parameter.data.half().float())  # the same value in every precision
    ids = torch.randint(5, 60, (3, 11), generator=torch.Generator().manual_seed(2))
    mask = torch.ones_like(ids)
    with torch.no_grad():
        wanted = reference._logits(ids, mask)
    ways = ["safetensors", "bin", "half", "sharded safetensors", "sharded bin"]
    if name.startswith("omni-dna"):
        ways += ["olmo-gfm safetensors", "olmo-gfm bin", "sharded olmo-gfm safetensors"]
    digests = set()
    for way in ways:
        at = os.path.join(folder, "%s %s" % (name, way))
        save(reference, kind, way, at)
        taken = strand("import", at, "--dir", at + " run")
        given = strand("export", at + " run", at + " out", *(["--shard-bytes", "30000"] if "sharded" in way else []))
        assert given["digest"] == taken["digest"]
        digests.add(taken["digest"])
        module = open_again(reference, kind, at + " out")
        with torch.no_grad():
            got = module(input_ids=ids, attention_mask=mask).logits if hasattr(module, "config") else module(ids, mask)
        assert torch.equal(got, wanted), (got - wanted).abs().max()
    assert len(digests) == 1, digests
    print("%-16s %s: %d parameters, %s" % (name, ", ".join(ways), taken["parameters"], given["architecture"]))


JOB = """
[job]
name = "small"
[model]
layers = 2
hidden = 32
heads = 4
mlp_hidden = 48
max_sequence = 64
%s
[data]
files = ["genome.fna"]
segment = 64
holdout = { fraction = 0.1 }
[train]
steps = 2
lanes = 1
micro_batch = 4
warmup = 1
[evaluate]
every = 0
"""
RUNS = {  # the model's and the tokenizer's keys of a run of our own, and what Python calls the model
    "nucleotide rms": ("vocabulary = 16", ""),
    "bpe rms": ("vocabulary = 64", '[tokenizer]\nkind = "bpe"\nvocabulary = 64'),
    "bpe layer": ('vocabulary = 64\nnorm = "layer-no-affine"',
                  '[tokenizer]\nkind = "bpe"\nvocabulary = 64'),
}


def check_own(name, strand, folder):
    """A run of our own, exported: AutoTokenizer gives the ids that Strand trains on, and AutoModel takes them."""
    model, tokenizer = RUNS[name]
    at = os.path.join(folder, name)
    os.makedirs(at)
    bases = "".join("ACGT"[i] for i in torch.randint(0, 4, (6000,), generator=torch.Generator().manual_seed(3)))
    with open(at + "/genome.fna", "w") as file:
        file.write(">g\n" + bases + "\n")
    with open(at + "/job.toml", "w") as file:
        file.write(JOB % model + tokenizer + "\n")
    strand("run", at + "/job.toml", "--dir", at + "/run")
    given = strand("export", at + "/run", at + "/out")
    said = io.StringIO()
    handler = logging.StreamHandler(said)
    logging.getLogger("transformers").addHandler(handler)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        theirs = transformers.AutoTokenizer.from_pretrained(at + "/out")
        network = transformers.AutoModelForCausalLM.from_pretrained(at + "/out").eval()
    logging.getLogger("transformers").removeHandler(handler)
    assert not warned and not said.getvalue(), (warned, said.getvalue())
    for text in ("ACGTAC", bases[:60], "ACGTNNACG"):
        ours = strand("tokenizer", "encode", at + "/out", text)["ids"]
        bare = theirs(text, add_special_tokens=False)["input_ids"]
        assert bare == ours, (text, bare, ours)
        with torch.no_grad():
            assert torch.isfinite(network(**theirs(text, return_tensors="pt", return_token_type_ids=False)).logits).all()
    assert len(theirs) <= network.config.vocab_size, (len(theirs), network.config.vocab_size)
    print("%-16s run, export, AutoTokenizer: %s, %s" % (name, type(theirs).__name__, given["architecture"]))


def write_golden():
    """Half precision and tied under both names, as OPT's released files are; values are a formula of name and element."""
    config = OPTConfig(vocab_size=11, hidden_size=8, num_hidden_layers=1, ffn_dim=12, num_attention_heads=2,
                       max_position_embeddings=6, word_embed_proj_dim=4, do_layer_norm_before=False)
    model = OPTForCausalLM(config)
    for name, parameter in model.named_parameters():  # a tied one once
        flat = torch.arange(parameter.numel())
        parameter.data = (((7 * flat + len(name)) % 101 - 50) / 64).reshape(parameter.shape).half()
    folder = os.path.join(HERE, "..", "golden", "opt_half")
    model.half().save_pretrained(folder, safe_serialization=False)
    os.remove(folder + "/generation_config.json")


def main():
    if "--golden" in sys.argv:
        return write_golden()
    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()
    strand = Strand(sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "../../build/release/strand"))
    with tempfile.TemporaryDirectory() as folder:
        for name in CASES:
            check(name, strand, folder)
        for name in RUNS:
            check_own(name, strand, folder)


if __name__ == "__main__":
    main()
