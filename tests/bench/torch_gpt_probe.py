#!/usr/bin/env python3
"""Training speed of a shape in PyTorch, for tests/bench/speed (CPU) and tests/gpu/run (one GPU).

    taskset -c 0   python3 tests/bench/torch_gpt_probe.py --shape R1 --threads 1 [--compile]
    taskset -c 0,1 torchrun --nproc-per-node 2 tests/bench/torch_gpt_probe.py --shape R1   (gloo)
    python3 tests/bench/torch_gpt_probe.py --device cuda --shape gpt2-124m --compile

A GPT-2 shaped model (layernorm, learned positions, gelu, biases, tied head), bf16 autocast or fp32,
fused AdamW, clip 1.0, random tokens: a whole optimizer step as PyTorch does it best. (Our
chinchilla-70m has rotary positions, which cost more than learned ones.) Prints one JSON line.
"""
import argparse, json, os, resource, statistics, time

ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
ap.add_argument("--shape", default="R1")
ap.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
ap.add_argument("--dtype", default="bf16", choices=["bf16", "fp32"])
ap.add_argument("--threads", type=int, default=1)
ap.add_argument("--batch", type=int, default=0, help="sequences of a forward pass")
ap.add_argument("--accumulate", type=int, default=1, help="forward passes per optimizer step")
ap.add_argument("--batch-tokens", type=int, default=0, help="instead of --accumulate")
ap.add_argument("--seconds", type=float, default=10, help="measured, after warm-up")
ap.add_argument("--compile", action="store_true")
ap.add_argument("--optimizer", default="fused", choices=["fused", "foreach", "loop"])
a = ap.parse_args()
os.environ.setdefault("OMP_NUM_THREADS", str(a.threads))
import torch, torch.nn as nn, torch.nn.functional as F

torch.set_num_threads(a.threads)
torch.manual_seed(0)
#                width L  heads hs  ffn   vocab   T     B
SHAPES = {"R1": (128, 4, 4, 32, 512, 512, 256, 8),
          "R2": (384, 6, 6, 64, 1536, 4096, 512, 4),
          "R3": (640, 10, 10, 64, 2560, 32000, 1024, 1),
          "gpt2-124m": (768, 12, 12, 64, 3072, 50304, 1024, 32),
          "chinchilla-70m": (640, 10, 10, 64, 2560, 32000, 2048, 16),
          "gpt2-350m": (1024, 24, 16, 64, 4096, 50304, 1024, 16),
          "gpt2-1558m": (1600, 48, 25, 64, 6400, 50304, 1024, 4)}
if a.shape not in SHAPES:
    ap.error(f"no shape {a.shape}; there are {', '.join(SHAPES)}")
C, L, NH, HS, FFN, V, T, B = SHAPES[a.shape]
B = a.batch or B
accumulate = a.batch_tokens // (B * T) if a.batch_tokens else a.accumulate
on_gpu = a.device == "cuda"


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(C), nn.LayerNorm(C)
        self.qkv, self.o = nn.Linear(C, 3 * NH * HS), nn.Linear(NH * HS, C)
        self.up, self.down = nn.Linear(C, FFN), nn.Linear(FFN, C)

    def forward(self, x):
        b, t, _ = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(b, t, 3, NH, HS).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.o(y.transpose(1, 2).reshape(b, t, NH * HS))
        return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh"))


class Gpt(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(V, C), nn.Embedding(T, C)
        self.blocks, self.norm = nn.ModuleList(Block() for _ in range(L)), nn.LayerNorm(C)
        for m in self.modules():
            if isinstance(m, (nn.Linear, nn.Embedding)):
                nn.init.normal_(m.weight, 0, 0.02)

    def forward(self, tokens, targets):
        x = self.tokens(tokens) + self.positions.weight[: tokens.shape[1]]
        for block in self.blocks:
            x = block(x)
        logits = F.linear(self.norm(x), self.tokens.weight)
        return F.cross_entropy(logits.float().view(-1, V), targets.view(-1))


ranks = int(os.environ.get("WORLD_SIZE", "1"))
model = Gpt().to(a.device)
params = sum(p.numel() for p in model.parameters())
step_model = torch.compile(model) if a.compile else model
if ranks > 1:
    torch.distributed.init_process_group("gloo")
    step_model = nn.parallel.DistributedDataParallel(step_model)
how = {"fused": True} if a.optimizer == "fused" else {"foreach": a.optimizer == "foreach"}
opt = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1, **how)


def step():
    for _ in range(accumulate):
        tokens = torch.randint(0, V, (B, T + 1), device=a.device)
        with torch.autocast(a.device, dtype=torch.bfloat16, enabled=a.dtype == "bf16"):
            loss = step_model(tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous())
        (loss / accumulate).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    opt.step()
    opt.zero_grad(set_to_none=True)
    return loss.item()


for _ in range(3):
    loss = step()
wall, cpu, begin = [], [], time.perf_counter()
steps = 0
while True:
    w, c = time.perf_counter(), time.process_time()
    loss = step()
    wall.append(time.perf_counter() - w)
    cpu.append(time.process_time() - c)
    stop = time.perf_counter() - begin > a.seconds and len(wall) >= 5
    if ranks > 1:  # all ranks stop at the same step
        flag = torch.tensor([int(stop)])
        torch.distributed.broadcast(flag, 0)
        stop = bool(flag.item())
    if stop:
        break
tokens = B * T * accumulate * ranks
if int(os.environ.get("RANK", "0")) == 0:
    print(json.dumps({
        "what": f"torch {torch.__version__.split('+')[0]}", "shape": a.shape, "dtype": a.dtype,
        "device": torch.cuda.get_device_name() if on_gpu else "cpu",
        "compile": a.compile, "threads": a.threads, "ranks": ranks, "optimizer": a.optimizer,
        "params": params, "batch_tokens": tokens, "steps": len(wall), "loss": round(loss, 4),
        "tokens_per_s": round(tokens / statistics.median(wall), 1),
        "tokens_per_s_best": round(tokens / min(wall), 1),
        "tokens_per_cpu_s": round(tokens * a.threads / statistics.median(cpu), 1),
        "resident_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}))
if ranks > 1:
    torch.distributed.destroy_process_group()
