# cmake -DSOURCE=DIR -DOUT=FILE -P commit.cmake: the commit of DIR as a header, with "-dirty" when its
# files are not those of the commit; none where DIR only lies inside another tree. What is right
# already is not written again, so that nothing is compiled anew.
execute_process(COMMAND git -C ${SOURCE} rev-parse --short=12 HEAD
  OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
execute_process(COMMAND git -C ${SOURCE} rev-parse --show-prefix
  OUTPUT_VARIABLE inside OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(inside)
  set(commit "")
endif()
execute_process(COMMAND git --no-optional-locks -C ${SOURCE} diff --quiet HEAD
  RESULT_VARIABLE differs OUTPUT_QUIET ERROR_QUIET)
if(commit AND differs EQUAL 1)
  set(commit "${commit}-dirty")
endif()
set(text "#define COMMIT \"${commit}\"\n")
set(before "")
if(EXISTS ${OUT})
  file(READ ${OUT} before)
endif()
if(NOT before STREQUAL text)
  file(WRITE ${OUT} "${text}")
endif()
