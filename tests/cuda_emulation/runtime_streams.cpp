// Streams, events, launches and graphs of the runtime API.
#include <algorithm>
#include <map>

#include "multiprocessor.h"
#include "streams.h"

using emulation::api;
using emulation::Runtime;

namespace emulation {
namespace {

constexpr size_t kDefaultDynamicBytes = 48 * 1024;

std::map<const void*, size_t>& dynamic_limits() {  // set by cudaFuncSetAttribute
    static auto& limits = *new std::map<const void*, size_t>;
    return limits;
}

cudaError_t check_launch(Runtime& runtime, const KernelCall& call) {
    const auto size = [](dim3 d) { return static_cast<uint64_t>(d.x) * d.y * d.z; };
    const auto refuse = [&](cudaError_t error, const char* what, dim3 d) {
        return runtime.refuse(error, std::string(what) + " (" + std::to_string(d.x) + ", " + std::to_string(d.y) +
                                         ", " + std::to_string(d.z) + ")");
    };
    if (!size(call.block) || size(call.block) > kMaxThreads || call.block.z > 64)
        return refuse(cudaErrorInvalidConfiguration, "a block of", call.block);
    if (!size(call.grid) || call.grid.x > 0x7fffffffu || call.grid.y > 65535 || call.grid.z > 65535)
        return refuse(cudaErrorInvalidConfiguration, "a grid of", call.grid);
    const auto limit = dynamic_limits().find(call.kernel);
    const size_t allowed = limit == dynamic_limits().end() ? kDefaultDynamicBytes : limit->second;
    if (call.shared > std::max(allowed, kDefaultDynamicBytes))
        return runtime.refuse(cudaErrorInvalidValue, std::to_string(call.shared) + " bytes of dynamic shared memory, " +
                                                         std::to_string(allowed) + " are allowed for this kernel");
    return cudaSuccess;
}

bool usable_pointer(const void* address, int device) {
    if (!address) return true;
    const cudaPointerAttributes attributes = attributes_of(address);
    return attributes.type == cudaMemoryTypeHost ||
           (attributes.type == cudaMemoryTypeDevice && attributes.device == device);
}

void run_kernel(int device, const KernelCall& call) {
    Runtime& runtime = Runtime::get();
    const Opened opened(device);
    for (const void* pointer : call.pointers) {
        if (usable_pointer(pointer, device)) continue;
        const std::string where = describe_device_address(pointer);
        return runtime.fail(cudaErrorIllegalAddress, "a kernel on device " + std::to_string(device) + " was given " +
                                                         (where.empty() ? "a pointer to host memory" : where));
    }
    const std::string failure = run_grid({call.grid, call.block, call.shared, &call.body});
    if (failure.empty()) return;
    const bool address = failure.find("illegal memory access") != std::string::npos;
    runtime.fail(address ? cudaErrorIllegalAddress : cudaErrorLaunchFailure, failure);
}

}  // namespace

cudaError_t set_kernel_attribute(const void* kernel, cudaFuncAttribute attribute, int value) {
    return api("cudaFuncSetAttribute", [&](Runtime& runtime) {
        if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize) return cudaSuccess;
        if (value < 0 || static_cast<size_t>(value) > config().shared_bytes)
            return runtime.refuse(cudaErrorInvalidValue, std::to_string(value) + " bytes of dynamic shared memory, " +
                                                             "the device has " + std::to_string(config().shared_bytes));
        dynamic_limits()[kernel] = static_cast<size_t>(value);
        return cudaSuccess;
    });
}

cudaError_t kernel_attributes(cudaFuncAttributes* attributes) {
    return api("cudaFuncGetAttributes", [&](Runtime&) {
        *attributes = {0, 0, kMaxThreads, 0};
        return config().capability < 80 ? cudaErrorNoKernelImageForDevice : cudaSuccess;
    });
}

cudaError_t enqueue(cudaStream_t handle, KernelCall call) {
    return api("launch", [&](Runtime& runtime) {
        CUstream_st* stream = runtime.stream(handle);
        if (!stream) return runtime.refuse(cudaErrorInvalidResourceHandle, "a launch on a stream that does not exist");
        const int device = stream->device;
        if (device != current_device())
            return runtime.refuse(cudaErrorInvalidResourceHandle, "a launch on a stream of another device");
        const cudaError_t error = check_launch(runtime, call);
        if (error != cudaSuccess) return error;
        return runtime.queue(*stream, [device, call = std::move(call)] { run_kernel(device, call); });
    });
}

}  // namespace emulation

// ---- streams --------------------------------------------------------------------------------------------------------

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
    return api("cudaStreamCreate", [&](Runtime& runtime) {
        *stream = runtime.add_stream(flags);
        return cudaSuccess;
    });
}

cudaError_t cudaStreamCreate(cudaStream_t* stream) {
    return cudaStreamCreateWithFlags(stream, cudaStreamDefault);
}

cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned flags, int) {
    return cudaStreamCreateWithFlags(stream, flags);
}

cudaError_t cudaStreamDestroy(cudaStream_t handle) {
    return api("cudaStreamDestroy", [&](Runtime& runtime) {
        CUstream_st* stream = handle ? runtime.stream(handle) : nullptr;
        if (!stream) return runtime.refuse(cudaErrorInvalidResourceHandle, "no such stream");
        runtime.remove_stream(stream);
        return cudaSuccess;
    });
}

cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
    return api("cudaStreamSynchronize", [&](Runtime& runtime) {
        CUstream_st* stream = runtime.stream(handle);
        if (!stream) return runtime.refuse(cudaErrorInvalidResourceHandle, "no such stream");
        const cudaError_t error = runtime.unless_capturing("cudaStreamSynchronize");
        if (error == cudaSuccess) runtime.run_all(*stream);
        return error;
    });
}

// Somebody who polls gets on by one operation a call.
cudaError_t cudaStreamQuery(cudaStream_t handle) {
    return api("cudaStreamQuery", [&](Runtime& runtime) {
        CUstream_st* stream = runtime.stream(handle);
        if (!stream) return runtime.refuse(cudaErrorInvalidResourceHandle, "no such stream");
        const cudaError_t error = runtime.unless_capturing("cudaStreamQuery");
        if (error != cudaSuccess || stream->queue.empty()) return error;
        runtime.run_one(*stream);
        return stream->queue.empty() ? cudaSuccess : cudaErrorNotReady;
    });
}

cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t event, unsigned) {
    return api("cudaStreamWaitEvent", [&](Runtime& runtime) {
        CUstream_st* stream = runtime.stream(handle);
        if (!stream || !runtime.known(event))
            return runtime.refuse(cudaErrorInvalidResourceHandle, "no such stream or event");
        if (event->capture) {
            emulation::Capture& capture = *event->capture;
            if (!stream->capture) {  // the stream becomes part of the capture
                stream->capture = &capture;
                stream->captured = stream->joined = 0;
                capture.streams.push_back(stream);
            }
            event->captured_stream->joined = std::max(event->captured_stream->joined, event->captured_steps);
            return cudaSuccess;
        }
        if (!event->marker) return cudaSuccess;
        return runtime.queue(*stream, [marker = event->marker] {
            if (!marker->reached) Runtime::get().run_until(*marker->stream, marker->sequence);
        });
    });
}

// ---- events ---------------------------------------------------------------------------------------------------------

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
    return api("cudaEventCreate", [&](Runtime& runtime) {
        *event = new CUevent_st{emulation::current_device(), !(flags & cudaEventDisableTiming), nullptr};
        runtime.events.push_back(*event);
        return cudaSuccess;
    });
}

cudaError_t cudaEventCreate(cudaEvent_t* event) {
    return cudaEventCreateWithFlags(event, cudaEventDefault);
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
    return api("cudaEventDestroy", [&](Runtime& runtime) {
        if (!runtime.known(event)) return runtime.refuse(cudaErrorInvalidResourceHandle, "no such event");
        runtime.events.erase(std::find(runtime.events.begin(), runtime.events.end(), event));
        delete event;
        return cudaSuccess;
    });
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t handle) {
    return api("cudaEventRecord", [&](Runtime& runtime) {
        CUstream_st* stream = runtime.stream(handle);
        if (!stream || !runtime.known(event))
            return runtime.refuse(cudaErrorInvalidResourceHandle, "no such stream or event");
        if (event->device != stream->device)
            return runtime.refuse(cudaErrorInvalidResourceHandle, "the event and the stream belong to two devices");
        event->capture = stream->capture;
        if (stream->capture) {
            event->captured_stream = stream;
            event->captured_steps = stream->captured;
            return cudaSuccess;
        }
        auto marker = std::make_shared<emulation::Marker>();
        marker->stream = stream;
        event->marker = marker;
        marker->sequence = runtime.next_sequence();
        return runtime.queue(*stream, [marker] {
            marker->reached = true;
            marker->seconds = emulation::seconds_now();
        });
    });
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
    return api("cudaEventSynchronize", [&](Runtime& runtime) {
        if (!runtime.known(event)) return runtime.refuse(cudaErrorInvalidResourceHandle, "no such event");
        const cudaError_t error = runtime.unless_capturing("cudaEventSynchronize");
        if (error != cudaSuccess || !event->marker || event->marker->reached) return error;
        runtime.run_until(*event->marker->stream, event->marker->sequence);
        return cudaSuccess;
    });
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
    return api("cudaEventQuery", [&](Runtime& runtime) {
        if (!runtime.known(event)) return runtime.refuse(cudaErrorInvalidResourceHandle, "no such event");
        if (event->capture) return runtime.unless_capturing("cudaEventQuery");
        if (!event->marker || event->marker->reached) return cudaSuccess;
        runtime.run_one(*event->marker->stream);
        return event->marker->reached ? cudaSuccess : cudaErrorNotReady;
    });
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t from, cudaEvent_t to) {
    return api("cudaEventElapsedTime", [&](Runtime& runtime) {
        for (const cudaEvent_t event : {from, to}) {
            if (!runtime.known(event) || !event->marker || !event->timing)
                return runtime.refuse(cudaErrorInvalidResourceHandle, "the event was not recorded, or without timing");
            if (!event->marker->reached) return cudaErrorNotReady;
        }
        *milliseconds = static_cast<float>(1e3 * (to->marker->seconds - from->marker->seconds));
        return cudaSuccess;
    });
}

// ---- graphs ---------------------------------------------------------------------------------------------------------

cudaError_t cudaStreamBeginCapture(cudaStream_t handle, cudaStreamCaptureMode mode) {
    return api("cudaStreamBeginCapture", [&](Runtime& runtime) {
        CUstream_st* stream = runtime.stream(handle);
        if (!stream) return runtime.refuse(cudaErrorInvalidResourceHandle, "no such stream");
        return runtime.begin_capture(*stream, mode);
    });
}

cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t* graph) {
    return api("cudaStreamEndCapture", [&](Runtime& runtime) {
        CUstream_st* stream = runtime.stream(handle);
        if (!stream) return runtime.refuse(cudaErrorInvalidResourceHandle, "no such stream");
        return runtime.end_capture(*stream, graph);
    });
}

cudaError_t cudaStreamIsCapturing(cudaStream_t handle, cudaStreamCaptureStatus* status) {
    return api("cudaStreamIsCapturing", [&](Runtime& runtime) {
        CUstream_st* stream = runtime.stream(handle);
        if (!stream) return runtime.refuse(cudaErrorInvalidResourceHandle, "no such stream");
        *status = !stream->capture           ? cudaStreamCaptureStatusNone
                  : stream->capture->invalid ? cudaStreamCaptureStatusInvalidated
                                             : cudaStreamCaptureStatusActive;
        return cudaSuccess;
    });
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long) {
    return api("cudaGraphInstantiate", [&](Runtime&) {
        *executable = new CUgraphExec_st{graph->steps};
        return cudaSuccess;
    });
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t handle) {
    return api("cudaGraphLaunch", [&](Runtime& runtime) {
        CUstream_st* stream = runtime.stream(handle);
        if (!stream) return runtime.refuse(cudaErrorInvalidResourceHandle, "no such stream");
        return runtime.queue(*stream, [steps = executable->steps] {
            for (const auto& step : steps)
                if (Runtime::get().failure() == cudaSuccess) step();
        });
    });
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
    return api("cudaGraphExecDestroy", [&](Runtime&) {
        delete executable;
        return cudaSuccess;
    });
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
    return api("cudaGraphDestroy", [&](Runtime&) {
        delete graph;
        return cudaSuccess;
    });
}
