// Runs every test in every mode.
#include <cstdio>

#include "check.h"
#include "tests.h"

int main() {
    using namespace emulation_test;
    const struct {
        const char* name;
        void (*run)();
    } tests[] = {{"language", language},
                 {"instructions", instructions},
                 {"hopper", hopper},
                 {"products of warpgroups", warpgroup_products},
                 {"runtime", runtime}};
    for (const auto& test : tests) {
        std::printf("%s\n", test.name);
        in_all_modes(test.run);
    }
    std::printf("failures\n");
    failing_kernels();
    refused_calls();
    return failures() != 0;
}
