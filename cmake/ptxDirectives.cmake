# States in PTX what clang's OpenCL front end does not. SPDX-License-Identifier: Apache-2.0
#   cmake -DPTX=file -P ptxDirectives.cmake
# A text says it in comments of its PTX:
#   "fh_threads matmul_bf16_wgmma 384"  threads of a block of this entry: without it ptxas may give a thread more registers than a block of
#                                       that many can have
#   "fh_version 8.4"                    the PTX that its inline assembly needs, above what its target is built for
file(READ "${PTX}" text)
string(REGEX MATCHALL "fh_threads [A-Za-z0-9_]+ [0-9]+" blocks "${text}")
foreach(block IN LISTS blocks)
  string(REGEX MATCH "fh_threads ([A-Za-z0-9_]+) ([0-9]+)" ignored "${block}")
  set(entry ${CMAKE_MATCH_1})
  set(threads ${CMAKE_MATCH_2})
  set(before "${text}")
  string(REGEX REPLACE "(\\.entry ${entry}\\([^)]*\\)[^\n]*\n)" "\\1.reqntid ${threads}, 1, 1\n.minnctapersm 1\n" text "${text}")
  if(text STREQUAL before)
    message(FATAL_ERROR "${PTX}: found no head of entry ${entry}, expected \".entry ${entry}(...)\" to state its ${threads} threads behind\n"
                        "  see how this clang writes entries, and mend the pattern in cmake/ptxDirectives.cmake")
  endif()
endforeach()
string(REGEX MATCH "fh_version ([0-9.]+)" version "${text}")
if(version)
  string(REGEX REPLACE "\n\\.version [0-9.]+" "\n.version ${CMAKE_MATCH_1}" text "${text}")
endif()
if(blocks OR version)
  file(WRITE "${PTX}" "${text}")
endif()
