"""The published models in PyTorch, with the published tensor names: what Strand is compared with.

build(family, config, exact) gives a Reference. `exact`: in fp64 where the published code rounds to fp32 on its way
(norms, rotary tables), so that it is the truth that fp32 implementations are measured against; else the published code.
"""
from references import dnabert2, nt_v2, published, rnabert

BUILDERS = {"opt": published.opt, "nt-v1": published.nt_v1, "esm-2": published.esm2, "llama": published.llama,
            "olmo": published.olmo, "dna-fm": rnabert.build, "dnabert-2": dnabert2.build, "nt-v2": nt_v2.build}


def build(kind, config, exact):
    reference = BUILDERS[kind](config, exact)
    return reference.double() if exact else reference
