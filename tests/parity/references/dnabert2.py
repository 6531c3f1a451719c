"""DNABERT-2 (MosaicBERT): post-norm encoder, symmetric ALiBi, GEGLU with the activated half first."""
import math

import torch
from torch import nn

from references.common import BertHead, Folder, Names, Part, Reference, heads_of, key_bias, merge_heads

EPS = 1e-12


def slopes(heads):
    """Press et al.: a power of two has 2^(-8 (i + 1) / heads); else those of the next lower one, then every second of
    the next higher."""
    if math.log2(heads).is_integer():
        return [2.0 ** (-8.0 * (i + 1) / heads) for i in range(heads)]
    lower = 2 ** math.floor(math.log2(heads))
    return slopes(lower) + slopes(2 * lower)[0::2][:heads - lower]


class Layer(nn.Module):
    def __init__(self, c):
        super().__init__()
        d, m = c["hidden"], c["mlp_hidden"]
        self.heads, self.width = c["heads"], m
        self.attention = Folder(output=Folder(dense=nn.Linear(d, d), LayerNorm=nn.LayerNorm(d, EPS)))
        self.attention.self = Folder(Wqkv=nn.Linear(d, 3 * d))
        self.mlp = Folder(gated_layers=nn.Linear(d, 2 * m, bias=False), wo=nn.Linear(m, d),
                          layernorm=nn.LayerNorm(d, EPS))

    def forward(self, x, bias):
        q, k, v = (heads_of(t, self.heads) for t in self.attention.self.Wqkv(x).chunk(3, -1))
        scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5 + bias
        out = self.attention.output
        x = out.LayerNorm(out.dense(merge_heads(scores.softmax(-1) @ v)) + x)
        g = self.mlp.gated_layers(x)
        return self.mlp.layernorm(self.mlp.wo(nn.functional.gelu(g[..., :self.width]) * g[..., self.width:]) + x)


class Dnabert2(nn.Module):
    def __init__(self, c):
        super().__init__()
        d, v = c["hidden"], c["vocabulary"]
        self.slopes = slopes(c["heads"])
        self.bert = Folder(
            embeddings=Folder(word_embeddings=nn.Embedding(v, d), token_type_embeddings=nn.Embedding(2, d),
                              LayerNorm=nn.LayerNorm(d, EPS)),
            encoder=Folder(layer=nn.ModuleList(Layer(c) for _ in range(c["layers"]))))
        self.cls = Folder(predictions=BertHead(self.bert.embeddings.word_embeddings, EPS))

    def forward(self, ids, mask):
        e = self.bert.embeddings
        x = e.LayerNorm(e.word_embeddings(ids) + e.token_type_embeddings(torch.zeros_like(ids)))
        at = torch.arange(ids.shape[1])
        distance = (at[:, None] - at[None, :]).abs().to(x.dtype)
        bias = -torch.tensor(self.slopes, dtype=x.dtype)[:, None, None] * distance + key_bias(mask, x.dtype)
        for layer in self.bert.encoder.layer:
            x = layer(x, bias)
        return self.cls.predictions(x)


def build(c, exact):
    module = Dnabert2(c)
    names = Names()
    names.weight("embedding", "bert.embeddings.word_embeddings")
    names.weight("token_type", "bert.embeddings.token_type_embeddings")
    names.affine("embedding_norm", "bert.embeddings.LayerNorm")
    for n in range(c["layers"]):
        ours, theirs = "blocks.%d." % n, "bert.encoder.layer.%d." % n
        names.affine(ours + "attention_norm", theirs + "attention.output.LayerNorm")
        names.affine(ours + "attention.qkv", theirs + "attention.self.Wqkv")
        names.affine(ours + "attention.out", theirs + "attention.output.dense")
        names.affine(ours + "mlp_norm", theirs + "mlp.layernorm")
        gated = theirs + "mlp.gated_layers.weight"
        names.tensor(ours + "mlp.up.weight", Part(gated, 1, 2), Part(gated, 0, 2))
        names.affine(ours + "mlp.down", theirs + "mlp.wo")
    BertHead.add_names(names)
    return Reference(module, module.bert.encoder.layer, names, module)
