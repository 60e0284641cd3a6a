#pragma once

namespace emulation_test {

// In all modes
void language();            // test_language.cu
void instructions();        // test_instructions.cu
void hopper();              // test_hopper.cu
void warpgroup_products();  // test_warpgroup_product.cu
void runtime();             // test_runtime.cu

// What must end with a message
void failing_kernels();  // test_failures.cu
void refused_calls();    // test_refusals.cu

}  // namespace emulation_test
