// Pointwise ops, reductions, copies and random numbers.
#include "core/philox.h"
#include "cpu/backend.h"
#include "selftest.h"

namespace ck::selftest {
namespace {

const UnaryOp kUnary[] = {UnaryOp::negate, UnaryOp::exp,   UnaryOp::log,        UnaryOp::sqrt, UnaryOp::abs,
                          UnaryOp::relu,   UnaryOp::relu6, UnaryOp::leaky_relu, UnaryOp::tanh, UnaryOp::sigmoid};

constexpr double kSmallest = std::numeric_limits<float>::min();  // below it floats lose digits

// Every special value in every lane of a 16-wide vector.
Array with_specials(int64_t n, float low, float high) {
    const float specials[] = {0.0f, -0.0f, kNaN, kInf, -kInf, 6.0f, -6.0f, 1e-30f, 88.0f, -88.0f, 0.5f};
    Array x = Array::random(n, low, high);
    for (int64_t i = 0; i < n; i += 3) x.set(i, specials[i / 3 % 11]);
    return x;
}

// a [outer,1,inner] with b [middle,1]: both are repeated.
Broadcast broadcast(int64_t outer, int64_t middle, int64_t inner) {
    Broadcast s{};
    s.ndim = 3;
    const int64_t shape[] = {outer, middle, inner}, a[] = {inner, 0, 1}, b[] = {0, 1, 0};
    for (int i = 0; i < 3; ++i) {
        s.shape[i] = shape[i];
        s.stride_a[i] = a[i];
        s.stride_b[i] = b[i];
    }
    return s;
}

Broadcast flat(int64_t n) {
    Broadcast s{};
    s.ndim = 1;
    s.shape[0] = n;
    s.stride_a[0] = s.stride_b[0] = 1;
    return s;
}

}  // namespace

void test_unary() {
    for (UnaryOp op : kUnary)
        for (int64_t n : {1, 3, 15, 17, 64, 400, 70000}) {
            Array x = with_specials(n, -8, 8), y(n);
            check("unary", {{y, kSmallest}}, [&](const auto& b, auto t) {
                using T = decltype(t);
                b.unary(op, T(0.125f), n, x.as<T>(), y.as<T>());
            });
        }
}

void test_unary_gradient() {
    for (UnaryOp op : kUnary)
        for (int64_t n : {1, 3, 15, 17, 64, 400, 70000}) {
            // y from the same op, so that x and y belong together
            Array x = with_specials(n, 0.1f, 8), y(n), dy = Array::random(n), dx(n);
            cpu::backend_float64().unary(op, 0.125, n, x.doubles(), y.doubles());
            for (int64_t i = 0; i < n; ++i) y.set(i, static_cast<float>(y.doubles()[i]));
            check("unary_gradient", {{dx, 16 * kEps}}, [&](const auto& b, auto t) {
                using T = decltype(t);
                b.unary_gradient(op, T(0.125f), n, x.as<T>(), y.as<T>(), dy.as<T>(), dx.as<T>());
            });
        }
}

void test_binary() {
    const BinaryOp ops[] = {BinaryOp::add, BinaryOp::subtract, BinaryOp::multiply, BinaryOp::divide, BinaryOp::power};
    for (BinaryOp op : ops) {
        for (int64_t n : {1, 17, 400}) {
            Array u = with_specials(n, 0.5f, 3), v = with_specials(n + 1, 0.5f, 3), y(n);
            check("binary", {{y, kSmallest}}, [&](const auto& b, auto t) {
                using T = decltype(t);
                b.binary(op, flat(n), u.as<T>(), v.as<T>() + 1, y.as<T>());
            });
        }
        for (int64_t inner : {1, 5, 33}) {
            Array u = Array::random(3 * inner, 0.5f, 3), v = Array::random(4, 0.5f, 3), y(3 * 4 * inner);
            check("binary", {{y, kSmallest}}, [&](const auto& b, auto t) {
                using T = decltype(t);
                b.binary(op, broadcast(3, 4, inner), u.as<T>(), v.as<T>(), y.as<T>());
            });
        }
    }
}

void test_compare() {
    const CompareOp ops[] = {CompareOp::equal,      CompareOp::not_equal, CompareOp::less,
                             CompareOp::less_equal, CompareOp::greater,   CompareOp::greater_equal};
    for (CompareOp op : ops) {
        const int64_t n = 133;
        Array u = with_specials(n, -1, 1), v = with_specials(n, -1, 1), y(n);
        check("compare", {{y, 0}}, [&](const auto& b, auto t) {
            using T = decltype(t);
            Buffer<bool> result(n);
            b.compare(op, flat(n), u.as<T>(), v.as<T>(), result.data());
            assign<T>(y, result);
        });
    }
}

void test_epilogue_gradient() {
    for (ActivationKind kind : {ActivationKind::none, ActivationKind::relu, ActivationKind::relu6,
                                ActivationKind::leaky_relu, ActivationKind::tanh, ActivationKind::sigmoid})
        for (int64_t c : kSizes) {
            const int64_t rows = 37;
            Array y = Array::random(rows * c), dy = Array::random(rows * c), dz(rows * c), dbias(c);
            check("epilogue_gradient", {{dz, 4 * kEps}, {dbias, rows * kEps}}, [&](const auto& b, auto t) {
                using T = decltype(t);
                b.epilogue_gradient(rows, c, Activation{kind}, y.as<T>(), dy.as<T>(), dz.as<T>(), dbias.as<T>());
            });
        }
}

void test_reduce() {
    for (ReduceOp op : {ReduceOp::sum, ReduceOp::max})
        for (int64_t inner : {1, 5, 33})
            for (int64_t len : kSizes) {
                const ReduceShape s{3, len, inner};
                Array x = Array::random(3 * len * inner), y(3 * inner);
                if (op == ReduceOp::max) x.set(len * inner / 2, kNaN);
                check("reduce", {{y, len * kEps}}, [&](const auto& b, auto t) {
                    using T = decltype(t);
                    b.reduce(op, s, x.as<T>(), y.as<T>());
                });
            }
}

void test_argmax() {
    for (int64_t inner : {1, 5, 33})
        for (int64_t len : kSizes) {
            const ReduceShape s{3, len, inner};
            Array x = Array::random(3 * len * inner), y(3 * inner);
            for (int64_t i = 0; i < x.size(); ++i) x.set(i, std::round(x.floats()[i] * 2));  // ties
            check("argmax", {{y, 0}}, [&](const auto& b, auto t) {
                using T = decltype(t);
                Buffer<int64_t> index(y.size());
                b.argmax(s, x.as<T>(), index.data());
                assign<T>(y, index);
            });
        }
}

void test_scatter_to_index() {
    for (int64_t inner : {1, 5, 33})
        for (int64_t len : kSizes) {
            const ReduceShape s{3, len, inner};
            Buffer<int64_t> index(3 * inner);
            for (int64_t i = 0; i < index.size(); ++i) index[i] = i * 7 % len;
            Array dy = Array::random(3 * inner), dx(3 * len * inner);
            check("scatter_to_index", {{dx, 0}}, [&](const auto& b, auto t) {
                using T = decltype(t);
                b.scatter_to_index(s, index.data(), dy.as<T>(), dx.as<T>());
            });
        }
}

void test_strided_copy() {
    for (int64_t n : kSizes) {  // a transpose
        Array x = Array::random(3 * n), y(3 * n);
        check("strided_copy", {{y, 0}}, [&](const auto& b, auto t) {
            using T = decltype(t);
            StridedCopy s{};
            s.ndim = 2;
            s.shape[0] = n;
            s.shape[1] = 3;
            s.src_stride[0] = 1;
            s.src_stride[1] = n;
            s.dst_stride[0] = 3;
            s.dst_stride[1] = 1;
            s.itemsize = sizeof(T);
            b.strided_copy(s, x.as<T>(), y.as<T>());
        });
    }
}

// Numbers of the table's element type to To and back.
template <class To>
static void cast_there_and_back(int64_t n) {
    Array x = with_specials(n, -8, 300), there(n), back(n);
    check("cast", {{there, 0, 0}, {back, 0, 0}}, [&](const auto& b, auto t) {
        using From = decltype(t);
        Buffer<To> result(n);
        b.cast(n, DTypeOf<From>::value, x.as<From>(), DTypeOf<To>::value, result.data());
        assign<From>(there, result);
        b.cast(n, DTypeOf<To>::value, result.data(), DTypeOf<From>::value, back.as<From>());
    });
}

void test_cast() {
    for (int64_t n : {1, 3, 17, 400}) {
        cast_there_and_back<bool>(n);
        cast_there_and_back<uint8_t>(n);
        cast_there_and_back<int64_t>(n);
        cast_there_and_back<double>(n);
    }
}

void test_fill() {
    for (int64_t n : {1, 17, 400}) {
        Array y(n);
        check("fill", {{y, 0}}, [&](const auto& b, auto t) {
            using T = decltype(t);
            const T value(0.25f);
            b.fill(n, sizeof(T), &value, y.as<T>());
        });
    }
}

void test_arange() {
    for (int64_t n : {1, 5, 400}) {
        Array y(n);
        check("arange", {{y, 0, 1}}, [&](const auto& b, auto t) {
            using T = decltype(t);
            b.arange(n, -3, 0.7, DTypeOf<T>::value, y.as<T>());
        });
        Array truncated(n);
        check("arange", {{truncated, 0, 0}}, [&](const auto& b, auto t) {
            using T = decltype(t);
            Buffer<int64_t> result(n);
            b.arange(n, 200, -0.7, DType::int64, result.data());
            assign<T>(truncated, result);
        });
    }
}

void test_random_uniform() {
    for (int64_t n : {1, 5, 17, 70000}) {
        Array y(n);
        check("random_uniform", {{y, 2 * kEps, 4, 0, 2}},  // bfloat16 takes 8 bits of the draw
              [&](const auto& b, auto t) {
                  using T = decltype(t);
                  b.random_uniform(n, PhiloxKey{7, 4}, T(-1), T(1), y.as<T>());
              });
    }
}

void test_random_normal() {
    for (int64_t n : {1, 5, 17, 70000}) {
        Array y(n);
        check("random_normal", {{y, 16 * kEps}}, [&](const auto& b, auto t) {
            using T = decltype(t);
            b.random_normal(n, PhiloxKey{7, 4}, T(0), T(1), y.as<T>());
        });
    }
}

}  // namespace ck::selftest
