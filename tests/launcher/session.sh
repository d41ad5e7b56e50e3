# shellcheck shell=bash
# A clone and a machine in a scratch folder, for tests that run what people are told to type, as
# it stands there. Stand-ins: configs of these names with models that train in a moment, one
# process for mpirun and srun, fewer tokens, seconds and replicates, for the law of a ladder so
# short the one that is shipped, and what only the user has: the dictionary, notes.txt, books/,
# dump.jsonl.zst, theirs.csv, before/ and after/.
# Sourced; needs ISOFLOP (the program) and ISOFLOP_SOURCE (the tree).
iso=${ISOFLOP:?} source=${ISOFLOP_SOURCE:?}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failures=0 examples=0
fail() { echo "FAILED: $*"; failures=$((failures + 1)); }

# --- a clone, and a machine ---------------------------------------------------------------------
mkdir -p bin books before after tests
cp -r "$source/configs" configs
cp "$source/README.md" .
ln -s "$source/tests/law" tests/law
cat >configs/quickstart.yaml <<YAML
name: quickstart
model: {layers: 1, width: 16, heads: 2, ffn: 32, vocab: 257, context: 256}
data: {train: build/data/gcide/train, validation: build/data/gcide/validation}
train: {tokens: 2048, batch_tokens: 512, micro_batch: 1, precision: fp32}
optimizer: {learning_rate: 1e-2}
evaluate: {tokens: 256}
YAML
cat >configs/studies/isoflop-cpu.yaml <<YAML
name: isoflop-cpu
base: configs/quickstart.yaml
isoflop: {budgets: [2e8, 4e8], models: [byte-w8-l2, byte-w12-l2, byte-w16-l2, byte-w24-l2]}
set: {train.batch_tokens: 256, train.micro_batch: 1}
YAML
cat >configs/studies/gopher-vs-chinchilla-cpu.yaml <<YAML
name: gopher-vs-chinchilla-cpu
base: configs/quickstart.yaml
seeds: [1, 2]
compare: {arms: [gopher, chinchilla], equal_flops: []}
fit: none
runs:
  - {scale: small, row: main, arm: gopher, model: byte-w16-l2, train.tokens: 1024}
  - {scale: small, row: main, arm: chinchilla, model: byte-w8-l2, train.tokens: 2048}
YAML
cat >bin/isoflop <<SH
#!/usr/bin/env bash
a=("\${@/train.tokens=*M/train.tokens=4096}")
case " \$* " in
*" --compare "* | " bench step "*) ;;
" bench "*) a+=(--config quickstart --seconds 0.1 --max-bytes 1Mi) ;;
" fit "*) a+=(--bootstrap 20) ;;
" report "*) a+=(--bootstrap 20) ;;
" train "*/plans/*) a+=(train.tokens=1024 schedule.warmup_tokens=0 evaluate.tokens=256) ;;
esac
case " \$* " in *" bench --"[wo]*) a+=(--repeats 1) ;; esac
"$iso" "\${a[@]}" || exit
case " \$* " in
" fit runs/"*" --out law.json ") cp "$source/configs/laws/gcide-bytes.json" law.json ;;
esac
SH
printf '#!/usr/bin/env bash\nexec isoflop plan "$@"\n' >bin/plan
printf '#!/usr/bin/env bash\nshift 2\nexec "$@"\n' >bin/mpirun
printf '#!/usr/bin/env bash\nshift\nexec "$@"\n' >bin/srun
printf '#!/usr/bin/env bash\nshift\nexec cat "$@"\n' >bin/zstd
chmod +x bin/*
export PATH=$work/bin:$PATH ISOFLOP_CONFIGS=$work/configs ISOFLOP_GCIDE=$work/gcide.dict.dz
unset OMPI_COMM_WORLD_SIZE SLURM_JOB_ID ISOFLOP ISOFLOP_SOURCE PLAN RUN RANKS LAUNCH

awk 'BEGIN { print "00-database-info\nFree.\n"
             entry = "Word%d \\Word%d\\, n.\n   1. The %d. of its kind, near %x.\n\n"
             for (i = 0; i < 3000; i++) printf entry, i, i, i, i * i }' |
    gzip >"$ISOFLOP_GCIDE"
cp "$source"/runtime/{comm,data,law,model,plan,train}/*.c books
for k in 1 2 3 4 5 6; do
    echo "{\"content\": \"record $k of a dump, with some more words\"}"
done >dump.jsonl.zst
cat books/*.c >notes.txt
awk 'BEGIN { print "n_params,tokens,val_loss"
             for (c = 1e17; c < 2e19; c *= 10) for (n = 1e7; n < 2e8; n *= 1.8) {
                 d = c / 6 / n
                 print n "," d "," 1.7 + 400 * n ^ -.34 + 400 * d ^ -.28 } }' >theirs.csv

run() { # LINE ALLOWED-CODE...
    local line=$1 code
    shift
    bash -c "$line" >out 2>err </dev/null
    code=$?
    [[ " $* " = *" $code "* ]] || fail "$line: exit code $code: $(tail -n 3 err)"
    examples=$((examples + 1))
}
