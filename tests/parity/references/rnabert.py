"""AIDO.DNA (RNABert): pre-norm encoder, half-rotation RoPE, SwiGLU with gate_proj and up_proj, biases everywhere."""
import torch
from torch import nn

from references.common import BertHead, Folder, Names, Reference, heads_of, key_bias, merge_heads
from references.common import rotary_tables, rotate_half


class Layer(nn.Module):
    def __init__(self, c, exact):
        super().__init__()
        d, f = c["hidden"], c["mlp_hidden"]
        self.heads, self.exact = c["heads"], exact
        self.attention = Folder(ln=nn.LayerNorm(d, 1e-5), output=Folder(dense=nn.Linear(d, d)))
        self.attention.self = Folder(query=nn.Linear(d, d), key=nn.Linear(d, d), value=nn.Linear(d, d))
        self.ln = nn.LayerNorm(d, 1e-5)
        self.mlp = Folder(gate_proj=nn.Linear(d, f), up_proj=nn.Linear(d, f), down_proj=nn.Linear(f, d))

    def forward(self, x, bias):
        a = self.attention.ln(x)
        q, k, v = (heads_of(getattr(self.attention.self, n)(a), self.heads) for n in ("query", "key", "value"))
        size = q.shape[-1]
        cos, sin = rotary_tables(1e4, size, x.shape[1], x.dtype, self.exact)
        q, k = (t * cos + rotate_half(t) * sin for t in (q, k))
        scores = q @ k.transpose(-1, -2) / size ** 0.5 + bias
        x = x + self.attention.output.dense(merge_heads(scores.softmax(-1) @ v))
        m = self.ln(x)
        return x + self.mlp.down_proj(nn.functional.silu(self.mlp.gate_proj(m)) * self.mlp.up_proj(m))


class RnaBert(nn.Module):
    def __init__(self, c, exact):
        super().__init__()
        d, v = c["hidden"], c["vocabulary"]
        self.bert = Folder(
            embeddings=Folder(word_embeddings=nn.Embedding(v, d)),
            encoder=Folder(layer=nn.ModuleList(Layer(c, exact) for _ in range(c["layers"])), ln=nn.LayerNorm(d, 1e-5)))
        self.cls = Folder(predictions=BertHead(self.bert.embeddings.word_embeddings, 1e-5))

    def forward(self, ids, mask):
        x = self.bert.embeddings.word_embeddings(ids)
        bias = key_bias(mask, x.dtype)
        for layer in self.bert.encoder.layer:
            x = layer(x, bias)
        return self.cls.predictions(self.bert.encoder.ln(x))


def build(c, exact):
    module = RnaBert(c, exact)
    names = Names()
    names.weight("embedding", "bert.embeddings.word_embeddings")
    for n in range(c["layers"]):
        ours, theirs = "blocks.%d." % n, "bert.encoder.layer.%d." % n
        names.affine(ours + "attention_norm", theirs + "attention.ln")
        names.affine(ours + "attention.qkv", *[theirs + "attention.self." + p for p in ("query", "key", "value")])
        names.affine(ours + "attention.out", theirs + "attention.output.dense")
        names.affine(ours + "mlp_norm", theirs + "ln")
        names.affine(ours + "mlp.up", theirs + "mlp.up_proj", theirs + "mlp.gate_proj")
        names.affine(ours + "mlp.down", theirs + "mlp.down_proj")
    names.affine("final_norm", "bert.encoder.ln")
    BertHead.add_names(names)
    return Reference(module, module.bert.encoder.layer, names, module)
