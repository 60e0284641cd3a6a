// What ops of the self-test read and write: the same numbers for the float64 loops, for the CPU and for a GPU.
#pragma once
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <vector>

#include "core/backend.h"

namespace ck::selftest {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

// The memory of a device, of blocks of exactly `bytes`.
struct DeviceMemory {
    void* (*allocate)(int64_t bytes);
    void (*release)(void* block);
    void (*to_device)(void* dst, const void* src, int64_t bytes);
    void (*to_host)(void* dst, const void* src, int64_t bytes);
};
// Until the next call operands are found in this memory, or on the host when it is null; copies elsewhere are gone.
// `guard` elements lie before an array, and behind it.
struct Guard {
    int64_t before, behind;
};
void place_operands(const DeviceMemory* memory, Guard guard);
bool operands_on_device();
void transform_operands(float (*f)(float));  // all values of all arrays

// Something with a copy in the memory of the device, made when it is first asked for. All are known, see
// place_operands.
class Operand {
  public:
    Operand();
    virtual ~Operand();
    Operand(Operand&&) : Operand() {}
    Operand& operator=(Operand&&) = delete;
    virtual void transform(float (*)(float)) {}
    void drop_mirror();

  protected:
    void* mirror(const void* host, int64_t bytes);  // the copy
    bool fetch(void* host, int64_t bytes) const;    // from the copy, false when there is none

  private:
    void* mirror_ = nullptr;
};

// Integers and flags: host memory, and a copy on the device.
template <class T>
class Buffer : public Operand {
  public:
    explicit Buffer(int64_t n) : size_(n), host_(static_cast<size_t>(n) * sizeof(T)) {}
    int64_t size() const { return size_; }
    T& operator[](int64_t i) { return host()[i]; }
    // Where the op finds them.
    T* data() { return operands_on_device() ? static_cast<T*>(mirror(host(), bytes())) : host(); }
    // On the host, with what an op on the device has written.
    T* values() {
        fetch(host(), bytes());
        return host();
    }

  private:
    T* host() { return reinterpret_cast<T*>(host_.data()); }
    int64_t bytes() const { return static_cast<int64_t>(host_.size()); }
    int64_t size_;
    std::vector<unsigned char> host_;
};

// The same numbers as float and as double. The floats lie between guards: a kernel that reads a NaN guard spoils its
// result, one that writes a guard is reported. On the host their address is a multiple of 4 bytes only.
class Array : public Operand {
  public:
    explicit Array(int64_t n);
    static Array random(int64_t n, float low = -1, float high = 1);  // all different
    static Array of(std::initializer_list<float> values);

    int64_t size() const { return size_; }
    float* floats() { return float_.data() + kGuard; }
    double* doubles() { return double_.data(); }
    template <class T>
    T* as();  // where the op finds them
    void set(int64_t i, float value);
    template <class T>
    void put(int64_t i, double value) {  // for the run with T alone
        std::is_same_v<T, double> ? double_[i] = value : floats()[i] = static_cast<float>(value);
    }
    void transform(float (*f)(float)) override;
    void clear_floats();  // NaN: what a kernel forgets to write shows
    void fetch_floats();  // what an op on the device has written
    bool guards_intact() const;

  private:
    static constexpr int64_t kGuard = 17;
    template <class T>
    T* mirror_as();
    int64_t size_;
    bool halves_ = false;  // the mirror has bfloat16
    std::vector<float> float_;
    std::vector<double> double_;
};
template <>
float* Array::as<float>();
template <>
double* Array::as<double>();
template <>
bfloat16* Array::as<bfloat16>();

// For results that are not floats, and for outputs that an op changes in place: in the run with T.
template <class T, class From>
void assign(Array& to, Buffer<From>& from) {
    const From* values = from.values();
    for (int64_t i = 0; i < to.size(); ++i) to.put<T>(i, static_cast<double>(values[i]));
}
template <class T>
void assign(Array& to, Array& from) {
    for (int64_t i = 0; i < to.size(); ++i)
        to.put<T>(i, std::is_same_v<T, double> ? from.doubles()[i] : from.floats()[i]);
}

}  // namespace ck::selftest
