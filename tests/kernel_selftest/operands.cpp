#include "operands.h"

#include <cmath>
#include <cstring>
#include <set>

namespace ck::selftest {
namespace {

const DeviceMemory* memory = nullptr;
Guard guard{};

std::set<Operand*>& operands() {
    static std::set<Operand*> all;
    return all;
}

uint64_t random_state = 1;

// Deterministic numbers in [0,1) (splitmix64); the order of the tests is fixed.
double next_random() {
    uint64_t z = random_state += 0x9E3779B97F4A7C15;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return static_cast<double>((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

}  // namespace

void place_operands(const DeviceMemory* where, Guard guards) {
    for (Operand* operand : operands()) operand->drop_mirror();
    memory = where;
    guard = guards;
}

bool operands_on_device() {
    return memory;
}

void transform_operands(float (*f)(float)) {
    for (Operand* operand : operands()) operand->transform(f);
}

Operand::Operand() {
    operands().insert(this);
}
Operand::~Operand() {
    drop_mirror();
    operands().erase(this);
}

void Operand::drop_mirror() {
    if (mirror_) memory->release(mirror_);
    mirror_ = nullptr;
}

void* Operand::mirror(const void* host, int64_t bytes) {
    if (!mirror_) {
        mirror_ = memory->allocate(bytes);
        memory->to_device(mirror_, host, bytes);
    }
    return mirror_;
}

bool Operand::fetch(void* host, int64_t bytes) const {
    if (mirror_) memory->to_host(host, mirror_, bytes);
    return mirror_;
}

Array::Array(int64_t n) : size_(n), float_(n + 2 * kGuard, kNaN), double_(n) {}

Array Array::random(int64_t n, float low, float high) {
    Array a(n);
    for (int64_t i = 0; i < n; ++i) a.set(i, low + static_cast<float>(next_random()) * (high - low));
    return a;
}

Array Array::of(std::initializer_list<float> values) {
    Array a(static_cast<int64_t>(values.size()));
    int64_t i = 0;
    for (float value : values) a.set(i++, value);
    return a;
}

void Array::set(int64_t i, float value) {
    floats()[i] = value;
    double_[i] = value;
}

void Array::transform(float (*f)(float)) {
    for (int64_t i = 0; i < size_; ++i) set(i, f(floats()[i]));
}

void Array::clear_floats() {
    for (float& value : float_) value = kNaN;
}

bool Array::guards_intact() const {
    for (int64_t i = 0; i < kGuard; ++i)
        if (!std::isnan(float_[i]) || !std::isnan(float_[kGuard + size_ + i])) return false;
    return true;
}

template <>
double* Array::as<double>() {
    return doubles();
}
template <>
float* Array::as<float>() {
    return memory ? mirror_as<float>() : floats();
}
template <>
bfloat16* Array::as<bfloat16>() {
    return mirror_as<bfloat16>();
}

template <class T>
T* Array::mirror_as() {
    std::vector<T> values(static_cast<size_t>(guard.before + size_ + guard.behind), T(kNaN));
    for (int64_t i = 0; i < size_; ++i) values[guard.before + i] = T(floats()[i]);
    halves_ = sizeof(T) == 2;
    return static_cast<T*>(mirror(values.data(), static_cast<int64_t>(values.size() * sizeof(T)))) + guard.before;
}

void Array::fetch_floats() {
    const int64_t n = guard.before + size_ + guard.behind;
    std::vector<float> values(n);
    if (halves_) {
        std::vector<bfloat16> halves(n);
        if (!fetch(halves.data(), n * 2)) return;
        for (int64_t i = 0; i < n; ++i) values[i] = static_cast<float>(halves[i]);
    } else if (!fetch(values.data(), n * 4)) {
        return;
    }
    const float* source = values.data();
    std::memcpy(floats() - guard.before, source, n * sizeof(float));
}

}  // namespace ck::selftest
