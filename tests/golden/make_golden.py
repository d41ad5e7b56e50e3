#!/usr/bin/env python3
"""Writes tests/golden/*.txt: what PyTorch in float64 computes for small models.

    python3 tests/golden/make_golden.py [--out DIR] [--only VARIANT]

Run by hand; the text files are committed and the tests need no Python. Nothing of Isoflop is
used: norms, attention, activations, cross-entropy, AdamW and clipping are torch's own, autograd
gives the gradients. Three variants are also checked against whole models of the `transformers`
package, when that is installed.

Weights and tokens come from one formula that both sides compute (golden.c does it in C):
    hash(name, i):  h = fnv1a32(name) + 2654435761 * (i + 1) mod 2^32
                    h ^= h >> 16; h *= 0x045d9f3b; h ^= h >> 16; h *= 0x045d9f3b; h ^= h >> 16
    unit(name, i) = (h >> 8) / 2^23 - 1                               exact in fp32, in [-1, 1)
    matrix element i (row-major) = unit / 4; bias = unit / 4; gain = 1 + unit / 4; rounded to fp32
    tokens of step s, micro-batch j, sequence b (T inputs; shifted by one, T targets), t = 0 .. T:
    h = hash("tokens", ((s * micro_batches + j) * B + b) * (T + 1) + t)
    token t = h mod V if t = 0 or (h >> 8) mod 4 = 0, else (5 * token t-1 + 3) mod V (to be learnt)
"""
import argparse, contextlib, datetime, os, sys
import numpy as np
import torch, torch.nn.functional as F
from torch_model import Model

L, C, NH, HS, V, T, B = 2, 16, 2, 8, 29, 12, 2
STEPS, MICRO, LR, BETAS, DECAY, CLIP = 10, 2, 1e-2, (0.9, 0.95), 0.1, 1.0
EPS = 1e-6  # 1e-8 would leave the first step of the smallest gradients to rounding
NORM_EPS, THETA = 1e-5, 10000.0
SMALL, STRIDE = 64, 7  # gradients of more elements are sampled, unless the variant is full

#            name              norm         positions  mlp       kv tied   bias   z_loss full
VARIANTS = [("llama",          "rmsnorm",   "rope",    "swiglu", 2, False, False, 0,     True),
            ("gpt2",           "layernorm", "learned", "gelu",   2, True,  True,  0,     True),
            ("llama-gqa-tied", "rmsnorm",   "rope",    "swiglu", 1, True,  False, 0,     False),
            ("rms-learned",    "rmsnorm",   "learned", "gelu",   1, False, False, 0,     False),
            ("layer-rope",     "layernorm", "rope",    "swiglu", 1, True,  True,  0,     False),
            ("layer-plain",    "layernorm", "rope",    "gelu",   2, False, False, 0,     False),
            ("rms-bias",       "rmsnorm",   "learned", "swiglu", 2, True,  True,  0,     False),
            ("z-loss",         "rmsnorm",   "rope",    "gelu",   2, False, True,  1e-3,  False),
            ("no-positions",   "layernorm", "none",    "gelu",   1, True,  True,  1e-3,  False)]
KEYS = ("name", "norm", "positions", "mlp", "kv_heads", "tied", "bias", "z_loss", "full")


def fnv1a(name):
    h = 2166136261
    for byte in name.encode():
        h = ((h ^ byte) * 16777619) & 0xFFFFFFFF
    return h


def hashes(name, count, first=0):
    with np.errstate(over="ignore"):
        index = np.arange(first + 1, first + count + 1, dtype=np.uint32)
        h = np.uint32(fnv1a(name)) + np.uint32(2654435761) * index
        for _ in range(2):
            h ^= h >> np.uint32(16)
            h *= np.uint32(0x045D9F3B)
        return h ^ (h >> np.uint32(16))


def units(name, count):
    return (hashes(name, count) >> np.uint32(8)).astype(np.float64) / 2**23 - 1


def weight_formula(name, shape):
    u = units(name, int(np.prod(shape))).reshape(shape) / 4
    gain = len(shape) == 1 and name.endswith("weight")
    return torch.tensor((1 + u if gain else u).astype(np.float32)).double()


def batch(step, micro):
    first = (step * MICRO + micro) * B * (T + 1)
    h = hashes("tokens", B * (T + 1), first).astype(np.int64).reshape(B, T + 1)
    t = torch.tensor(h % V)
    for b in range(B):
        for i in range(1, T + 1):
            if (h[b, i] >> 8) % 4:
                t[b, i] = (5 * t[b, i - 1] + 3) % V
    return t[:, :-1].contiguous(), t[:, 1:].contiguous()


def model_fields(v):
    return {"layers": L, "width": C, "heads": NH, "head_width": HS, "kv_heads": v["kv_heads"],
            "ffn": 24 if v["mlp"] == "swiglu" else 32, "vocab": V, "context": T, "norm": v["norm"],
            "norm_eps": NORM_EPS, "positions": v["positions"], "rope_theta": THETA,
            "mlp": v["mlp"], "bias": v["bias"], "tied_embeddings": v["tied"]}


def build(v):
    m = Model(model_fields(v)).double()
    with torch.no_grad():
        for name, p in m.named_parameters():
            p.copy_(weight_formula(name, p.shape))
    return m


def losses(logits, targets, z_loss):
    """(cross-entropy in nats per token, what is differentiated)"""
    flat = logits.reshape(-1, V)
    ce = F.cross_entropy(flat, targets.reshape(-1))
    return ce, ce + z_loss * torch.logsumexp(flat, -1).square().mean() if z_loss else ce


def check_llama(v, m, tokens, logits):
    from transformers import LlamaConfig, LlamaForCausalLM
    cfg = LlamaConfig(hidden_size=C, intermediate_size=24, num_hidden_layers=L, vocab_size=V,
                      num_attention_heads=NH, num_key_value_heads=v["kv_heads"], head_dim=HS,
                      rms_norm_eps=NORM_EPS, attention_bias=False, mlp_bias=False,
                      rope_parameters={"rope_type": "default", "rope_theta": THETA},
                      max_position_embeddings=T, tie_word_embeddings=v["tied"])
    hf = LlamaForCausalLM(cfg).double()
    state = dict(m.state_dict())
    if v["tied"]:
        state["lm_head.weight"] = state["model.embed_tokens.weight"]
    hf.load_state_dict(state)
    return (hf(tokens).logits - logits).abs().max().item()


def check_gpt2(v, m, tokens, logits):
    from transformers import GPT2Config, GPT2LMHeadModel
    cfg = GPT2Config(vocab_size=V, n_positions=T, n_embd=C, n_layer=L, n_head=NH, n_inner=32,
                     resid_pdrop=0, embd_pdrop=0, attn_pdrop=0, layer_norm_epsilon=NORM_EPS)
    hf = GPT2LMHeadModel(cfg).double()
    s, out = m.state_dict(), {}
    out["transformer.wte.weight"] = out["lm_head.weight"] = s["model.embed_tokens.weight"]
    out["transformer.wpe.weight"] = s["model.embed_positions.weight"]
    for kind in ("weight", "bias"):
        side = (lambda w: w.t()) if kind == "weight" else (lambda w: w)
        out[f"transformer.ln_f.{kind}"] = s[f"model.norm.{kind}"]
        for i in range(L):
            a, b = f"model.layers.{i}.", f"transformer.h.{i}."
            out[f"{b}ln_1.{kind}"] = s[f"{a}input_layernorm.{kind}"]
            out[f"{b}ln_2.{kind}"] = s[f"{a}post_attention_layernorm.{kind}"]
            qkv = torch.cat([s[f"{a}self_attn.{x}_proj.{kind}"] for x in "qkv"])
            out[f"{b}attn.c_attn.{kind}"] = side(qkv)
            out[f"{b}attn.c_proj.{kind}"] = side(s[f"{a}self_attn.o_proj.{kind}"])
            out[f"{b}mlp.c_fc.{kind}"] = side(s[f"{a}mlp.up_proj.{kind}"])
            out[f"{b}mlp.c_proj.{kind}"] = side(s[f"{a}mlp.down_proj.{kind}"])
    missing, unexpected = hf.load_state_dict(out, strict=False)
    assert not unexpected and not [k for k in missing if not k.endswith((".attn.bias", "ed_bias"))]
    hf.eval()
    return (hf(tokens).logits - logits).abs().max().item()


def numbers(f, values):
    values = values.detach().reshape(-1).tolist()
    for i in range(0, len(values), 8):
        print(*(f"{x:.8g}" for x in values[i:i + 8]), file=f)


def summary(name, t):
    """L2 norm, and the dot product with unit(name, i): sees every element and its place."""
    flat = t.detach().reshape(-1)
    return f"{flat.norm().item():.9g} {(flat @ torch.tensor(units(name, flat.numel()))).item():.9g}"


def train(v, m):
    """STEPS optimizer steps; yields (loss, norm of the mean gradient before clipping)."""
    matrices = [p for p in m.parameters() if p.dim() == 2]
    vectors = [p for p in m.parameters() if p.dim() == 1]
    groups = [{"params": matrices, "weight_decay": DECAY}, {"params": vectors, "weight_decay": 0.0}]
    opt = torch.optim.AdamW(groups, lr=LR, betas=BETAS, eps=EPS)
    for step in range(STEPS):
        opt.zero_grad()
        total = 0.0
        for micro in range(MICRO):
            tokens, targets = batch(step, micro)
            ce, objective = losses(m(tokens), targets, v["z_loss"])
            (objective / MICRO).backward()
            total += ce.item() / MICRO
        norm = torch.nn.utils.clip_grad_norm_(m.parameters(), CLIP).item()
        opt.step()
        yield total, norm


def write(f, v):
    m = build(v)
    tokens, targets = batch(0, 0)
    logits = m(tokens)
    ce, objective = losses(logits, targets, v["z_loss"])
    objective.backward()

    checked = ""
    with contextlib.suppress(ImportError):
        known = {"llama": check_llama, "llama-gqa-tied": check_llama, "gpt2": check_gpt2}
        check = known.get(v["name"])
        if check:
            import transformers
            error = check(v, m, tokens, logits)
            # transformers computes norms in float32
            assert error < 1e-5, f"{v['name']}: transformers differs by {error}"
            checked = f", logits as transformers {transformers.__version__} within {error:.1g}"
    version = torch.__version__.split("+")[0]
    print(f"# golden 1: {v['name']} by tests/golden/make_golden.py, torch {version} float64, "
          f"{datetime.date.today()}{checked}", file=f)
    ffn = model_fields(v)["ffn"]
    print(f"model layers {L} width {C} heads {NH} head_width {HS} kv_heads {v['kv_heads']} "
          f"ffn {ffn} vocab {V} context {T} norm {v['norm']} norm_eps {NORM_EPS} "
          f"positions {v['positions']} rope_theta {THETA:g} mlp {v['mlp']} bias {int(v['bias'])} "
          f"tied {int(v['tied'])}", file=f)
    print(f"train batch {B} steps {STEPS} micro_batches {MICRO} learning_rate {LR} "
          f"beta1 {BETAS[0]} beta2 {BETAS[1]} eps {EPS} weight_decay {DECAY} clip {CLIP} "
          f"z_loss {v['z_loss']}", file=f)
    print(f"logits {B * T} {V}", file=f)
    numbers(f, logits)
    print(f"loss {ce.item():.12g}", file=f)
    params = list(m.named_parameters())
    print(f"gradients {len(params)}  (name, elements, stride of values, L2 norm, dot with unit)",
          file=f)
    for name, p in params:
        stride = 1 if v["full"] or p.numel() <= SMALL else STRIDE
        print(f"gradient {name} {p.numel()} {stride} {summary(name, p.grad)}", file=f)
        numbers(f, p.grad.reshape(-1)[::stride])
    print(f"curve {STEPS}  (loss, norm of the mean gradient before clipping)", file=f)
    for loss, norm in train(v, m):
        print(f"{loss:.12g} {norm:.12g}", file=f)
    print(f"weights {len(params)}  (after the last step: name, L2 norm, dot with unit)", file=f)
    for name, p in params:
        print(f"weight {name} {summary(name, p)}", file=f)
    print("end", file=f)


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ap.add_argument("--out", default=os.path.dirname(os.path.abspath(__file__)))
    ap.add_argument("--only", default="")
    a = ap.parse_args()
    for row in VARIANTS:
        v = dict(zip(KEYS, row))
        if a.only in ("", v["name"]):
            path = os.path.join(a.out, v["name"] + ".txt")
            with open(path, "w") as f:
                write(f, v)
            print(path, os.path.getsize(path), file=sys.stderr)


if __name__ == "__main__":
    main()
