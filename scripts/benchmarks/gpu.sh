#!/usr/bin/env bash
# Everything that is worth knowing of this package on a GPU, in order of importance, in under nine minutes.
#
#     scripts/benchmarks/gpu.sh [FOLDER]
#
# Each part has a time limit and a file of its own in FOLDER (default: gpu-results); summary.md has a row for each.
# Without a GPU the parts that need one are skipped. QUICK=1 makes every part as small as it can be.
set -u
out=${1:-gpu-results}
python=${PYTHON:-python}
root=$(cd "$(dirname "$0")/../.." && pwd -P)
[ -d "$root/tests" ] || root=$(cd "$root/.." && pwd -P) # scripts/ was reached through plastic_rl/
mkdir -p "$out"
out=$(cd "$out" && pwd)
cd "$root" || exit 1
card=$($python -c 'import torch; print(torch.cuda.get_device_name() if torch.cuda.is_available() else "")' 2>/dev/null)
printf '# %s\n\n| part | result | seconds | file |\n|---|---|---|---|\n' "${card:-No GPU}" >"$out/summary.md"

# part NAME SECONDS NEEDS COMMAND...: NEEDS is gpu or any
part() {
    local name=$1 limit=$2 needs=$3 begin=$SECONDS result
    shift 3
    [ "${QUICK:-}" ] && limit=300 # small parts, on a machine that may be busy
    if [ "$needs" = gpu ] && [ -z "$card" ]; then
        result="skipped: no GPU"
    else
        timeout -k 5 "$limit" "$@" >"$out/$name.txt" 2>&1
        case $? in
        0) result=done ;;
        124 | 137) result="stopped after $limit s" ;;
        *) result="failed: $(tail -n 1 "$out/$name.txt" | tr '|\n' '/ ' | cut -c 1-120)" ;;
        esac
    fi
    echo "| $name | $result | $((SECONDS - begin)) | $name.txt |" >>"$out/summary.md"
    echo "$name: $result"
}

plastic="$python -m plastic_rl"
runs="$out/runs"
many="n_envs:1024 n_steps:250 batch_size:16000"
short="--repeats 3 --patience 5"
sizes="32,100,200 32,200,250 1024,64,50"
steps=1e7
growth=()
many_sizes=(--n-envs 64 256 1024 4096)
few_sizes=(--n-envs 64 1024)
if [ "${QUICK:-}" ]; then
    many="n_envs:4 n_steps:20 batch_size:40" steps=80 sizes="1,2,2" short="--repeats 1" growth=(--skip-growth)
    many_sizes=(--n-envs 2) few_sizes=(--n-envs 2)
    training=(--n-steps 4 --rollouts 1 --env plastic_rl/ColourBandit-v0) several=gru memory=gru
    cores=(--cores gru --size 1,2,2)
    maze=(--env-kwargs size:5 episode_steps:20 --core gru)
else
    training=(--rollouts 1) several="plastic_memory plastic gru" memory=plastic_memory
    cores=()
    maze=()
fi

# shellcheck disable=SC2086  # the variables are lists of words
{
    train="$plastic benchmark training"
    graphs="env PLASTIC_RL_CUDA_GRAPHS=1"
    part tests 130 gpu $python -m pytest -q tests/ops tests/cores tests/agents -k "cuda or triton or gpu" -p no:cacheprovider
    part training-gpu 75 gpu $train --device cuda "${training[@]}" "${many_sizes[@]}" --cores $several --batch-envs 64
    part maze-gpu 95 gpu $plastic train -f "$runs" -tb "" --device cuda -n $steps --seed 1 --verbose 0 "${maze[@]}" -params $many
    part training-graphs 30 gpu $graphs $train --device cuda "${training[@]}" "${few_sizes[@]}" --cores $memory --batch-envs 64
    part training-plain 25 gpu $train --device cuda "${training[@]}" "${few_sizes[@]}" --cores $memory --batch-envs 64 --no-graphs
    part ops-graphs 20 gpu $graphs $plastic benchmark ops --device cuda --sizes ${sizes%% *} --skip-growth $short
    part ops-gpu 45 gpu $plastic benchmark ops --device cuda --sizes $sizes $short "${growth[@]}"
    part training-updates 20 gpu $train --device cuda "${training[@]}" "${few_sizes[@]}" --cores $memory --batch-envs 32
    part training-cpu 25 any $train "${training[@]}" "${few_sizes[@]}" --cores $memory --batch-envs 64
    part cores-gpu 20 gpu $plastic benchmark cores --device cuda $short "${cores[@]}"
    part torchrun 25 gpu $python -m torch.distributed.run --nproc-per-node 1 -m plastic_rl.scripts.train -f "$runs" -tb "" --device cuda -n 80 --seed 1 "${maze[@]}" -params n_envs:4 n_steps:20 batch_size:40
    part ops-cpu 15 any $plastic benchmark ops --sizes ${sizes%% *} --skip-growth $short
}
cat "$out/summary.md"
