# CONVKIT_CUDA=EMULATED: the kernels compiled as C++ against tests/cuda_emulation, which runs them on the CPU. For tests.
set(emulation "${CMAKE_CURRENT_LIST_DIR}/../tests/cuda_emulation")

# Makes *.cu in the list C++ sources, and adds the emulation's own.
function(convkit_emulate_cuda list)
    file(GLOB emulator CONFIGURE_DEPENDS "${emulation}/*.cpp")
    set_source_files_properties(
        ${${list}} PROPERTIES LANGUAGE CXX INCLUDE_DIRECTORIES "${emulation}"
        # barriers and shared memory are seen by the emulation as calls: no strict aliasing between views of a tile
        COMPILE_OPTIONS "-xc++;-fno-strict-aliasing;-Wno-unknown-pragmas"
        COMPILE_DEFINITIONS "CK_CUDA_ARCHITECTURES=\"emulated\"")
    set_source_files_properties(${emulator} PROPERTIES INCLUDE_DIRECTORIES "${emulation}")
    set(${list} ${${list}} ${emulator} PARENT_SCOPE)
endfunction()
