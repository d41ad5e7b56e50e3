#!/usr/bin/env python3
"""Opens checkpoints with Python's `safetensors`, computes logits and loss independently (PyTorch,
float64) and compares with what Isoflop says of the same checkpoint.

    python3 tests/golden/open_safetensors.py --isoflop build/isoflop --logits-of build/logits_of
        trains tiny models of several architectures and checks each
    python3 tests/golden/open_safetensors.py --isoflop build/isoflop runs/X/checkpoints/step-N TEXT
        checks one checkpoint of a model of bytes on a text

Models shaped like Llama are also opened by `transformers` (AutoModelForCausalLM), if installed."""
import argparse, contextlib, json, os, subprocess, sys, tempfile
import numpy as np
import torch, torch.nn.functional as F
from safetensors import safe_open
from torch_model import Model

torch.set_num_threads(1)  # tiny models
LOSS_LIMIT, LOGIT_LIMIT = 1e-7, 3e-6  # fp32 against float64; logits relative to their rms
VARIANTS = {
    "llama": "norm: rmsnorm, positions: rope, mlp: swiglu, kv_heads: 2, bias: false, "
             "tied_embeddings: false",
    "llama-tied": "norm: rmsnorm, positions: rope, mlp: swiglu, bias: false, tied_embeddings: true",
    "gpt2": "norm: layernorm, positions: learned, mlp: gelu, bias: true, tied_embeddings: true",
    "plain": "norm: layernorm, positions: none, mlp: gelu, bias: false, tied_embeddings: false",
    "rope-bias": "norm: rmsnorm, positions: rope, mlp: gelu, bias: true, tied_embeddings: true, "
                 "rope_theta: 500"}
CONFIG = """name: {name}
model: {{layers: 2, width: 64, heads: 4, head_width: 16, ffn: 96, vocab: 257, context: 64,
        {fields}}}
data: {{train: {data}}}
train: {{tokens: 20480, batch_tokens: 1024, micro_batch: 4, precision: {precision}}}
optimizer: {{learning_rate: 1e-2}}
schedule: {{name: cosine}}
"""


def open_model(folder):
    """(fields of the model, our own model in float64 with the weights of the checkpoint)"""
    fields = json.load(open(os.path.join(folder, "config.json")))["isoflop"]
    with safe_open(os.path.join(folder, "weights.safetensors"), framework="pt") as f:
        state = {name: f.get_tensor(name) for name in f.keys()}
    assert all(t.dtype == torch.float32 for t in state.values()), "weights are not float32"
    model = Model(fields).double()
    model.load_state_dict({name: t.double() for name, t in state.items()})  # strict: same names
    return fields, model.eval()


@torch.no_grad()
def loss_of(model, ids, T):
    """As `isoflop score` with stride = context: every token but the first, in windows."""
    nats = 0.0
    for start in range(0, len(ids) - 1, T):
        window = ids[start: start + T + 1]
        nats += F.cross_entropy(model(window[None, :-1])[0], window[1:], reduction="sum").item()
    return nats / (len(ids) - 1)


@torch.no_grad()
def transformers_logits(folder, tokens):
    with contextlib.suppress(ImportError):
        from transformers import AutoModelForCausalLM
        hf = AutoModelForCausalLM.from_pretrained(folder).double()
        return hf(tokens[None]).logits[0]
    return None


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr}")
    return done.stdout


def check(a, folder, text):
    fields, model = open_model(folder)
    T = fields["context"]
    assert fields["vocab"] == 257, "not a model of bytes"
    ids = torch.tensor(list(open(text, "rb").read()))
    ours = json.loads(run(a.isoflop, "score", folder, text, "--json"))["loss"]
    errors = {"loss": (abs(loss_of(model, ids, T) - ours), LOSS_LIMIT)}
    tokens = ids[:T]
    with torch.no_grad():
        expected = model(tokens[None])[0]
    rms = expected.square().mean().sqrt().item()
    if a.logits_of:
        lines = run(a.logits_of, folder, *map(str, tokens.tolist())).splitlines()
        got = torch.tensor([[float(x) for x in line.split()] for line in lines]).double()
        errors["logits"] = ((got - expected).abs().max().item() / rms, LOGIT_LIMIT)
    if json.load(open(os.path.join(folder, "config.json")))["model_type"] == "llama":
        hf = transformers_logits(folder, tokens)
        if hf is not None:
            errors["transformers"] = ((hf - expected).abs().max().item() / rms, LOGIT_LIMIT)
    print(f"{folder}: loss {ours:.6f}; errors",
          ", ".join(f"{what} {e:.2g} (limit {limit:g})" for what, (e, limit) in errors.items()))
    return all(e <= limit for e, limit in errors.values())


def train_and_check(a, work):
    text = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../LICENSE")
    tokens = np.frombuffer(open(text, "rb").read(), np.uint8).astype(np.uint16)
    data = os.path.join(work, "text.bin")
    with open(data, "wb") as f:
        f.write(np.array([20240520, 1, len(tokens)] + [0] * 253, np.int32).tobytes())
        f.write(tokens.tobytes())
    good = True
    for name, fields in VARIANTS.items():
        for precision in ("fp32", "bf16") if name in ("llama", "gpt2") else ("fp32",):
            path, folder = os.path.join(work, name + ".yaml"), os.path.join(work, name + precision)
            with open(path, "w") as f:
                f.write(CONFIG.format(name=name, fields=fields, data=data, precision=precision))
            run(a.isoflop, "train", path, "--run", folder, "data.repeat=allow")
            good &= check(a, os.path.join(folder, "checkpoints/step-20"), text)
    return good


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ap.add_argument("checkpoint", nargs="?")
    ap.add_argument("text", nargs="?")
    ap.add_argument("--isoflop", required=True)
    ap.add_argument("--logits-of", default="", help="the program tests/golden/logits_of.c")
    a = ap.parse_args()
    if a.checkpoint:
        sys.exit(0 if check(a, a.checkpoint, a.text) else 1)
    with tempfile.TemporaryDirectory() as work:
        sys.exit(0 if train_and_check(a, work) else 1)


if __name__ == "__main__":
    main()
