"""Builds Hugging Face decoders in float32 straight from a GGUF file.

Config and weights are mapped here by hand, so the oracle does not hang on transformers' own GGUF
reader (which `load_by_transformers` offers as a second, independent way). Quantised tensors are
dequantised by the gguf package.
"""
import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import gguf
import numpy as np
import torch
import transformers

transformers.utils.logging.disable_progress_bar()
torch.set_grad_enabled(False)

PARTS = {  # GGUF name in a block -> HF name in a layer
    "attn_norm.weight": "input_layernorm.weight",
    "attn_q.weight": "self_attn.q_proj.weight",
    "attn_k.weight": "self_attn.k_proj.weight",
    "attn_v.weight": "self_attn.v_proj.weight",
    "attn_q.bias": "self_attn.q_proj.bias",
    "attn_k.bias": "self_attn.k_proj.bias",
    "attn_v.bias": "self_attn.v_proj.bias",
    "attn_q_norm.weight": "self_attn.q_norm.weight",
    "attn_k_norm.weight": "self_attn.k_norm.weight",
    "attn_output.weight": "self_attn.o_proj.weight",
    "ffn_norm.weight": "post_attention_layernorm.weight",
    "ffn_gate.weight": "mlp.gate_proj.weight",
    "ffn_up.weight": "mlp.up_proj.weight",
    "ffn_down.weight": "mlp.down_proj.weight",
}
GEMMA_PARTS = {
    "post_attention_norm.weight": "post_attention_layernorm.weight",
    "ffn_norm.weight": "pre_feedforward_layernorm.weight",
    "post_ffw_norm.weight": "post_feedforward_layernorm.weight",
}


class GgufModel:
    """Metadata and float32 tensors of a GGUF file."""

    def __init__(self, path):
        self.reader = gguf.GGUFReader(path)
        self.meta = {key: field.contents() for key, field in self.reader.fields.items()
                     if not key.startswith("tokenizer.ggml.") or len(field.data) == 1}
        self.arch = self.meta["general.architecture"]
        self.tensors = {t.name: t for t in self.reader.tensors}

    def key(self, name, default=None):
        return self.meta.get(f"{self.arch}.{name}", default)

    def tensor(self, name):
        t = self.tensors[name]
        if t.tensor_type == gguf.GGMLQuantizationType.F32:
            return torch.from_numpy(np.array(t.data, np.float32))
        return torch.from_numpy(gguf.quants.dequantize(t.data, t.tensor_type).astype(np.float32))


def unpermute(weight, n_heads):
    """llama files hold Q and K rows so that pairs (2i, 2i+1) turn together; HF turns (i, i + d/2)."""
    rows, columns = weight.shape
    half = rows // n_heads // 2
    return weight.reshape(n_heads, half, 2, columns).transpose(1, 2).reshape(rows, columns)


def _llama3_rope(g, base, head_dim):
    """The parameters behind a rope_freqs tensor; the caller overwrites the frequencies exactly."""
    return {"rope_type": "llama3", "rope_theta": base, "factor": 8.0, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": 64}


def make_config(g):
    n_q = g.key("attention.head_count")
    head_dim = g.key("attention.key_length", g.key("embedding_length") // n_q)
    base = g.key("rope.freq_base", 10000.0)
    common = dict(
        vocab_size=int(g.tensors["token_embd.weight"].shape[1]),
        hidden_size=g.key("embedding_length"), intermediate_size=g.key("feed_forward_length"),
        num_hidden_layers=g.key("block_count"), num_attention_heads=n_q,
        num_key_value_heads=g.key("attention.head_count_kv"), head_dim=head_dim,
        max_position_embeddings=g.key("context_length"),
        rms_norm_eps=g.key("attention.layer_norm_rms_epsilon"),
        tie_word_embeddings="output.weight" not in g.tensors, attn_implementation="eager")
    default = {"rope_type": "default", "rope_theta": base}
    if g.arch == "llama":
        rope = _llama3_rope(g, base, head_dim) if "rope_freqs.weight" in g.tensors else default
        return transformers.LlamaForCausalLM, transformers.LlamaConfig(**common, rope_parameters=rope)
    if g.arch == "qwen2":
        return transformers.Qwen2ForCausalLM, transformers.Qwen2Config(**common, rope_parameters=default)
    if g.arch == "qwen3":
        return transformers.Qwen3ForCausalLM, transformers.Qwen3Config(**common, rope_parameters=default)
    if g.arch != "gemma3":
        raise SystemExit(f"no Hugging Face counterpart known for architecture {g.arch}")
    if g.key("rope.scaling.type") == "linear":
        default = {"rope_type": "linear", "rope_theta": base, "factor": g.key("rope.scaling.factor")}
    local = {"rope_type": "default", "rope_theta": g.key("rope.freq_base_swa", 10000.0)}
    kinds = ["full_attention" if i % 6 == 5 else "sliding_attention"
             for i in range(common["num_hidden_layers"])]
    return transformers.Gemma3ForCausalLM, transformers.Gemma3TextConfig(
        **common, query_pre_attn_scalar=head_dim, sliding_window=g.key("attention.sliding_window"),
        layer_types=kinds, rope_parameters={"full_attention": default, "sliding_attention": local})


def state_dict(g):
    gemma, llama = g.arch == "gemma3", g.arch == "llama"
    norm = (lambda t: t - 1.0) if gemma else (lambda t: t)
    out = {"model.embed_tokens.weight": g.tensor("token_embd.weight"),
           "model.norm.weight": norm(g.tensor("output_norm.weight"))}
    out["lm_head.weight"] = (g.tensor("output.weight") if "output.weight" in g.tensors
                             else out["model.embed_tokens.weight"])
    for name in g.tensors:
        if not name.startswith("blk."):
            continue
        _, layer, part = name.split(".", 2)
        target = GEMMA_PARTS.get(part, PARTS.get(part)) if gemma else PARTS[part]
        weight = g.tensor(name)
        if part.endswith("norm.weight"):
            weight = norm(weight)
        if llama and part in ("attn_q.weight", "attn_k.weight"):
            heads = "attention.head_count" if part == "attn_q.weight" else "attention.head_count_kv"
            weight = unpermute(weight, g.key(heads))
        out[f"model.layers.{layer}.{target}"] = weight
    return out


def load(path):
    """(HF model in float32 with eager attention, GgufModel)."""
    g = GgufModel(path)
    cls, config = make_config(g)
    config._attn_implementation = "eager"
    model = cls(config).float().eval()
    missing, unexpected = model.load_state_dict(state_dict(g), strict=False)
    missing = [m for m in missing if m != "lm_head.weight"]
    if missing or unexpected:
        raise SystemExit(f"{path}: missing {missing[:4]}, unexpected {unexpected[:4]}")
    if "rope_freqs.weight" in g.tensors:
        rotary = model.model.rotary_emb
        head_dim = config.head_dim
        plain = 1.0 / (g.key("rope.freq_base") ** (torch.arange(0, head_dim, 2).float() / head_dim))
        own = plain / g.tensor("rope_freqs.weight")
        if torch.allclose(own, rotary.inv_freq, rtol=1e-5):
            print(f"{os.path.basename(path)}: transformers' llama3 rule gives the file's frequencies")
        rotary.inv_freq = own
    return model, g


def load_by_transformers(path):
    folder, name = os.path.split(os.path.abspath(path))
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, gguf_file=name, dtype=torch.float32, attn_implementation="eager")
    return model.float().eval()


def logits(model, ids):
    return model(torch.tensor([ids])).logits[0].float().numpy()
