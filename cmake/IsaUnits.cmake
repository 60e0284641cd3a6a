# How convkit's C++ is compiled: the options of every file, and one object per ISA from the same source.

# -ffp-contract=off: the same sums on every ISA, fused only where a kernel says fma.
add_library(convkit_options INTERFACE)
target_include_directories(convkit_options INTERFACE "${CMAKE_CURRENT_LIST_DIR}/../csrc")
set(cxx_options -ffp-contract=off -fno-math-errno -Wall -Wextra)
if(CONVKIT_WERROR)
    list(APPEND cxx_options -Werror)
endif()
if(CONVKIT_SANITIZE)  # -g1: lines are enough, and all of -g compiles for twice as long
    list(APPEND cxx_options -O1 -g1 -fno-omit-frame-pointer -fsanitize=${CONVKIT_SANITIZE} -fno-sanitize-recover=all
         $<$<CXX_COMPILER_ID:GNU>:-Wno-uninitialized>)  # GCC 12's own AVX-512 headers, instrumented
    target_link_options(convkit_options INTERFACE -fsanitize=${CONVKIT_SANITIZE})
else()
    list(APPEND cxx_options -O3)
endif()
target_compile_options(convkit_options INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:${cxx_options}>")

# LTO stays off: it could move AVX code into functions that everyone calls.
function(convkit_add_isa name)
    if(CONVKIT_ISAS AND NOT name IN_LIST CONVKIT_ISAS)
        return()
    endif()
    add_library(convkit_isa_${name} OBJECT "${CMAKE_CURRENT_FUNCTION_LIST_DIR}/../csrc/cpu/isa/unit.cpp")
    target_link_libraries(convkit_isa_${name} PRIVATE convkit_options)
    target_compile_definitions(convkit_isa_${name} PRIVATE CK_ISA=${name} CK_ISA_${name})
    target_compile_options(convkit_isa_${name} PRIVATE ${ARGN} -fno-exceptions -fno-rtti -fno-threadsafe-statics
                           # GCC 12's own AVX-512 headers
                           "$<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized;-Wno-uninitialized>")
    set_target_properties(convkit_isa_${name} PROPERTIES INTERPROCEDURAL_OPTIMIZATION OFF)
    set(isa_objects ${isa_objects} $<TARGET_OBJECTS:convkit_isa_${name}> PARENT_SCOPE)
    set(isa_definitions ${isa_definitions} CK_HAVE_${name} PARENT_SCOPE)
endfunction()

set(isa_objects "")
set(isa_definitions "")
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64|amd64")
    convkit_add_isa(sse2 -msse2)
    convkit_add_isa(avx2 -mavx2 -mfma)
    convkit_add_isa(avx512 -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx2 -mfma -mprefer-vector-width=512)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
    convkit_add_isa(neon)
endif()
