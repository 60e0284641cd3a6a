// The exceptions users see and the one way to raise them: "[op] rule. Received: every value."
// The bindings map ValueError, TypeError and DeviceError to Python's ValueError, TypeError and RuntimeError.
#pragma once
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace ck {

struct ValueError : std::runtime_error {
    using std::runtime_error::runtime_error;
};
struct TypeError : std::runtime_error {
    using std::runtime_error::runtime_error;
};
struct DeviceError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

inline std::ostream& operator<<(std::ostream& out, const std::vector<int64_t>& shape) {
    out << '[';
    for (size_t i = 0; i < shape.size(); ++i) out << (i ? "," : "") << shape[i];
    return out << ']';
}

template <class... Args>
std::string concat(const Args&... args) {
    std::ostringstream out;
    (out << ... << args);
    return out.str();
}

}  // namespace ck

// CK_CHECK(k > 0, "conv2d", "kernel size must be positive. Received: kernel_size=", k, ".")
#define CK_CHECK_AS(Error, condition, op, ...)                                         \
    do {                                                                               \
        if (!(condition)) throw ::ck::Error(::ck::concat("[", op, "] ", __VA_ARGS__)); \
    } while (false)
#define CK_CHECK(condition, op, ...) CK_CHECK_AS(ValueError, condition, op, __VA_ARGS__)
#define CK_CHECK_TYPE(condition, op, ...) CK_CHECK_AS(TypeError, condition, op, __VA_ARGS__)
