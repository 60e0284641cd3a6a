// DLPack: sharing memory with torch, cupy, numpy and others. The structs are those of the DLPack 1.0 specification
// (https://dmlc.github.io/dlpack/latest/), which fixes their layout.
#include <optional>

#include "bindings/bindings.h"
#include "cuda/runtime.h"

namespace ck::bindings {
namespace {

struct DLDevice {
    int32_t device_type;  // 1 = CPU
    int32_t device_id;
};
struct DLDataType {
    uint8_t code;  // 0 int, 1 uint, 2 float, 6 bool
    uint8_t bits;
    uint16_t lanes;
};
struct DLTensor {
    void* data;
    DLDevice device;
    int32_t ndim;
    DLDataType dtype;
    int64_t* shape;
    int64_t* strides;  // in elements; null means row-major
    uint64_t byte_offset;
};
struct DLManagedTensor {
    DLTensor tensor;
    void* context;
    void (*deleter)(DLManagedTensor*);
};
struct DLManagedTensorVersioned {
    uint32_t major, minor;
    void* context;
    void (*deleter)(DLManagedTensorVersioned*);
    uint64_t flags;
    DLTensor tensor;
};
constexpr uint64_t kReadOnly = 1;

// The two forms of a capsule: with and without a version.
template <class Managed>
constexpr const char* kName = "dltensor";
template <>
constexpr const char* kName<DLManagedTensorVersioned> = "dltensor_versioned";
template <class Managed>
constexpr const char* kUsedName = "used_dltensor";
template <>
constexpr const char* kUsedName<DLManagedTensorVersioned> = "used_dltensor_versioned";

DLDataType dl_dtype(DType dtype) {
    const auto bits = static_cast<uint8_t>(8 * itemsize(dtype));
    switch (dtype) {
        case DType::float32:
        case DType::float64:
            return {2, bits, 1};
        case DType::bfloat16:
            return {4, bits, 1};
        case DType::int64:
            return {0, bits, 1};
        case DType::uint8:
            return {1, bits, 1};
        case DType::boolean:
            break;
    }
    return {6, bits, 1};
}

DType dtype_of(DLDataType dl) {
    for (DType dtype : {DType::float32, DType::float64, DType::bfloat16, DType::uint8, DType::int64, DType::boolean}) {
        const DLDataType own = dl_dtype(dtype);
        if (own.code == dl.code && own.bits == dl.bits && own.lanes == dl.lanes) return dtype;
    }
    throw TypeError(
        concat("[from_dlpack] dtype must be float32, float64, bfloat16, uint8, int64 or bool. Received: code ",
               int{dl.code}, ", ", int{dl.bits}, " bits, ", dl.lanes, " lanes."));
}

constexpr int32_t kDlCpu = 1, kDlCuda = 2;

DLDevice dl_device(Device device) {
    return device.is_cpu() ? DLDevice{kDlCpu, 0} : DLDevice{kDlCuda, device.index};
}

using Stream = std::optional<uintptr_t>;

// What an exported capsule keeps alive. While it lives its holder may write the memory, on a device in `stream`.
struct Export {
    Export(const Tensor& t, Stream s) : tensor(t), strides(t.shape().size()), stream(s) {
        t.storage()->begin_outside_writes();
    }
    ~Export() {
        tensor.storage()->end_outside_writes();
        if (tensor.device().is_cpu()) return;
        try {  // the memory's next user must come after what the holder queued
            if (stream) {
                cuda::wait_for_stream(tensor.device().index, *stream);
            } else {
                cuda::synchronize_device(tensor.device().index);
            }
        } catch (const DeviceError&) {  // the device is lost, and the next op says so
        }
    }
    Export(const Export&) = delete;
    Export& operator=(const Export&) = delete;
    Tensor tensor;
    Shape strides;
    Stream stream;
};

template <class Managed>
py::capsule export_as(const Tensor& t, Stream stream) {
    auto* owner = new Export(t, stream);
    int64_t stride = 1;
    for (size_t i = t.shape().size(); i-- > 0;) {
        owner->strides[i] = stride;
        stride *= t.shape()[i];
    }
    auto* managed = new Managed{};
    managed->context = owner;
    managed->deleter = [](Managed* self) {
        delete static_cast<Export*>(self->context);
        delete self;
    };
    managed->tensor = {t.raw(),
                       dl_device(t.device()),
                       t.ndim(),
                       dl_dtype(t.dtype()),
                       const_cast<int64_t*>(owner->tensor.shape().data()),
                       owner->strides.data(),
                       0};
    if constexpr (std::is_same_v<Managed, DLManagedTensorVersioned>) {
        managed->major = 1;
        managed->flags = t.storage()->writable() ? 0 : kReadOnly;
    }
    return py::capsule(managed, kName<Managed>, [](PyObject* capsule) {
        if (!PyCapsule_IsValid(capsule, kName<Managed>)) return;  // consumed, and renamed
        auto* unused = static_cast<Managed*>(PyCapsule_GetPointer(capsule, kName<Managed>));
        unused->deleter(unused);
    });
}

// `stream`: where the consumer works on a CUDA tensor, if it said so.
py::capsule to_dlpack(const Tensor& t, bool versioned, Stream stream) {
    if (versioned) return export_as<DLManagedTensorVersioned>(t, stream);
    if (!t.storage()->writable()) {
        throw py::buffer_error("[dlpack] read-only memory needs a consumer of DLPack 1.0 or newer.");
    }
    return export_as<DLManagedTensor>(t, stream);
}

template <class Managed>
Tensor import_as(const py::capsule& capsule) {
    auto* managed = static_cast<Managed*>(PyCapsule_GetPointer(capsule.ptr(), kName<Managed>));
    if (!managed) throw py::error_already_set();
    const DLTensor& dl = managed->tensor;
    const bool cuda = dl.device.device_type == kDlCuda;
    CK_CHECK_TYPE(cuda || dl.device.device_type == kDlCpu, "from_dlpack",
                  "needs CPU or CUDA memory. Received: device type ", dl.device.device_type, ".");
    const Device device = cuda ? Device{DeviceType::cuda, dl.device.device_id} : Device{};
    const DType dtype = dtype_of(dl.dtype);
    Shape shape(dl.shape, dl.shape + dl.ndim);
    char* data = static_cast<char*>(dl.data) + dl.byte_offset;
    int64_t expected = 1;
    bool dense = true;
    for (size_t i = shape.size(); i-- > 0;) {
        dense &= !dl.strides || shape[i] == 1 || dl.strides[i] == expected;
        expected *= shape[i];
    }
    dense |= expected == 0;
    CK_CHECK(dense && reinterpret_cast<uintptr_t>(data) % static_cast<uintptr_t>(itemsize(dtype)) == 0, "from_dlpack",
             "needs row-major, aligned memory. Received: shape ", shape, ", strides ",
             dl.strides ? Shape(dl.strides, dl.strides + dl.ndim) : Shape{}, ".");
    bool writable = true;
    if constexpr (std::is_same_v<Managed, DLManagedTensorVersioned>) {
        CK_CHECK(managed->major == 1, "from_dlpack", "understands DLPack 1.x. Received: version ", managed->major, ".",
                 managed->minor, ".");
        writable = !(managed->flags & kReadOnly);
    }
    PyCapsule_SetName(capsule.ptr(), kUsedName<Managed>);
    PyCapsule_SetDestructor(capsule.ptr(), nullptr);
    auto release = [managed, device] {
        try {  // kernels may still read it, in an order that its owner does not know
            if (!device.is_cpu()) cuda::synchronize(device.index);
        } catch (const DeviceError&) {  // the device is lost, and the next op says so
        }
        if (managed->deleter) managed->deleter(managed);
    };
    auto storage = std::make_shared<Storage>(data, expected * itemsize(dtype), device, writable, release);
    return Tensor(std::move(shape), dtype, std::move(storage));
}

Tensor from_dlpack(const py::capsule& capsule) {
    if (PyCapsule_IsValid(capsule.ptr(), kName<DLManagedTensorVersioned>)) {
        return import_as<DLManagedTensorVersioned>(capsule);
    }
    CK_CHECK(PyCapsule_IsValid(capsule.ptr(), kName<DLManagedTensor>), "from_dlpack",
             "needs a DLPack capsule that was not consumed yet. Received: a capsule named ",
             capsule.name() ? capsule.name() : "(none)", ".");
    return import_as<DLManagedTensor>(capsule);
}

}  // namespace

void bind_dlpack(py::module_& m) {
    m.def("to_dlpack", &to_dlpack, py::arg("tensor"), py::arg("versioned"), py::arg("stream") = Stream{});
    m.def("from_dlpack", &from_dlpack, py::arg("capsule"));
}

}  // namespace ck::bindings
