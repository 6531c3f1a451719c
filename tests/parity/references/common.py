"""What the references share: the map between Strand's tensors and the published ones, and pieces of layers."""
import collections.abc

import torch


class Part:
    """Rows [chunk / of, (chunk + 1) / of) of a published tensor."""

    def __init__(self, name, chunk=0, of=1):
        self.name, self.chunk, self.of = name, chunk, of

    def rows(self, tensor):
        n = tensor.shape[0] // self.of
        return tensor[self.chunk * n:(self.chunk + 1) * n]


class Names:
    """Strand's name -> the published parts it is stacked from."""

    def __init__(self):
        self.parts = {}

    def tensor(self, ours, *published):
        self.parts[ours] = [p if isinstance(p, Part) else Part(p) for p in published]

    def weight(self, ours, *published):
        self.tensor(ours + ".weight", *[p + ".weight" for p in published])

    def affine(self, ours, *published):
        self.weight(ours, *published)
        self.tensor(ours + ".bias", *[p + ".bias" for p in published])


class Reference:
    """module: called with ids and an attention mask, gives logits [rows, segment, vocabulary]. layers: its blocks, in
    order."""

    def __init__(self, module, layers, names, logits):
        self.module, self.layers, self.parts, self._logits = module, layers, names.parts, logits
        module.eval()  # no dropout; the references are compared, not regularised
        self.parameters = dict(module.named_parameters())
        for name, parameter in self.parameters.items():
            parameter.requires_grad_(any(p.name == name for parts in self.parts.values() for p in parts))

    def double(self):
        self.module.double()
        return self

    def gather(self, of):
        """Strand's tensors out of of(parameter) for each published parameter, made when asked for."""
        return Gathered(self, of)

    def load(self, ours, array):
        """One of Strand's tensors."""
        targets = [p.rows(self.parameters[p.name]) for p in self.parts[ours]]
        with torch.no_grad():
            for target, value in zip(targets, torch.from_numpy(array).split([t.shape[0] for t in targets])):
                target.copy_(value)

    def forward(self, ids, mask):
        """Logits, and the input of each block followed by the output of the last."""
        hidden, hooks = [], []
        for layer in self.layers:
            hooks.append(layer.register_forward_pre_hook(
                lambda _, args, kwargs: hidden.append((args[0] if args else kwargs["hidden_states"]).detach()),
                with_kwargs=True))
        hooks.append(self.layers[-1].register_forward_hook(
            lambda _, args, out: hidden.append((out[0] if isinstance(out, tuple) else out).detach())))
        before = torch.get_default_dtype()
        torch.set_default_dtype(next(iter(self.parameters.values())).dtype)  # transformers makes its masks in it
        logits = self._logits(ids, mask)
        torch.set_default_dtype(before)
        for hook in hooks:
            hook.remove()
        return logits, hidden


class Gathered(collections.abc.Mapping):
    """Strand's name -> array."""

    def __init__(self, reference, of):
        self.reference, self.of = reference, of

    def __getitem__(self, ours):
        parts = self.reference.parts[ours]
        return torch.cat([p.rows(self.of(self.reference.parameters[p.name])) for p in parts]).numpy()

    def __iter__(self):
        return iter(self.reference.parts)

    def __len__(self):
        return len(self.reference.parts)


def frequencies(theta, size, exact):
    """theta^(-2 i / size) in fp32. The published code takes the power in fp32; rounded once it may differ by a bit."""
    if exact:
        return (theta ** (-torch.arange(0, size, 2, dtype=torch.float64) / size)).float()
    return 1.0 / (theta ** (torch.arange(0, size, 2, dtype=torch.int64).float() / size))


def rotary_tables(theta, size, length, dtype, exact):
    """cos and sin [length, size]. The angle is the fp32 product of position and frequency, as published."""
    angle = torch.outer(torch.arange(length).float(), frequencies(theta, size, exact))
    angle = torch.cat([angle, angle], -1)
    if exact:
        angle = angle.double()
    return angle.cos().to(dtype), angle.sin().to(dtype)


def rotate_half(x):
    a, b = x.chunk(2, -1)
    return torch.cat([-b, a], -1)


def heads_of(x, heads):
    """[rows, length, heads * size] -> [rows, heads, length, size]."""
    rows, length, width = x.shape
    return x.view(rows, length, heads, width // heads).transpose(1, 2)


def merge_heads(x):
    rows, heads, length, size = x.shape
    return x.transpose(1, 2).reshape(rows, length, heads * size)


def key_bias(mask, dtype):
    """Added to scores [rows, heads, queries, keys]: minus infinity for padding keys."""
    bias = torch.zeros(mask.shape, dtype=dtype).masked_fill(mask == 0, float("-inf"))
    return bias[:, None, None, :]


class Folder(torch.nn.Module):
    """A level of the published names without a computation of its own."""

    def __init__(self, **modules):
        super().__init__()
        for name, module in modules.items():
            setattr(self, name, module)


def esm_names(c):
    """What both Nucleotide Transformers call all but positions and the MLP's first matrix."""
    names = Names()
    names.weight("embedding", "esm.embeddings.word_embeddings")
    for n in range(c["layers"]):
        ours, theirs = "blocks.%d." % n, "esm.encoder.layer.%d." % n
        names.affine(ours + "attention_norm", theirs + "attention.LayerNorm")
        names.affine(ours + "attention.qkv", *[theirs + "attention.self." + p for p in ("query", "key", "value")])
        names.affine(ours + "attention.out", theirs + "attention.output.dense")
        names.affine(ours + "mlp_norm", theirs + "LayerNorm")
    names.affine("final_norm", "esm.encoder.emb_layer_norm_after")
    names.affine("head.transform", "lm_head.dense")
    names.affine("head.transform_norm", "lm_head.layer_norm")
    names.weight("head", "lm_head.decoder")
    names.tensor("head.bias", "lm_head.bias")
    return names


class BertHead(torch.nn.Module):
    """cls.predictions of BERT's children; the output matrix is the embedding."""

    def __init__(self, embedding, eps):
        super().__init__()
        vocabulary, d = embedding.weight.shape
        self.transform = Folder(dense=torch.nn.Linear(d, d), LayerNorm=torch.nn.LayerNorm(d, eps))
        self.decoder = torch.nn.Linear(d, vocabulary)
        self.decoder.weight = embedding.weight

    def forward(self, x):
        return self.decoder(self.transform.LayerNorm(torch.nn.functional.gelu(self.transform.dense(x))))

    @staticmethod
    def add_names(names):
        names.affine("head.transform", "cls.predictions.transform.dense")
        names.affine("head.transform_norm", "cls.predictions.transform.LayerNorm")
        names.tensor("head.bias", "cls.predictions.decoder.bias")
