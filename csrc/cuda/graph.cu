#include "cuda/graph.h"

#include <map>
#include <mutex>

#include "cuda/device.h"
#include "cuda/launch.h"
#include "cuda/memory.h"

namespace ck::cuda {

class Graph {
  public:
    Graph(int device, cudaGraphExec_t executable, PrivatePool pool)
        : device_(device), executable_(executable), pool_(pool) {}
    ~Graph() {
        cudaGraphExecDestroy(executable_);
        retire_private_pool(device_, pool_);
    }
    Graph(const Graph&) = delete;
    Graph& operator=(const Graph&) = delete;
    int device() const { return device_; }
    cudaGraphExec_t executable() const { return executable_; }

  private:
    int device_;
    cudaGraphExec_t executable_;
    PrivatePool pool_;
};

namespace {

__global__ void __launch_bounds__(1) set_shift(uint64_t* shift, uint64_t value) {
    *shift = value;
}

struct Shifts {
    std::mutex lock;
    std::map<int, uint64_t*> of_device;
};

uint64_t* shift_memory() {
    static auto* shifts = new Shifts;
    std::lock_guard<std::mutex> guard(shifts->lock);
    uint64_t*& memory = shifts->of_device[current_device()];
    if (!memory) {
        const Op op{"random", {}};
        void* data = nullptr;
        check(op, cudaMalloc(&data, sizeof(uint64_t)), "memory");
        memory = static_cast<uint64_t*>(data);
        check(op, cudaMemsetAsync(memory, 0, sizeof(uint64_t), stream()), "memory");
    }
    return memory;
}

struct Capture {
    int device = -1;
    PrivatePool pool = 0;
};
thread_local Capture capture;

cudaGraph_t finish() {
    use_device(capture.device);  // what failed may have used another
    cudaGraph_t graph = nullptr;
    const cudaError_t status = cudaStreamEndCapture(stream(), &graph);
    end_private_pool(capture.device);
    if (status != cudaSuccess) {
        retire_private_pool(capture.device, capture.pool);
        capture = {};
        check({"graph", {}}, status, "recording");
    }
    return graph;
}

}  // namespace

const uint64_t* random_shift() {
    return shift_memory();
}

void begin_capture(int device) {
    use_device(device);
    shift_memory();  // made now: a recording cannot wait for the device
    check({"graph", {}}, cudaStreamSynchronize(stream()), "an earlier op");
    capture = {device, begin_private_pool(device)};
    // Relaxed: memory may be taken from the driver while recording.
    const cudaError_t status = cudaStreamBeginCapture(stream(), cudaStreamCaptureModeRelaxed);
    if (status == cudaSuccess) return;
    end_private_pool(device);
    retire_private_pool(device, capture.pool);
    capture = {};
    check({"graph", {}}, status, "recording");
}

std::shared_ptr<Graph> end_capture() {
    CK_CHECK_AS(DeviceError, capture.device >= 0, "graph", "nothing is being recorded.");
    cudaGraph_t graph = finish();
    cudaGraphExec_t executable = nullptr;
    const cudaError_t status = cudaGraphInstantiate(&executable, graph, 0);
    cudaGraphDestroy(graph);
    const Capture done = capture;
    capture = {};
    if (status != cudaSuccess) retire_private_pool(done.device, done.pool);
    check({"graph", {}}, status, "instantiating");
    return std::make_shared<Graph>(done.device, executable, done.pool);
}

void abandon_capture() {
    if (capture.device < 0) return;
    try {
        cudaGraphDestroy(finish());
    } catch (const DeviceError&) {
        return;  // the recording was invalid already, and the error that made it so is under way
    }
    retire_private_pool(capture.device, capture.pool);
    capture = {};
}

void replay(Graph& graph, uint64_t shift) {
    const Op op{"graph", {}};
    use_device(graph.device());
    uint64_t* memory = shift_memory();
    launch(op, set_shift, dim3(1), dim3(1), 0, memory, shift);
    check(op, cudaGraphLaunch(graph.executable(), stream()), "replay");
    launch(op, set_shift, dim3(1), dim3(1), 0, memory, uint64_t{0});
}

}  // namespace ck::cuda
