#include "streams.h"

#include <algorithm>
#include <chrono>

namespace emulation {

Runtime& Runtime::get() {
    static Runtime& runtime = *new Runtime;  // never destroyed, as what uses it at the exit may come later
    return runtime;
}

int& current_device() {
    static thread_local int device = 0;
    return device;
}

cudaError_t& last_error() {
    static thread_local cudaError_t error = cudaSuccess;
    return error;
}

double seconds_now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void Runtime::make_defaults() {
    while (static_cast<int>(defaults_.size()) < device_count()) {
        auto stream = std::make_unique<CUstream_st>();
        stream->device = static_cast<int>(defaults_.size());
        stream->is_default = true;
        stream->waits_for_default = false;
        defaults_.push_back(std::move(stream));
    }
}

CUstream_st* Runtime::stream(cudaStream_t handle) {
    make_defaults();
    if (!handle) return defaults_[current_device()].get();
    for (const auto& stream : streams_)
        if (stream.get() == handle) return handle;
    return nullptr;
}

CUstream_st* Runtime::add_stream(unsigned flags) {
    auto stream = std::make_unique<CUstream_st>();
    stream->device = current_device();
    stream->is_default = false;
    stream->waits_for_default = !(flags & cudaStreamNonBlocking);
    streams_.push_back(std::move(stream));
    return streams_.back().get();
}

void Runtime::remove_stream(CUstream_st* stream) {
    run_all(*stream);
    streams_.erase(
        std::remove_if(streams_.begin(), streams_.end(), [=](const auto& other) { return other.get() == stream; }),
        streams_.end());
}

bool Runtime::known(cudaEvent_t event) const {
    return std::find(events.begin(), events.end(), event) != events.end();
}

// ---- queues ---------------------------------------------------------------------------------------------------------

cudaError_t Runtime::queue(CUstream_st& stream, std::function<void()> work) {
    if (stream.capture) {
        stream.capture->steps.push_back(std::move(work));
        ++stream.captured;
        return cudaSuccess;
    }
    stream.queue.push_back({++sequence_, std::move(work)});
    if (config().streams == Timing::at_once) run_all(stream);
    return cudaSuccess;
}

// The default stream and those that wait for it take turns in the order of the calls.
void Runtime::run_one(CUstream_st& stream) {
    const Operation operation = std::move(stream.queue.front());
    stream.queue.pop_front();
    if (stream.is_default) {
        for (const auto& other : streams_)
            if (other->device == stream.device && other->waits_for_default) run_until(*other, operation.sequence);
    } else if (stream.waits_for_default) {
        make_defaults();
        run_until(*defaults_[stream.device], operation.sequence);
    }
    if (failure_ == cudaSuccess) operation.run();
}

void Runtime::run_until(CUstream_st& stream, uint64_t sequence) {
    while (!stream.queue.empty() && stream.queue.front().sequence <= sequence) run_one(stream);
}

void Runtime::run_device(int device) {
    make_defaults();
    run_all(*defaults_[device]);
    for (const auto& stream : streams_)
        if (stream->device == device) run_all(*stream);
}

void Runtime::perhaps_progress() {
    if (config().streams != Timing::random) return;
    if (!random_) random_ = config().seed;
    random_ = random_ * 6364136223846793005u + 1442695040888963407u;
    const unsigned draw = static_cast<unsigned>(random_ >> 33);
    if (draw % 2) return;
    make_defaults();
    const size_t streams = defaults_.size() + streams_.size(), chosen = draw / 2 % streams;
    CUstream_st& stream = chosen < defaults_.size() ? *defaults_[chosen] : *streams_[chosen - defaults_.size()];
    for (unsigned steps = draw / 64 % 4; steps && !stream.queue.empty(); --steps) run_one(stream);
}

// ---- capture --------------------------------------------------------------------------------------------------------

cudaError_t Runtime::begin_capture(CUstream_st& stream, cudaStreamCaptureMode mode) {
    if (stream.is_default) return refuse(cudaErrorStreamCaptureUnsupported, "the default stream cannot be captured");
    if (stream.capture) return refuse(cudaErrorInvalidValue, "the stream is being captured already");
    captures_.push_back(std::make_unique<Capture>());
    Capture& capture = *captures_.back();
    capture.origin = &stream;
    capture.mode = mode;
    capture.thread = std::this_thread::get_id();
    capture.streams = {&stream};
    stream.capture = &capture;
    stream.captured = stream.joined = 0;
    return cudaSuccess;
}

cudaError_t Runtime::end_capture(CUstream_st& stream, CUgraph_st** graph) {
    *graph = nullptr;
    Capture* capture = stream.capture;
    if (!capture || capture->origin != &stream)
        return refuse(cudaErrorStreamCaptureUnmatched, "the capture did not begin on this stream");
    bool unjoined = false;
    for (CUstream_st* each : capture->streams) {
        unjoined |= each != &stream && each->captured != each->joined;
        each->capture = nullptr;
    }
    const bool invalid = capture->invalid;
    if (!invalid && !unjoined) *graph = new CUgraph_st{std::move(capture->steps)};
    for (CUevent_st* event : events)
        if (event->capture == capture) event->capture = nullptr;
    captures_.erase(
        std::find_if(captures_.begin(), captures_.end(), [=](const auto& other) { return other.get() == capture; }));
    if (invalid) return refuse(cudaErrorStreamCaptureInvalidated, "the capture failed at an earlier call: " + message_);
    if (unjoined)
        return refuse(cudaErrorStreamCaptureUnjoined,
                      "a stream of the capture has work that its origin does not wait for");
    return cudaSuccess;
}

cudaError_t Runtime::unless_capturing(const char* what) {
    for (const auto& capture : captures_) {
        const bool concerned =
            capture->mode == cudaStreamCaptureModeGlobal ||
            (capture->mode == cudaStreamCaptureModeThreadLocal && capture->thread == std::this_thread::get_id());
        if (!concerned) continue;
        capture->invalid = true;
        return refuse(cudaErrorStreamCaptureUnsupported, std::string(what) + " while a stream is being captured");
    }
    return cudaSuccess;
}

// ---- errors ---------------------------------------------------------------------------------------------------------

void Runtime::fail(cudaError_t error, const std::string& text) {
    if (failure_ != cudaSuccess) return;
    failure_ = error;
    message_ = text;
}

cudaError_t Runtime::refuse(cudaError_t error, const std::string& text) {
    message_ = text;
    return error;
}

cudaError_t Runtime::unusable() const {
    if (config().driver < kRuntimeVersion) return cudaErrorInsufficientDriver;
    if (device_count() == 0) return cudaErrorNoDevice;
    return process_ == getpid() ? cudaSuccess : cudaErrorInitializationError;
}

cudaError_t Runtime::injected(const std::string& call) {
    for (auto planted = injected_.begin(); planted != injected_.end(); ++planted) {
        if (planted->call != call || planted->after-- > 0) continue;
        const cudaError_t error = planted->error;
        injected_.erase(planted);
        return refuse(error, "planted in " + call);
    }
    return cudaSuccess;
}

void Runtime::inject(const std::string& call, cudaError_t error, int after) {
    injected_.push_back({call, error, after});
}

void Runtime::reset() {
    for (const auto& stream : defaults_) stream->queue.clear();
    for (const auto& stream : streams_) {
        stream->queue.clear();
        stream->capture = nullptr;
    }
    captures_.clear();
    for (CUevent_st* event : events) {
        event->marker = nullptr;
        event->capture = nullptr;
    }
    injected_.clear();
    failure_ = cudaSuccess;
    message_.clear();
    last_error() = cudaSuccess;
    remake_devices();
    defaults_.clear();
    if (current_device() >= device_count()) current_device() = 0;
}

void inject(const std::string& call, int status, int after) {
    Runtime& runtime = Runtime::get();
    const std::lock_guard<std::recursive_mutex> lock(runtime.mutex);
    runtime.inject(call, static_cast<cudaError_t>(status), after);
}

std::string last_message() {
    Runtime& runtime = Runtime::get();
    const std::lock_guard<std::recursive_mutex> lock(runtime.mutex);
    return runtime.message();
}

}  // namespace emulation
