# The CUDA toolkit and NCCL, or what stands in for them. Sets
#   CUDA_BACKEND  device: compiled by nvcc; mock: the same sources compiled for the host, on the
#                 pretended GPU of tests/cuda_emu; empty: not built
#   NCCL_FOUND    true where communication between GPUs is built too
# and the targets cuda_toolkit (headers and libraries) and, with NCCL, nccl.
set(CUDA_BACKEND "")
set(NCCL_FOUND FALSE)
string(TOUPPER "${ISOFLOP_CUDA}" cuda_wanted)
if(NOT cuda_wanted MATCHES "^(AUTO|ON|OFF|MOCK)$")
  message(FATAL_ERROR "ISOFLOP_CUDA: '${ISOFLOP_CUDA}' is not one of AUTO, ON, OFF, MOCK")
endif()
if(cuda_wanted STREQUAL OFF)
  return()
endif()

# --- headers and compiler ----------------------------------------------------------------------
find_program(CUDA_NVCC nvcc HINTS ENV CUDA_HOME PATHS /usr/local/cuda PATH_SUFFIXES bin)
set(cuda_home $ENV{CUDA_HOME} /usr/local/cuda)
if(CUDA_NVCC)
  file(REAL_PATH ${CUDA_NVCC} nvcc_file)
  cmake_path(GET nvcc_file PARENT_PATH nvcc_folder)
  cmake_path(GET nvcc_folder PARENT_PATH nvcc_home)
  list(PREPEND cuda_home ${nvcc_home})
endif()
find_path(CUDA_HEADERS cublasLt.h HINTS ${cuda_home} PATH_SUFFIXES include NO_DEFAULT_PATH)
find_path(CUDA_HEADERS cublasLt.h)
find_path(NCCL_HEADERS nccl.h HINTS ${NCCL_HOME} ${cuda_home} PATH_SUFFIXES include)
# cuDNN 9 or newer: older ones have no header of this name
find_path(CUDNN_HEADERS cudnn_graph.h HINTS ${CUDNN_HOME} ${cuda_home} PATH_SUFFIXES include)

if(cuda_wanted STREQUAL MOCK)
  if(NOT CUDA_HEADERS OR NOT NCCL_HEADERS)
    message(FATAL_ERROR "ISOFLOP_CUDA=MOCK needs the headers cublasLt.h, cuda_runtime.h and nccl.h")
  endif()
elseif(NOT CUDA_NVCC OR NOT CUDA_HEADERS)
  if(cuda_wanted STREQUAL ON)
    message(FATAL_ERROR "ISOFLOP_CUDA=ON: no nvcc, or no cublasLt.h (set CUDA_HOME)")
  endif()
  message(STATUS "CUDA backend: not built (no nvcc, or no cublasLt.h)")
  return()
elseif(cuda_wanted STREQUAL AUTO AND NOT EXISTS /dev/nvidiactl AND NOT EXISTS /dev/dxg)
  # a toolkit alone is no reason: its libraries make every start slower
  message(STATUS "CUDA backend: not built (no GPU here; -DISOFLOP_CUDA=ON builds it all the same)")
  return()
endif()
message(STATUS "CUDA backend: ${cuda_wanted}")

enable_language(CXX)
set(CMAKE_CXX_STANDARD 17)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
add_library(cuda_toolkit INTERFACE)
target_include_directories(cuda_toolkit SYSTEM INTERFACE ${CUDA_HEADERS})

# --- the pretended GPU -------------------------------------------------------------------------
if(cuda_wanted STREQUAL MOCK)
  set(CUDA_BACKEND mock)
  # libraries of tests/cuda_emu that are opened at run time queue work on the pretended GPU
  set(CMAKE_ENABLE_EXPORTS ON)
  set(NCCL_FOUND ${ISOFLOP_MPI})
  add_library(nccl INTERFACE)
  target_include_directories(nccl SYSTEM INTERFACE ${NCCL_HEADERS})
  target_link_libraries(cuda_toolkit INTERFACE cuda_mock)
  target_link_libraries(nccl INTERFACE cuda_mock)
  return()
endif()

# --- the device --------------------------------------------------------------------------------
if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES 90 CACHE STRING "GPU architectures, e.g. 80;90")
endif()
set(CMAKE_CUDA_COMPILER ${CUDA_NVCC})
set(CMAKE_CUDA_STANDARD 17)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)
enable_language(CUDA)
set(CUDA_BACKEND device)
set(cuda_lib_hints ${cuda_home})
# wheels of a Python environment carry libraries without the link that a linker looks for; a folder
# with any of the names comes before the next folder, where headers are of another version
find_library(CUDA_BLASLT NAMES cublasLt libcublasLt.so.13 libcublasLt.so.12 NAMES_PER_DIR
  HINTS ${cuda_lib_hints} PATH_SUFFIXES lib64 lib REQUIRED)
find_library(CUDA_RUNTIME NAMES cudart_static cudart libcudart.so.13 libcudart.so.12 NAMES_PER_DIR
  HINTS ${cuda_lib_hints} PATH_SUFFIXES lib64 lib REQUIRED)
target_link_libraries(cuda_toolkit INTERFACE ${CUDA_BLASLT} ${CUDA_RUNTIME} dl rt pthread)

# NCCL 2.19 is the oldest with everything that is called
find_library(NCCL_LIBRARY NAMES nccl libnccl.so.2 NAMES_PER_DIR
  HINTS ${NCCL_HOME} ${cuda_lib_hints} PATH_SUFFIXES lib64 lib)
if(ISOFLOP_MPI AND NCCL_HEADERS AND NCCL_LIBRARY)
  file(STRINGS ${NCCL_HEADERS}/nccl.h nccl_numbers REGEX "^#define NCCL_(MAJOR|MINOR) ")
  string(REGEX REPLACE ".*MAJOR ([0-9]+).*MINOR ([0-9]+).*" "\\1.\\2" nccl_version "${nccl_numbers}")
  if(nccl_version VERSION_LESS 2.19)
    message(FATAL_ERROR "NCCL ${nccl_version} in ${NCCL_HEADERS} is older than 2.19")
  endif()
  set(NCCL_FOUND TRUE)
  add_library(nccl INTERFACE)
  target_include_directories(nccl SYSTEM INTERFACE ${NCCL_HEADERS})
  target_link_libraries(nccl INTERFACE ${NCCL_LIBRARY} cuda_toolkit)
endif()
