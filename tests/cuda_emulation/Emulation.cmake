# The target cuda_emulation: objects that stand in for the CUDA runtime, and what sources of csrc/cuda are compiled with
# to use them (.cu files need LANGUAGE CXX and -x c++, see convkit_emulate).
add_library(cuda_emulation OBJECT
    ${CMAKE_CURRENT_LIST_DIR}/async_copies.cpp
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
    ${CMAKE_CURRENT_LIST_DIR}/streams.cpp)
target_include_directories(cuda_emulation SYSTEM INTERFACE ${CMAKE_CURRENT_LIST_DIR})
# Kernels read floats through float4; a barrier ends what the compiler may assume of memory in any case.
target_compile_options(cuda_emulation PUBLIC -fno-strict-aliasing)
find_package(Threads REQUIRED)
target_link_libraries(cuda_emulation PUBLIC Threads::Threads)

# convkit_emulate(FILE.cu...): compiled as C++
function(convkit_emulate)
    set_source_files_properties(${ARGN} PROPERTIES LANGUAGE CXX COMPILE_OPTIONS "-x;c++;-Wno-unknown-pragmas")
endfunction()
