# Tests of the CUDA kernels without a GPU, in builds with ISOFLOP_CUDA=MOCK.
foreach(label mock mock_long emulator)
  if(NOT TARGET label_${label})
    add_custom_target(label_${label})
  endif()
endforeach()

# On the host, thread by thread: the op programs over backend cuda alone, with the warps of a block
# run in three orders. A result that depends on the order has a race. Queued work runs as late as it
# can; in the first order, products are as inexact as a device's may be.
function(cuda_ops name)
  add_dependencies(label_mock test_${name})
  add_dependencies(label_emulator test_${name})
  foreach(order ${ARGN})
    set(sums "")
    if(order STREQUAL fwd)
      set(sums ";MOCK_SUMS=device")
    endif()
    add_test(NAME cuda_${name}_${order} COMMAND test_${name} --jobs 2)
    set_tests_properties(cuda_${name}_${order} PROPERTIES TIMEOUT 1800 LABELS "mock;emulator"
      ENVIRONMENT "OP_TARGET=cuda;EMU_ORDER=${order};MOCK_SCHED=lazy${sums}"
      FAIL_REGULAR_EXPRESSION "LeakSanitizer;runtime error:;mock: not freed")
  endforeach()
endfunction()
cuda_ops(ops_match_ref fwd rev rand)
cuda_ops(ops_exact fwd rev rand)
cuda_ops(ops_repeat rand)
cuda_ops(ops_nan rand)

# By nvcc, with warnings as errors, and what each kernel takes against budget.txt; in tests/run the
# group cuda calls it.
set(CUDA_BUDGET ${CMAKE_SOURCE_DIR}/tests/cuda_emu/budget)
add_test(NAME cuda_budget_sm_90 COMMAND ${CUDA_BUDGET} sm_90)
add_test(NAME cuda_budget_other COMMAND ${CUDA_BUDGET} sm_80 sm_100)
set_tests_properties(cuda_budget_sm_90 cuda_budget_other PROPERTIES TIMEOUT 1800 PROCESSORS 2
  SKIP_RETURN_CODE 77)

# Faults planted in a copy of one file: the named program must fail in one of the orders, with one
# unit compiled anew. A patch begins with "unit: U.cu, caught by: PROGRAM".
set(mutations ${CMAKE_SOURCE_DIR}/tests/cuda_emu/mutations)
get_target_property(emu_flags kernels_cuda_units COMPILE_OPTIONS)
foreach(name
    sum_reuses_shared_memory order_tile_overwritten attention_copy_not_awaited
    attention_tile_without_barrier attention_sees_the_next_token attention_swaps_key_heads
    backward_tile_without_barrier backward_store_without_barrier loss_written_before_it_is_read
    loss_counts_padding norm_parts_not_zeroed columns_lose_the_last_row
    long_runs_of_a_token_are_cut swiglu_writes_one_too_many skipped_updates_happen
    tensors_all_learn_alike sums_leave_int64_unnoticed digest_reads_past_the_end)
  file(STRINGS ${mutations}/${name}.patch head LIMIT_COUNT 4)
  string(REGEX MATCH "unit: ([a-z_]+)\\.cu, caught by: ([a-z_]+)" found "${head}")
  set(unit ${CMAKE_MATCH_1})
  set(program ${CMAKE_MATCH_2})
  string(REGEX MATCH "\\+\\+\\+ b/(kernels/cuda/[a-z_.]+)" found "${head}")
  set(changed ${CMAKE_MATCH_1})
  set(copy ${CMAKE_CURRENT_BINARY_DIR}/mutations/${name})
  file(MAKE_DIRECTORY ${copy}/kernels/cuda)
  add_custom_command(OUTPUT ${copy}/${changed}
    COMMAND patch -s -o ${copy}/${changed} ${CMAKE_SOURCE_DIR}/${changed} ${mutations}/${name}.patch
    DEPENDS ${mutations}/${name}.patch ${CMAKE_SOURCE_DIR}/${changed} VERBATIM)
  # the unit itself, or one that includes the changed header, found in the copy first
  if(changed STREQUAL kernels/cuda/${unit}.cu)
    set(source ${copy}/${changed})
  else()
    set(source ${copy}/kernels/cuda/${unit}.cu)
    configure_file(${CMAKE_SOURCE_DIR}/kernels/cuda/${unit}.cu ${source} COPYONLY)
  endif()
  set_source_files_properties(${source} PROPERTIES LANGUAGE CXX OBJECT_DEPENDS ${copy}/${changed})
  add_executable(mutant_${name} EXCLUDE_FROM_ALL ${program}.c ${source})
  target_compile_options(mutant_${name} PRIVATE -w "$<$<COMPILE_LANGUAGE:CXX>:${emu_flags}>")
  target_compile_definitions(mutant_${name} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:CUDA_EMU>)
  target_include_directories(mutant_${name} BEFORE PRIVATE ${copy})
  target_include_directories(mutant_${name} PRIVATE ${CMAKE_SOURCE_DIR}/tests
    ${CMAKE_SOURCE_DIR}/tests/cuda_emu)
  target_link_libraries(mutant_${name} PRIVATE test_support PkgConfig::CRITERION)
  add_dependencies(label_mock_long mutant_${name})
  add_test(NAME mutation_${name} COMMAND ${CMAKE_SOURCE_DIR}/tests/cuda_emu/caught
    $<TARGET_FILE:mutant_${name}>)
  set_tests_properties(mutation_${name} PROPERTIES TIMEOUT 1800 LABELS mock_long)
endforeach()
