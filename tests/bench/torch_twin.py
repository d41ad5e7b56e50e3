#!/usr/bin/env python3
"""Trains in PyTorch what an Isoflop run trained: the same shape, data in the same order, schedule,
optimizer and statistics of the initial weights; then prints the loss on the same windows.

    python3 tests/bench/torch_twin.py RUN_DIR [--weights STEP_DIR] [--precision fp32|bf16]
                                      [--seed N] [--threads N] [--every N] [--follow LIMIT]

RUN_DIR holds the resolved config.yaml that Isoflop wrote (paths in it are taken from the current
folder, as Isoflop does). The data must be llm.c .bin files. The order of samples is recomputed here
from its definition: a Feistel network of Philox blocks keyed by data.seed (runtime/data). Initial
weights are drawn anew with --seed, or read from a checkpoint's safetensors with --weights: that of
a run with learning rate 0 has the run's own start, and then --follow fails if a step's loss is
further than LIMIT from the recorded one (order, schedule and optimizer are the same). bf16 is
torch.autocast, the way PyTorch users train.
The last line is JSON; beside it stands what RUN_DIR/summary.json says."""
import argparse, glob, json, math, os, sys, time
import numpy as np
import torch, torch.nn.functional as F

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../golden"))
from torch_model import Model, start

RNG_ORDER, ROUNDS = 2, 6


def read_config(path):
    """The two-level YAML that Isoflop writes: {section: {key: value}}."""
    sections, stack = {"": {}}, [""]
    for line in open(path):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        depth = (len(line) - len(line.lstrip())) // 2
        key, value = line.strip().split(":", 1)
        value = value.strip()
        stack = stack[: depth + 1]
        if value == "":
            stack.append((stack[-1] + "." + key).lstrip("."))
            sections[stack[-1]] = {}
        else:
            sections[stack[-1]][key] = scalar(value)
    return sections


def scalar(text):
    if text.startswith('"'):
        return text[1:-1]
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def read_tokens(source):
    """All tokens of a folder of llm.c files (by name), or of one file."""
    files = sorted(glob.glob(os.path.join(source, "*.bin"))) if os.path.isdir(source) else [source]
    parts = []
    for path in files:
        head = np.fromfile(path, np.int32, 256)
        kind = {20240520: np.uint16, 20240801: np.uint32}[int(head[0])]
        parts.append(np.fromfile(path, kind, offset=1024))
        assert len(parts[-1]) == head[2], f"{path}: {len(parts[-1])} tokens, header says {head[2]}"
    assert parts, f"no .bin files in {source}"
    return np.concatenate(parts)


def philox_word0(key, c0, c1, c2, c3):
    """First word of Philox4x32-10 for arrays of counters."""
    c = [np.broadcast_to(np.asarray(x, np.uint64), np.shape(c0)).copy() for x in (c0, c1, c2, c3)]
    k0, k1, low = key & 0xFFFFFFFF, key >> 32, np.uint64(0xFFFFFFFF)
    for _ in range(10):
        a, b = np.uint64(0xD2511F53) * c[0], np.uint64(0xCD9E8D57) * c[2]
        c = [(b >> np.uint64(32)) ^ c[1] ^ np.uint64(k0), b & low,
             (a >> np.uint64(32)) ^ c[3] ^ np.uint64(k1), a & low]
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return c[0]


def permute(seed, epoch, index, count):
    """Positions of index (array) in epoch's order: a Feistel network that walks its cycles."""
    half = 1
    while half < 31 and (1 << 2 * half) < count:
        half += 1
    mask, h = np.uint64((1 << half) - 1), np.uint64(half)
    at = index.astype(np.uint64)
    todo = np.arange(len(at))
    while len(todo):
        left, right = at[todo] >> h, at[todo] & mask
        for r in range(ROUNDS):
            f = philox_word0(seed, right, r, epoch & 0xFFFFFFFF, (epoch >> 32) | RNG_ORDER << 24)
            left, right = right, left ^ (f & mask)
        at[todo] = left << h | right
        todo = todo[at[todo] >= count]
    return at.astype(np.int64)


def sample_order(seed, first, n, count):
    g = np.arange(first, first + n)
    out = np.empty(n, np.int64)
    for epoch in np.unique(g // count):
        here = g // count == epoch
        out[here] = permute(seed, int(epoch), g[here] % count, count)
    return out


def rate(s, peak, done, step, total):
    """Learning rate of the update that consumes tokens (done, done + step]."""
    after, warm = done + step, s["warmup_tokens"]
    if after <= warm:
        return peak * after / warm
    part = min(1.0, (after - warm) / (total - warm)) if total > warm else 1.0
    if s["name"] == "constant":
        part = 0.0
    elif s["name"] == "cosine":
        part = 0.5 * (1 - math.cos(math.pi * part))
    elif s["name"] == "wsd":
        decay, begin = s["decay_tokens"], total - s["decay_tokens"]
        part = 0.0 if after <= begin or not decay else (after - begin) / decay
    return peak * (1 + (s["final_ratio"] - 1) * part)


def windows(tokens, numbers, T):
    rows = np.stack([tokens[k * T: k * T + T + 1] for k in numbers]).astype(np.int64)
    t = torch.from_numpy(rows)
    return t[:, :-1].contiguous(), t[:, 1:].contiguous()


class Twin:
    def __init__(self, c, a):
        self.m, self.c = c["model"], c
        self.bf16 = (a.precision or c["train"]["precision"]) == "bf16"
        self.net = Model(self.m)
        start(self.net, self.m, a.seed)
        if a.weights:
            from safetensors.torch import load_file
            self.net.load_state_dict(load_file(os.path.join(a.weights, "weights.safetensors")))
        self.forward = torch.compile(self.net) if a.compile else self.net
        o = c["optimizer"]
        groups = [{"params": [p for p in self.net.parameters() if p.dim() == 2],
                   "weight_decay": o["weight_decay"]},
                  {"params": [p for p in self.net.parameters() if p.dim() == 1],
                   "weight_decay": 0.0}]
        self.opt = torch.optim.AdamW(groups, lr=0.0, betas=(o["beta1"], o["beta2"]), eps=o["eps"],
                                     fused=True)

    def losses(self, tokens, targets, reduction="mean"):
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            logits = self.forward(tokens)
        flat = logits.float().view(-1, self.m["vocab"])
        return F.cross_entropy(flat, targets.view(-1), reduction=reduction), flat

    def step(self, tokens, numbers, learning_rate):
        o, B = self.c["optimizer"], self.c["train"]["micro_batch"]
        micro, total = len(numbers) // B, 0.0
        for j in range(micro):
            ce, flat = self.losses(*windows(tokens, numbers[j * B: (j + 1) * B], self.m["context"]))
            z = o["z_loss"] * torch.logsumexp(flat, -1).square().mean() if o["z_loss"] else 0
            ((ce + z) / micro).backward()
            total += ce.item() / micro
        if o["clip"]:
            torch.nn.utils.clip_grad_norm_(self.net.parameters(), o["clip"])
        for group in self.opt.param_groups:
            group["lr"] = learning_rate
        self.opt.step()
        self.opt.zero_grad(set_to_none=True)
        return total

    @torch.no_grad()
    def evaluate(self, tokens):
        T, B = self.m["context"], self.c["train"]["micro_batch"]
        count, wanted = (len(tokens) - 1) // T, -(-self.c["evaluate"]["tokens"] // T)
        available, count = count, min(count, wanted) if wanted else count
        # spread over the set as runtime/train/evaluate.c does
        whole, rest = divmod(available, count)
        numbers = [w * whole + int(w * rest / count) for w in range(count)]
        nats = 0.0
        for w in range(0, count, B):
            batch = windows(tokens, numbers[w: w + B], T)
            nats += self.losses(*batch, reduction="sum")[0].item()
        return nats / (count * T), count


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ap.add_argument("run")
    ap.add_argument("--weights", default="")
    ap.add_argument("--precision", default="", choices=["", "fp32", "bf16"])
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--threads", type=int, default=1)
    ap.add_argument("--every", type=int, default=100, help="steps between progress lines; 0: none")
    ap.add_argument("--follow", type=float, default=0)
    ap.add_argument("--compile", action="store_true")
    a = ap.parse_args()
    torch.set_num_threads(a.threads)
    c = read_config(os.path.join(a.run, "config.yaml"))
    T, batch_tokens = c["model"]["context"], c["train"]["batch_tokens"]
    train, validation = read_tokens(c["data"]["train"]), read_tokens(c["data"]["validation"])
    rows, steps = batch_tokens // T, -(-c["train"]["tokens"] // batch_tokens)
    order = sample_order(c["data"]["seed"], 0, rows * steps, (len(train) - 1) // T)
    recorded = {}
    if a.follow:
        lines = map(json.loads, open(os.path.join(a.run, "record.jsonl")))
        recorded = {r["step"]: r["loss"] for r in lines if r["type"] == "step"}
        assert len(recorded) == steps, f"{a.run} recorded {len(recorded)} of {steps} steps"
    twin, begin = Twin(c, a), time.perf_counter()
    for s in range(steps):
        lr = rate(c["schedule"], c["optimizer"]["learning_rate"], s * batch_tokens, batch_tokens,
                  steps * batch_tokens)
        loss = twin.step(train, order[s * rows: (s + 1) * rows], lr)
        if a.follow and abs(loss - recorded[s + 1]) > a.follow:
            sys.exit(f"step {s + 1}: loss {loss:.7f}, the run has {recorded[s + 1]:.7f}")
        if a.every and ((s + 1) % a.every == 0 or s < 3):
            print(f"step {s + 1} of {steps}: loss {loss:.5f}", file=sys.stderr, flush=True)
    seconds = time.perf_counter() - begin
    loss, count = twin.evaluate(validation)
    out = {"what": f"torch {torch.__version__.split('+')[0]}", "seed": a.seed,
           "precision": "bf16" if twin.bf16 else "fp32", "steps": steps, "val_loss": loss,
           "windows": count, "tokens_per_s": steps * batch_tokens / seconds}
    summary = os.path.join(a.run, "summary.json")
    if os.path.exists(summary):
        theirs = json.load(open(summary))["val_loss"]
        out["isoflop_val_loss"], out["difference"] = theirs, loss - theirs
    print(json.dumps(out))


if __name__ == "__main__":
    main()
