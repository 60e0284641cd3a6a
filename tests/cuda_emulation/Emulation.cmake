# For builds that run csrc/cuda on the CPU.
find_package(Threads REQUIRED)

# The objects that stand in for the CUDA runtime. Targets that link them find cuda_runtime.h here.
set(emulation_sources
    ${CMAKE_CURRENT_LIST_DIR}/async_copies.cpp
    ${CMAKE_CURRENT_LIST_DIR}/async_units.cpp
    ${CMAKE_CURRENT_LIST_DIR}/config.cpp
    ${CMAKE_CURRENT_LIST_DIR}/device_memory.cpp
    ${CMAKE_CURRENT_LIST_DIR}/faults.cpp
    ${CMAKE_CURRENT_LIST_DIR}/fiber.cpp
    ${CMAKE_CURRENT_LIST_DIR}/meetings.cpp
    ${CMAKE_CURRENT_LIST_DIR}/multiprocessor.cpp
    ${CMAKE_CURRENT_LIST_DIR}/run_grid.cpp
    ${CMAKE_CURRENT_LIST_DIR}/runtime_device.cpp
    ${CMAKE_CURRENT_LIST_DIR}/runtime_memory.cpp
    ${CMAKE_CURRENT_LIST_DIR}/runtime_streams.cpp
    ${CMAKE_CURRENT_LIST_DIR}/shared_memory.cpp
    ${CMAKE_CURRENT_LIST_DIR}/streams.cpp
    ${CMAKE_CURRENT_LIST_DIR}/tensor_maps.cpp)
set(emulation_folder ${CMAKE_CURRENT_LIST_DIR})
function(convkit_add_emulation name)
    add_library(${name} OBJECT ${emulation_sources})
    target_include_directories(${name} SYSTEM INTERFACE ${emulation_folder})
    target_compile_options(${name} INTERFACE -fno-strict-aliasing)  # kernels read floats through float4
endfunction()

# convkit_emulate(FILE.cu...): compiled as C++, without nvcc's #pragma unroll; GCC is wrong about arrays of such loops
function(convkit_emulate)
    set_source_files_properties(${ARGN} PROPERTIES LANGUAGE CXX COMPILE_OPTIONS "-Wno-unknown-pragmas;-Wno-maybe-uninitialized;-Wno-psabi")
endfunction()

# The environment of programs that a sanitizer watches; those of the thread sanitizer run as ${tsan_wrapper} PROGRAM.
set(asan_options "ASAN_OPTIONS=detect_leaks=0;UBSAN_OPTIONS=print_stacktrace=1")
# The detector's fixed addresses need the kernel to place memory where it always did.
execute_process(COMMAND setarch -R true RESULT_VARIABLE setarch_refused OUTPUT_QUIET ERROR_QUIET)  # as some containers do
if(NOT setarch_refused)
    set(tsan_wrapper setarch -R)
endif()
set(tsan_options "TSAN_OPTIONS=halt_on_error=1 report_signal_unsafe=0 history_size=1")
