"""Families whose published code is in transformers: OPT, Nucleotide Transformer v1 (ESM), Llama and OLMo."""
import torch
from transformers import EsmConfig, EsmForMaskedLM, LlamaConfig, LlamaForCausalLM
from transformers import OlmoConfig, OlmoForCausalLM, OPTConfig, OPTForCausalLM

from references.common import Names, Reference, esm_names, rotary_tables


def opt(c, exact):
    width = c["embedding_width"] or c["hidden"]
    module = OPTForCausalLM(OPTConfig(
        vocab_size=c["vocabulary"], hidden_size=c["hidden"], num_hidden_layers=c["layers"], ffn_dim=c["mlp_hidden"],
        max_position_embeddings=c["max_sequence"], do_layer_norm_before=c["norm_placement"] == "pre",
        word_embed_proj_dim=width, num_attention_heads=c["heads"], activation_function="relu"))
    names, top = Names(), "model.decoder."
    names.weight("embedding", top + "embed_tokens")
    names.weight("position", top + "embed_positions")
    if width != c["hidden"]:
        names.weight("embedding.project_in", top + "project_in")
        names.weight("head.project_out", top + "project_out")
    for n in range(c["layers"]):
        ours, theirs = "blocks.%d." % n, top + "layers.%d." % n
        names.affine(ours + "attention_norm", theirs + "self_attn_layer_norm")
        names.affine(ours + "attention.qkv", *[theirs + "self_attn.%s_proj" % p for p in "qkv"])
        names.affine(ours + "attention.out", theirs + "self_attn.out_proj")
        names.affine(ours + "mlp_norm", theirs + "final_layer_norm")
        names.affine(ours + "mlp.up", theirs + "fc1")
        names.affine(ours + "mlp.down", theirs + "fc2")
    if c["norm_placement"] == "pre":
        names.affine("final_norm", top + "final_layer_norm")
    return Reference(module, module.model.decoder.layers, names,
                     lambda ids, mask: module(input_ids=ids, attention_mask=mask).logits)


def esm2(c, exact):
    """ESM-2: Nucleotide Transformer v1 with rotary positions, and its matrix tied."""
    return nt_v1(c, exact, positions="rotary")


def nt_v1(c, exact, positions="absolute"):
    module = EsmForMaskedLM(EsmConfig(
        vocab_size=c["vocabulary"], pad_token_id=c["pad_id"], mask_token_id=c["mask_id"], hidden_size=c["hidden"],
        num_hidden_layers=c["layers"], num_attention_heads=c["heads"], intermediate_size=c["mlp_hidden"],
        max_position_embeddings=c["max_sequence"] + 2, layer_norm_eps=1e-12, position_embedding_type=positions,
        emb_layer_norm_before=False, token_dropout=True, tie_word_embeddings=positions == "rotary"))
    names = esm_names(c)
    if positions == "absolute":
        names.weight("position", "esm.embeddings.position_embeddings")
    for n in range(c["layers"]):
        ours, theirs = "blocks.%d." % n, "esm.encoder.layer.%d." % n
        names.affine(ours + "mlp.up", theirs + "intermediate.dense")
        names.affine(ours + "mlp.down", theirs + "output.dense")
    return Reference(module, module.esm.encoder.layer, names,
                     lambda ids, mask: module(input_ids=ids, attention_mask=mask).logits)


def gated_decoder(c, module, norm_weight):
    """Llama and OLMo share their names; only Llama's norms have a weight."""
    names = Names()
    names.weight("embedding", "model.embed_tokens")
    for n in range(c["layers"]):
        ours, theirs = "blocks.%d." % n, "model.layers.%d." % n
        names.weight(ours + "attention.qkv", *[theirs + "self_attn.%s_proj" % p for p in "qkv"])
        names.weight(ours + "attention.out", theirs + "self_attn.o_proj")
        names.weight(ours + "mlp.up", theirs + "mlp.up_proj", theirs + "mlp.gate_proj")
        names.weight(ours + "mlp.down", theirs + "mlp.down_proj")
        if norm_weight:
            names.weight(ours + "attention_norm", theirs + "input_layernorm")
            names.weight(ours + "mlp_norm", theirs + "post_attention_layernorm")
    if norm_weight:
        names.weight("final_norm", "model.norm")
    if not c["tied"]:
        names.weight("head", "lm_head")
    return Reference(module, module.model.layers, names,
                     lambda ids, mask: module(input_ids=ids, attention_mask=mask, use_cache=False).logits)


def common_config(c):
    return dict(vocab_size=c["vocabulary"], hidden_size=c["hidden"], intermediate_size=c["mlp_hidden"],
                num_hidden_layers=c["layers"], num_attention_heads=c["heads"], num_key_value_heads=c["heads"],
                max_position_embeddings=c["max_sequence"], tie_word_embeddings=c["tied"], rope_theta=1e4,
                pad_token_id=None)


def without_fp32_detours(c, module, norm):
    """Norms and rotary tables in the dtype of their input."""
    size = c["hidden"] // c["heads"]

    def tables(x, position_ids):
        cos, sin = rotary_tables(1e4, size, int(position_ids.max()) + 1, x.dtype, exact=True)
        return cos[position_ids], sin[position_ids]

    for part in module.modules():
        kind = type(part).__name__
        if kind.endswith("RotaryEmbedding"):
            part.forward = tables
        elif kind in ("LlamaRMSNorm", "OlmoLayerNorm"):
            part.forward = norm(part)


def llama(c, exact):
    """Omni-DNA with RMSNorm (300M and below): OLMo's blocks with Llama's norm."""
    module = LlamaForCausalLM(LlamaConfig(rms_norm_eps=1e-5, attention_bias=False, mlp_bias=False, **common_config(c)))
    if exact:
        without_fp32_detours(c, module, lambda part: lambda x: part.weight * (
            x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5)))
    return gated_decoder(c, module, norm_weight=True)


def olmo(c, exact):
    """Omni-DNA with layer norm without weights (1B): OLMo itself."""
    module = OlmoForCausalLM(OlmoConfig(clip_qkv=None, attention_bias=False, **common_config(c)))
    if exact:
        without_fp32_detours(c, module, lambda part: lambda x: torch.nn.functional.layer_norm(
            x, x.shape[-1:], None, None, 1e-5))
    return gated_decoder(c, module, norm_weight=False)
