#!/usr/bin/env bash
# Everything there is to ask a GPU, in about 10 minutes and without a network: bench/gpu_check.sh FOLDER
# FOLDER takes the logs and results. Needs nvcc, and in the Python that runs it numpy, pybind11, scikit-build-core,
# cmake, ninja, pytest and hypothesis (or WHEELS=folder that has them); torch with CUDA for the comparison.
# A step that fails is said and does not stop the others.
set -uo pipefail
cd "$(dirname "$0")/.."
out=$(mkdir -p "${1:?usage: bench/gpu_check.sh FOLDER}" && cd "$1" && pwd)
python=${PYTHON:-python3}
failed=0

step() {  # step NAME SECONDS COMMAND...
    local name=$1 seconds=$2 start=$SECONDS
    shift 2
    echo "==== $name"
    timeout "$seconds" "$@" > "$out/$name.log" 2>&1
    local status=$?
    [ $status = 0 ] || { failed=1; tail -15 "$out/$name.log"; }
    echo "==== $name: exit $status, $((SECONDS - start)) s"
}

[ -z "${WHEELS:-}" ] || "$python" -m pip install -q --no-index --find-links "$WHEELS" \
    numpy pybind11 scikit-build-core cmake ninja pytest hypothesis
nvidia-smi > "$out/nvidia-smi.log" 2>&1

step build 300 "$python" -m pip install --no-build-isolation --no-deps --force-reinstall . \
    --config-settings=cmake.define.CONVKIT_CUDA=ON  # for the GPU present; of a Hopper sm_90a, which "native" is not
step info 60 "$python" -m convkit info

# The PTX itself, instruction by instruction: what the emulation's models printed.
step golden-build 120 nvcc -std=c++17 --expt-relaxed-constexpr -arch=native -I csrc tests/cuda_golden/golden.cu \
    -o "$out/golden"
step golden 30 sh -c "'$out/golden' | diff - tests/cuda_golden/golden.txt"
step golden-hopper-build 120 nvcc -std=c++17 --expt-relaxed-constexpr -gencode arch=compute_90a,code=sm_90a -I csrc \
    tests/cuda_golden/hopper.cu csrc/cuda/tensor_map.cu -o "$out/hopper"
step golden-hopper 30 sh -c "'$out/hopper' | diff - tests/cuda_golden/hopper.txt"

# The suites that the emulation runs, on the device.
export CONVKIT_TEST_DEVICE=cuda
step device-tests 120 "$python" -m pytest -q -p no:cacheprovider tests/test_cuda.py tests/test_cuda_numbers.py
CONVKIT_TEST_PRECISION=precise step op-tests 150 "$python" -m pytest -q -p no:cacheprovider \
    tests/test_{autograd,conv2d,conv_statistics,conv_transpose2d,dropout,fusion,gradients,loss,matmul,norm}.py \
    tests/test_{pointwise,pool2d,reduce,shape_ops}.py
step tensor-core-tests 100 "$python" -m pytest -q -p no:cacheprovider \
    tests/test_{conv2d,conv_transpose2d,gradients,matmul}.py
case $("$python" -m convkit info) in  # the products of the tests are small: left alone they would not use wgmma
    *90a*) CONVKIT_CUDA_PRODUCTS=wgmma step wgmma-tests 100 "$python" -m pytest -q -p no:cacheprovider \
        tests/test_{conv2d,conv_statistics,matmul}.py ;;
esac
if command -v compute-sanitizer > "$out/compute-sanitizer.log"; then
    export CONVKIT_CUDA_CACHE=0  # every tensor in an allocation of its own
    step memcheck 120 compute-sanitizer --tool memcheck --error-exitcode 9 \
        "$python" -m pytest -q -p no:cacheprovider tests/test_cuda.py -k "lenet or resnet or autocast"
    step racecheck 120 compute-sanitizer --tool racecheck --error-exitcode 9 \
        "$python" -m pytest -q -p no:cacheprovider tests/test_cuda.py -k "lenet"
    unset CONVKIT_CUDA_CACHE
else
    echo "compute-sanitizer is not there: the emulated sanitizers (docs/cuda.md) stand in"
fi
unset CONVKIT_TEST_DEVICE

# Against PyTorch and cuDNN; alone where torch is not.
peer=$("$python" -c "import torch; assert torch.cuda.is_available()" 2> /dev/null || echo --without-torch)
step benchmark 260 "$python" bench/gpu.py --seconds 200 $peer --json "$out/gpu.json" --markdown "$out/gpu.md"
cat "$out/gpu.md" 2> /dev/null
exit $failed
