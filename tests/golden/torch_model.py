"""Isoflop's transformer written in PyTorch, independently: what the golden files, the checkpoint
check and the learning twin compare with. Only torch's own norms, attention and activations are
used. Parameter names are the tensor names of a checkpoint (those of Hugging Face's Llama).

A model is described by a dict of Isoflop's model fields: layers width heads head_width kv_heads ffn
vocab context norm norm_eps positions rope_theta mlp bias tied_embeddings (to start: init_std)."""
import math
import torch, torch.nn as nn, torch.nn.functional as F


class Norm(nn.Module):
    def __init__(self, m):
        super().__init__()
        self.kind, self.eps = m["norm"], m["norm_eps"]
        self.weight = nn.Parameter(torch.ones(m["width"]))
        biased = m["bias"] and self.kind == "layernorm"
        self.bias = nn.Parameter(torch.zeros(m["width"])) if biased else None

    def forward(self, x):
        if self.kind == "rmsnorm":
            return F.rms_norm(x, (x.shape[-1],), self.weight, self.eps)
        return F.layer_norm(x, (x.shape[-1],), self.weight, self.bias, self.eps)


def rotate(x, theta):
    """Rotary positions, halves form: pairs (x[i], x[i + HS/2])."""
    half = x.shape[-1] // 2
    exact = torch.promote_types(x.dtype, torch.float32)
    angle = torch.arange(x.shape[-2], dtype=exact)[:, None] * theta ** (
        -torch.arange(half, dtype=exact) / half)
    cos, sin = angle.cos(), angle.sin()
    a, b = x[..., :half], x[..., half:]
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1).to(x.dtype)


class Attention(nn.Module):
    def __init__(self, m):
        super().__init__()
        self.heads, self.kv, self.hs = m["heads"], m["kv_heads"], m["head_width"]
        self.theta = m["rope_theta"] if m["positions"] == "rope" else None
        q, kv, bias = self.heads * self.hs, self.kv * self.hs, m["bias"]
        self.q_proj, self.k_proj = nn.Linear(m["width"], q, bias), nn.Linear(m["width"], kv, bias)
        self.v_proj, self.o_proj = nn.Linear(m["width"], kv, bias), nn.Linear(q, m["width"], bias)

    def forward(self, x):
        b, t, _ = x.shape
        q = self.q_proj(x).view(b, t, self.heads, self.hs).transpose(1, 2)
        k = self.k_proj(x).view(b, t, self.kv, self.hs).transpose(1, 2)
        v = self.v_proj(x).view(b, t, self.kv, self.hs).transpose(1, 2)
        if self.theta is not None:
            q, k = rotate(q, self.theta), rotate(k, self.theta)
        shared = self.kv != self.heads
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=shared)
        return self.o_proj(y.transpose(1, 2).reshape(b, t, self.heads * self.hs))


class Mlp(nn.Module):
    def __init__(self, m):
        super().__init__()
        width, ffn, bias = m["width"], m["ffn"], m["bias"]
        self.gate_proj = nn.Linear(width, ffn, bias) if m["mlp"] == "swiglu" else None
        self.up_proj, self.down_proj = nn.Linear(width, ffn, bias), nn.Linear(ffn, width, bias)

    def forward(self, x):
        if self.gate_proj is not None:
            return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))
        return self.down_proj(F.gelu(self.up_proj(x), approximate="tanh"))


class Layer(nn.Module):
    def __init__(self, m):
        super().__init__()
        self.input_layernorm, self.self_attn = Norm(m), Attention(m)
        self.post_attention_layernorm, self.mlp = Norm(m), Mlp(m)

    def forward(self, x):
        x = x + self.self_attn(self.input_layernorm(x))
        return x + self.mlp(self.post_attention_layernorm(x))


class Body(nn.Module):
    def __init__(self, m):
        super().__init__()
        self.embed_tokens = nn.Embedding(m["vocab"], m["width"])
        learned = m["positions"] == "learned"
        self.embed_positions = nn.Embedding(m["context"], m["width"]) if learned else None
        self.layers = nn.ModuleList(Layer(m) for _ in range(m["layers"]))
        self.norm = Norm(m)

    def forward(self, tokens):
        x = self.embed_tokens(tokens)
        if self.embed_positions is not None:
            x = x + self.embed_positions.weight[: tokens.shape[1]]
        for layer in self.layers:
            x = layer(x)
        return self.norm(x)


class Model(nn.Module):
    def __init__(self, m):
        super().__init__()
        for key, known in (("norm", ("rmsnorm", "layernorm")), ("mlp", ("gelu", "swiglu")),
                           ("positions", ("rope", "learned", "none"))):
            if m[key] not in known:
                raise SystemExit(f"model.{key}: {m[key]} is not one of {', '.join(known)}")
        self.model = Body(m)
        tied = m["tied_embeddings"]
        self.lm_head = None if tied else nn.Linear(m["width"], m["vocab"], False)

    def forward(self, tokens):
        head = self.model.embed_tokens if self.lm_head is None else self.lm_head
        return F.linear(self.model(tokens), head.weight)


@torch.no_grad()
def start(model, m, seed):
    """Initial weights of the same distribution as Isoflop's (not the same numbers)."""
    g = torch.Generator().manual_seed(seed)
    for name, p in model.named_parameters():
        if p.dim() == 2:
            residual = name.endswith(("o_proj.weight", "down_proj.weight"))
            std = m["init_std"] / (math.sqrt(2 * m["layers"]) if residual else 1)
            p.copy_(torch.randn(p.shape, generator=g) * std)
        else:
            p.fill_(1.0 if name.endswith("weight") else 0.0)
