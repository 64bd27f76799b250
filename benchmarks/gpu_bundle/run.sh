#!/bin/sh
# Measures and trains on this machine's GPU, without a package index; results go to $OUT (default: results beside this file).
#
#   OUT=FOLDER sh run.sh
#
# PYTHON  the Python that has jax with CUDA and the packages that docs/gpu.md names (python3)
# SCALE   full (under 8 minutes on an H100 or H200), or small, which shows on a processor that it works
# PARTS   which of device, rate, training, step; all
# LIMITS  seconds that each of the four may take
# WORK    an empty folder to work in (a temporary one, removed at the end)
#
# Each part has a time limit and leaves what it has measured. Exit status: 0, or the sum over the parts that failed of
# 1 (device), 2 (rate), 4 (training), 8 (step); 16 if nothing could be installed.
set -u
bundle=$(cd "$(dirname "$0")" && pwd)
out=${OUT:-$bundle/results}
mkdir -p "$out" && out=$(cd "$out" && pwd) || exit 16
python=$(command -v "${PYTHON:-python3}") || { echo "error: no ${PYTHON:-python3}; set PYTHON" >&2; exit 16; }
if [ -n "${WORK:-}" ]; then
    mkdir -p "$WORK" && work=$(cd "$WORK" && pwd) || exit 16
else
    work=$(mktemp -d) || exit 16
    trap 'rm -rf "$work"' EXIT
fi
case ${SCALE:-full} in
full)
    limits="40 180 110 130" matrix="" training="--epochs 30"
    rate="--batches 16 64 256 --at-once 4" step="--batch 16 --folds 4" ;;
small)
    limits="120 400 400 600" matrix="--matrix-size 256" training="--epochs 4"
    rate="--quick --batches 4 --precisions float32 --at-once 2" step="--quick --batch 4 --folds 2" ;;
*) echo "error: SCALE=$SCALE; full or small" >&2; exit 16 ;;
esac

# Nothing of the user's around the bundle; memory as it is needed, since several processes share the GPU.
unset PYTHONPATH PYTHONHOME MLFLOW_TRACKING_URI MLFLOW_RUN_ID
export KERAS_BACKEND=jax KERAS_HOME="$work/keras" DVC_ROOT="$work" PYTHONUNBUFFERED=1 PYTHONPYCACHEPREFIX="$work/bytecode"
export XLA_PYTHON_CLIENT_PREALLOCATE=false MLFLOW_DISABLE_TELEMETRY=true PIP_NO_INDEX=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# Workers load the programs that another process has compiled.
export JAX_COMPILATION_CACHE_DIR="$work/compiled" JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=1
: > "$out/log.txt"

install() {
    "$python" "$bundle/benchmarks/gpu_bundle/unpack.py" "$bundle" "$work" wheels || return
    "$python" -m venv --without-pip --system-site-packages "$work/venv" || return
    # If this Python is that of a virtual environment, its packages are not the system's.
    "$work/venv/bin/python" - "$("$python" -c 'import site, sys; print(":".join(p for p in sys.path if p.endswith("-packages")))')" <<'EOF' || return
import pathlib, sys, sysconfig
lines = [f"import site; site.addsitedir({folder!r})" for folder in sys.argv[1].split(":") if folder]
pathlib.Path(sysconfig.get_path("purelib"), "system_packages.pth").write_text("\n".join(lines) + "\n", encoding="utf-8")
EOF
    "$python" -m pip --quiet --python "$work/venv/bin/python" install --no-index --no-deps --no-compile --no-cache-dir \
        "$work"/wheels/*.whl || return
    rm -rf "$work/wheels"
    export PYTHONPATH="$bundle/benchmarks"
    cd "$work" && "$work/venv/bin/python" -m gpu_bundle.unpack "$bundle" "$work" data
}

echo "== install"
began=$(date +%s)
install > "$work/install.txt" 2>&1 || { cat "$work/install.txt" | tee -a "$out/log.txt" >&2; exit 16; }
cat "$work/install.txt" >> "$out/log.txt"
echo "   $(($(date +%s) - began)) s"
export PYTHONPATH="$bundle/benchmarks"
cd "$work" || exit 16

failed=0 parts=""
part() { # NAME WORTH LIMIT COMMAND...
    name=$1 worth=$2 limit=$3; shift 3
    case " ${PARTS:-device rate training step} " in *" $name "*) ;; *) return ;; esac
    echo "== $name (at most $limit s)" | tee -a "$out/log.txt"
    part_began=$(date +%s)
    { timeout --kill-after=5 "$limit" "$work/venv/bin/python" "$@" 2>&1; echo $? > "$work/status"; } | tee -a "$out/log.txt"
    status=$(cat "$work/status") seconds=$(($(date +%s) - part_began))
    [ "$status" = 0 ] || { failed=$((failed + worth)); echo "   FAILED with status $status (124: the time was up)"; }
    echo "   $seconds s"
    parts="$parts${parts:+, }\"$name\": {\"status\": $status, \"seconds\": $seconds}"
    echo "{\"scale\": \"${SCALE:-full}\", \"parts\": {$parts}}" > "$out/summary.json"
}
# shellcheck disable=SC2086
set -- ${LIMITS:-$limits}
soon=60 # seconds before its end a part begins nothing new, so that what it is at can end
# shellcheck disable=SC2086
{
    device_limit=$1 rate_limit=$2 training_limit=$3 step_limit=$4
    part device 1 "$device_limit" -m gpu_bundle.device --json "$out/device.json" $matrix
    part rate 2 "$rate_limit" -m finetune --only rate --json "$out/rate.json" --seconds $((rate_limit - soon)) $rate
    part training 4 "$training_limit" -m gpu_bundle.training "$out" $training
    part step 8 "$step_limit" -m gpu_bundle.step --json "$out/step.json" --trace "$out/step.xplane.pb" \
        --seconds $((step_limit - soon)) $step
}
echo "== done in $(($(date +%s) - began)) s, results in $out"
exit $failed
