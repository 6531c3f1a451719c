"""Nucleotide Transformer v2: ESM's pre-norm encoder with rotary positions and a SwiGLU without biases, the activated
half first; embedding and output matrix are two tensors."""
from torch import nn

from references.common import Folder, Part, Reference, esm_names, heads_of, key_bias, merge_heads
from references.common import rotary_tables, rotate_half

EPS = 1e-12


class Layer(nn.Module):
    def __init__(self, c, exact):
        super().__init__()
        d, m = c["hidden"], c["mlp_hidden"]
        self.heads, self.exact = c["heads"], exact
        self.attention = Folder(LayerNorm=nn.LayerNorm(d, EPS), output=Folder(dense=nn.Linear(d, d)))
        self.attention.self = Folder(query=nn.Linear(d, d), key=nn.Linear(d, d), value=nn.Linear(d, d))
        self.LayerNorm = nn.LayerNorm(d, EPS)
        self.intermediate = Folder(dense=nn.Linear(d, 2 * m, bias=False))
        self.output = Folder(dense=nn.Linear(m, d, bias=False))

    def forward(self, x, bias):
        a = self.attention.LayerNorm(x)
        q, k, v = (heads_of(getattr(self.attention.self, n)(a), self.heads) for n in ("query", "key", "value"))
        q = q * q.shape[-1] ** -0.5
        cos, sin = rotary_tables(1e4, q.shape[-1], x.shape[1], x.dtype, self.exact)
        q, k = (t * cos + rotate_half(t) * sin for t in (q, k))
        x = x + self.attention.output.dense(merge_heads((q @ k.transpose(-1, -2) + bias).softmax(-1) @ v))
        gate, linear = self.intermediate.dense(self.LayerNorm(x)).chunk(2, -1)
        return x + self.output.dense(nn.functional.silu(gate) * linear)


class LmHead(nn.Module):
    def __init__(self, d, vocabulary):
        super().__init__()
        self.dense, self.layer_norm = nn.Linear(d, d), nn.LayerNorm(d, EPS)
        self.decoder = nn.Linear(d, vocabulary, bias=False)
        self.bias = nn.Parameter(self.dense.weight.new_zeros(vocabulary))

    def forward(self, x):
        return self.decoder(self.layer_norm(nn.functional.gelu(self.dense(x)))) + self.bias


class NucleotideTransformerV2(nn.Module):
    def __init__(self, c, exact):
        super().__init__()
        d = c["hidden"]
        self.esm = Folder(
            embeddings=Folder(word_embeddings=nn.Embedding(c["vocabulary"], d)),
            encoder=Folder(layer=nn.ModuleList(Layer(c, exact) for _ in range(c["layers"])),
                           emb_layer_norm_after=nn.LayerNorm(d, EPS)))
        self.lm_head = LmHead(d, c["vocabulary"])

    def forward(self, ids, mask):
        x = self.esm.embeddings.word_embeddings(ids)
        x = x * mask[..., None].to(x.dtype)
        bias = key_bias(mask, x.dtype)
        for layer in self.esm.encoder.layer:
            x = layer(x, bias)
        return self.lm_head(self.esm.encoder.emb_layer_norm_after(x))


def build(c, exact):
    module = NucleotideTransformerV2(c, exact)
    names = esm_names(c)
    for n in range(c["layers"]):
        ours, theirs = "blocks.%d.mlp." % n, "esm.encoder.layer.%d." % n
        both = theirs + "intermediate.dense.weight"
        names.tensor(ours + "up.weight", Part(both, 1, 2), Part(both, 0, 2))
        names.weight(ours + "down", theirs + "output.dense")
    return Reference(module, module.esm.encoder.layer, names, module)
