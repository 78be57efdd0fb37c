"""A plain float32 decoder over Hugging Face weights whose cache is ragged: every layer and KV head
holds its own cells, which can be evicted one by one. The reference for eviction and position modes.

A cell is (key before rotation, value, ordinal, rope position). Position modes:
  original   kept keys stay where they were rotated; new tokens rotate at their ordinal.
  compact    at an eviction the kept keys of a layer and head are renumbered 0..n-1; new tokens go on
             from n of that layer and head.
  colliding  kept keys stay; new tokens go on from n, the number of kept cells of that layer and head.
Causality and windows look at ordinals only: on a sliding layer a cell is visible to a query while
query ordinal - cell ordinal < window, and at an eviction what the next query cannot see is gone
before n is counted.
"""
import torch
import torch.nn.functional as F


class Cells:
    """The cells of one layer and KV head, ascending by ordinal."""

    def __init__(self, head_dim):
        self.k = torch.zeros(0, head_dim)
        self.v = torch.zeros(0, head_dim)
        self.ordinal = torch.zeros(0, dtype=torch.long)
        self.pos = torch.zeros(0, dtype=torch.long)
        self.next_pos = 0

    def append(self, k, v, ordinals):
        pos = torch.arange(self.next_pos, self.next_pos + len(ordinals))
        self.next_pos += len(ordinals)
        self.k, self.v = torch.cat([self.k, k]), torch.cat([self.v, v])
        self.ordinal = torch.cat([self.ordinal, ordinals])
        self.pos = torch.cat([self.pos, pos])
        return pos

    def keep(self, ordinals, mode, n_logical):
        wanted = torch.tensor(sorted(ordinals), dtype=torch.long)
        at = torch.searchsorted(self.ordinal, wanted)
        assert torch.equal(self.ordinal[at], wanted), "an ordinal to keep is not in the cache"
        self.k, self.v, self.ordinal, self.pos = self.k[at], self.v[at], self.ordinal[at], self.pos[at]
        if mode == "compact":
            self.pos = torch.arange(len(at))
        self.next_pos = n_logical if mode == "original" else len(at)


class RaggedDecoder:
    def __init__(self, model, mode="original"):
        self.model, self.config, self.mode = model, model.config, mode
        c = self.config
        self.gemma = hasattr(model.model.layers[0], "pre_feedforward_layernorm")
        self.head_dim, self.n_kv = c.head_dim, c.num_key_value_heads
        self.group = c.num_attention_heads // self.n_kv
        self.cells = [[Cells(self.head_dim) for _ in range(self.n_kv)]
                      for _ in range(c.num_hidden_layers)]
        self.n_logical = 0

    def window(self, layer):
        if self.gemma and self.config.layer_types[layer] == "sliding_attention":
            return self.config.sliding_window
        return 0

    def live(self, layer, head):
        """Ordinals that the next query can still see."""
        ordinal = self.cells[layer][head].ordinal
        window = self.window(layer)
        return ordinal[self.n_logical - ordinal < window].tolist() if window else ordinal.tolist()

    def evict(self, kept):
        """kept[layer][kv_head]: ordinals. Those that left a sliding window are dropped silently; a
        head that keeps all it still sees is not renumbered."""
        for layer, heads in enumerate(kept):
            for head, ordinals in enumerate(heads):
                visible = set(self.live(layer, head))
                if visible <= set(ordinals):
                    continue  # nothing evicted here: positions go on as they were
                self.cells[layer][head].keep([o for o in ordinals if o in visible], self.mode,
                                             self.n_logical)

    def rotate(self, x, pos, layer):
        rotary = self.model.model.rotary_emb
        args = (self.config.layer_types[layer],) if self.gemma else ()
        cos, sin = rotary(x, pos[None], *args)
        half = self.head_dim // 2
        turned = torch.cat([-x[..., half:], x[..., :half]], -1)
        return x * cos[0] + turned * sin[0]

    def attention(self, layer, x, ordinals):
        block = self.model.model.layers[layer].self_attn
        n = len(ordinals)
        q = block.q_proj(x).view(n, -1, self.head_dim)
        k = block.k_proj(x).view(n, -1, self.head_dim)
        v = block.v_proj(x).view(n, -1, self.head_dim)
        if hasattr(block, "q_norm"):
            q, k = block.q_norm(q), block.k_norm(k)
        outs = []
        for head in range(self.n_kv):
            cells = self.cells[layer][head]
            pos = cells.append(k[:, head], v[:, head], ordinals)
            keys = self.rotate(cells.k, cells.pos, layer)
            distance = ordinals[:, None] - cells.ordinal[None, :]
            hidden = distance < 0
            if self.window(layer):
                hidden |= distance >= self.window(layer)
            for g in range(self.group):
                query = self.rotate(q[:, head * self.group + g], pos, layer)
                scores = query @ keys.T * block.scaling
                outs.append(F.softmax(scores.masked_fill(hidden, float("-inf")), -1) @ cells.v)
        return block.o_proj(torch.cat(outs, -1))

    def run(self, ids):
        """Feeds ids as one chunk; float32 logits [n, n_vocab]."""
        m = self.model.model
        ordinals = torch.arange(self.n_logical, self.n_logical + len(ids))
        h = m.embed_tokens(torch.tensor(ids))
        for i, layer in enumerate(m.layers):
            a = self.attention(i, layer.input_layernorm(h), ordinals)
            if self.gemma:
                h = h + layer.post_attention_layernorm(a)
                f = layer.mlp(layer.pre_feedforward_layernorm(h))
                h = h + layer.post_feedforward_layernorm(f)
            else:
                h = h + a
                h = h + layer.mlp(layer.post_attention_layernorm(h))
        self.n_logical += len(ids)
        return self.model.lm_head(m.norm(h)).float().numpy()
