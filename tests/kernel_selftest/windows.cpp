// Pooling and resizing.
#include "cpu/backend.h"
#include "selftest.h"

namespace ck::selftest {
namespace {

std::vector<Pool2dShape> pool_shapes(bool dilated) {
    std::vector<Pool2dShape> shapes;
    for (int64_t c : kSizes) {
        Pool2dShape s{};
        s.n = 1, s.h = 7, s.w = 9, s.c = c;
        s.r = s.s = s.stride_h = s.stride_w = 2;
        s.dilation_h = s.dilation_w = 1;
        shapes.push_back(s);
        s.n = 2, s.r = 3, s.stride_h = 1, s.pad_top = 1, s.pad_right = 1;  // overlapping, asymmetric
        shapes.push_back(s);
        s.r = s.s = s.stride_w = 3, s.pad_bottom = s.pad_left = 1;
        if (dilated) s.dilation_h = 2;
        shapes.push_back(s);
    }
    Pool2dShape narrow{};  // few channels in a row of more than one piece
    narrow.n = 2, narrow.h = 7, narrow.w = 131, narrow.c = 5, narrow.dilation_h = narrow.dilation_w = 1;
    narrow.r = narrow.s = narrow.stride_h = narrow.stride_w = 2;
    shapes.push_back(narrow);
    narrow.r = narrow.s = 3, narrow.pad_top = narrow.pad_left = narrow.pad_right = 1;
    shapes.push_back(narrow);
    Pool2dShape wide{};  // a window of more than 256 places
    wide.n = 1, wide.h = wide.w = 19, wide.c = 5, wide.r = wide.s = 17, wide.stride_h = wide.stride_w = 1;
    wide.dilation_h = wide.dilation_w = 1;
    shapes.push_back(wide);
    for (Pool2dShape& s : shapes) {
        s.p = output_size(s.h, s.pad_top + s.pad_bottom, s.r, s.stride_h, s.dilation_h);
        s.q = output_size(s.w, s.pad_left + s.pad_right, s.s, s.stride_w, s.dilation_w);
    }
    return shapes;
}

int64_t x_size(const Pool2dShape& s) {
    return s.n * s.h * s.w * s.c;
}
int64_t y_size(const Pool2dShape& s) {
    return s.n * s.p * s.q * s.c;
}

// Ties, NaN and infinities: the choice of the maximum is the point.
Array pooled_input(const Pool2dShape& s) {
    Array x = Array::random(x_size(s));
    for (int64_t i = 0; i < x.size(); ++i) {
        x.set(i, std::round(x.floats()[i] * 3));
        if (i % 17 == 5) x.set(i, kNaN);
        if (i % 5 == 3) x.set(i, -kInf);
    }
    return x;
}

// The plain loops' choice, which the ops that take it are given.
Buffer<uint8_t> argmax_of(const Pool2dShape& s, Array& x) {
    Buffer<uint8_t> argmax(y_size(s) * argmax_itemsize(s));
    std::vector<double> y(y_size(s));
    cpu::backend_float64().max_pool2d(s, x.doubles(), y.data(), argmax.data());
    return argmax;
}

std::vector<Resize2dShape> resize_shapes(int64_t scale_h, int64_t scale_w) {
    std::vector<Resize2dShape> shapes;
    for (int64_t c : kSizes) shapes.push_back({2, 4, 5, c, 4 * scale_h, 5 * scale_w});
    return shapes;
}

std::vector<Resize2dShape> adaptive_shapes() {
    std::vector<Resize2dShape> shapes;
    for (int64_t c : kSizes) shapes.insert(shapes.end(), {{2, 5, 7, c, 1, 1}, {1, 5, 7, c, 3, 2}, {1, 2, 3, c, 4, 5}});
    return shapes;
}

int64_t x_size(const Resize2dShape& s) {
    return s.n * s.h * s.w * s.c;
}
int64_t y_size(const Resize2dShape& s) {
    return s.n * s.p * s.q * s.c;
}

}  // namespace

void test_max_pool2d() {
    for (const Pool2dShape& s : pool_shapes(true)) {
        Array x = pooled_input(s), y(y_size(s)), offsets(y_size(s));
        check("max_pool2d", {{y, 0, 0}, {offsets, 0, 0}}, [&](const auto& b, auto t) {
            using T = decltype(t);
            Buffer<uint8_t> argmax(y_size(s) * argmax_itemsize(s));
            b.max_pool2d(s, x.as<T>(), y.as<T>(), argmax.data());
            const uint8_t* bytes = argmax.values();
            for (int64_t i = 0; i < y_size(s); ++i)
                offsets.put<T>(i, argmax_itemsize(s) == 1 ? bytes[i] : bytes[2 * i] + 256 * bytes[2 * i + 1]);
        });
        check("max_pool2d without argmax", {{y, 0, 0}}, [&](const auto& b, auto t) {
            using T = decltype(t);
            b.max_pool2d(s, x.as<T>(), y.as<T>(), nullptr);
        });
    }
}

void test_max_pool2d_gradient() {
    for (const Pool2dShape& s : pool_shapes(true)) {
        Array x = pooled_input(s), dy = Array::random(y_size(s)), dx(x_size(s));
        Buffer<uint8_t> argmax = argmax_of(s, x);
        check("max_pool2d_gradient", {{dx, 32 * kEps}}, [&](const auto& b, auto t) {
            using T = decltype(t);
            b.max_pool2d_gradient(s, dy.as<T>(), argmax.data(), dx.as<T>());
        });
    }
}

void test_max_pool2d_indices() {
    for (const Pool2dShape& s : pool_shapes(true)) {
        Array x = pooled_input(s), indices(y_size(s));
        Buffer<uint8_t> argmax = argmax_of(s, x);
        check("max_pool2d_indices", {{indices, 0, 0}}, [&](const auto& b, auto t) {
            Buffer<int64_t> index(y_size(s));
            b.max_pool2d_indices(s, argmax.data(), index.data());
            assign<decltype(t)>(indices, index);
        });
    }
}

// x[N,H,W,C] goes to places of a plane of twice the size; some are named twice.
static Buffer<int64_t> unpool_indices(const Resize2dShape& s) {
    Buffer<int64_t> indices(x_size(s));
    for (int64_t i = 0; i < indices.size(); ++i) indices[i] = i * 7 % (s.p * s.q);
    return indices;
}

void test_max_unpool2d() {
    for (const Resize2dShape& s : resize_shapes(2, 2)) {
        Buffer<int64_t> indices = unpool_indices(s);
        Array x = Array::random(x_size(s)), y(y_size(s));
        check("max_unpool2d", {{y, 0, 0}}, [&](const auto& b, auto t) {
            using T = decltype(t);
            b.max_unpool2d(s, x.as<T>(), indices.data(), y.as<T>());
        });
    }
}

void test_max_unpool2d_gradient() {
    for (const Resize2dShape& s : resize_shapes(2, 2)) {
        Buffer<int64_t> indices = unpool_indices(s);
        Array dy = Array::random(y_size(s)), dx(x_size(s));
        check("max_unpool2d_gradient", {{dx, 0, 0}}, [&](const auto& b, auto t) {
            using T = decltype(t);
            b.max_unpool2d_gradient(s, dy.as<T>(), indices.data(), dx.as<T>());
        });
    }
}

void test_avg_pool2d() {
    for (bool count_include_pad : {false, true})
        for (const Pool2dShape& s : pool_shapes(false)) {
            Array x = Array::random(x_size(s)), y(y_size(s));
            check("avg_pool2d", {{y, static_cast<double>(s.r * s.s) * kEps}}, [&](const auto& b, auto t) {
                using T = decltype(t);
                b.avg_pool2d(s, count_include_pad, x.as<T>(), y.as<T>());
            });
        }
}

void test_avg_pool2d_gradient() {
    for (bool count_include_pad : {false, true})
        for (const Pool2dShape& s : pool_shapes(false)) {
            Array dy = Array::random(y_size(s)), dx(x_size(s));
            check("avg_pool2d_gradient", {{dx, static_cast<double>(s.r * s.s) * kEps}}, [&](const auto& b, auto t) {
                using T = decltype(t);
                b.avg_pool2d_gradient(s, count_include_pad, dy.as<T>(), dx.as<T>());
            });
        }
}

void test_adaptive_avg_pool2d() {
    for (const Resize2dShape& s : adaptive_shapes()) {
        Array x = Array::random(x_size(s)), y(y_size(s));
        check("adaptive_avg_pool2d", {{y, static_cast<double>(s.h * s.w) * kEps}}, [&](const auto& b, auto t) {
            using T = decltype(t);
            b.adaptive_avg_pool2d(s, x.as<T>(), y.as<T>());
        });
    }
}

void test_adaptive_avg_pool2d_gradient() {
    for (const Resize2dShape& s : adaptive_shapes()) {
        Array dy = Array::random(y_size(s)), dx(x_size(s));
        check("adaptive_avg_pool2d_gradient", {{dx, static_cast<double>(s.p * s.q) * kEps}},
              [&](const auto& b, auto t) {
                  using T = decltype(t);
                  b.adaptive_avg_pool2d_gradient(s, dy.as<T>(), dx.as<T>());
              });
    }
}

void test_upsample() {
    for (ResizeMode mode : {ResizeMode::nearest, ResizeMode::bilinear})
        for (const Resize2dShape& s : resize_shapes(3, 2)) {
            Array x = Array::random(x_size(s)), y(y_size(s));
            check("upsample", {{y, 8 * kEps}}, [&](const auto& b, auto t) {
                using T = decltype(t);
                b.upsample(s, mode, x.as<T>(), y.as<T>());
            });
        }
}

void test_upsample_gradient() {
    for (ResizeMode mode : {ResizeMode::nearest, ResizeMode::bilinear})
        for (const Resize2dShape& s : resize_shapes(3, 2)) {
            Array dy = Array::random(y_size(s)), dx(x_size(s));
            check("upsample_gradient", {{dx, 64 * kEps}}, [&](const auto& b, auto t) {
                using T = decltype(t);
                b.upsample_gradient(s, mode, dy.as<T>(), dx.as<T>());
            });
        }
}

}  // namespace ck::selftest
