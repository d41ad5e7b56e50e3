# Bits are the promise, so flags from outside (CFLAGS, CUDAFLAGS, CC, -DCMAKE_C_FLAGS) may choose
# processors, optimisation and warnings, but not what is computed: those that let a compiler round
# otherwise than the source says are refused. Also cmake -D NAME=FLAGS... -P arithmetic.cmake.
set(other_arithmetic -Ofast -ffast-math -funsafe-math-optimizations -fassociative-math
  -freciprocal-math -ffinite-math-only -fno-honor-nans -fno-honor-infinities -fno-signed-zeros
  -fapprox-func -ffp-model=fast -ffp-contract=fast -ffp-contract=on -fexcess-precision=fast
  -fsingle-precision-constant -fdenormal-fp-math=.* -mrecip -mrecip=.* -mdaz-ftz -mfpmath=.*387.*
  -m32 --?use_fast_math --?ftz=true --?prec-div=false --?prec-sqrt=false)
list(JOIN other_arithmetic "|" other_arithmetic)
foreach(kind "" _DEBUG _RELEASE _RELWITHDEBINFO _MINSIZEREL)
  list(APPEND flags_from_outside CMAKE_C_FLAGS${kind} CMAKE_CUDA_FLAGS${kind})
endforeach()
foreach(name CMAKE_C_COMPILER_ARG1 CMAKE_EXE_LINKER_FLAGS ${flags_from_outside})
  separate_arguments(flags UNIX_COMMAND "${${name}}")
  foreach(flag ${flags})
    if(flag MATCHES "^(${other_arithmetic})$")
      message(FATAL_ERROR "${name} holds ${flag}, which changes what is computed: runs would not "
        "have the bits that their records promise. Leave it out, in CFLAGS too, and configure an "
        "empty build folder")
    endif()
  endforeach()
endforeach()
