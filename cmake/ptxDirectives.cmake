# States in PTX what clang's OpenCL front end does not. SPDX-License-Identifier: Apache-2.0
#   cmake -DPTX=file -P ptxDirectives.cmake
# A text says it in comments of its PTX:
#   "fh_resident matmul_bf16_wgmma 1"   blocks of this entry that a multiprocessor has at least: ptxas may use the registers that they leave
#   "fh_threads matmul_bf16_wgmma 384"  threads of a block of an entry; stated where "fh_resident" is. Alone they would make ptxas keep more
#                                       blocks at a time than a text asks for, and spill
#   "fh_version 8.4"                    the PTX that its inline assembly needs, above what its target is built for
file(READ "${PTX}" text)
string(REGEX MATCHALL "fh_resident [A-Za-z0-9_]+ [0-9]+" entries "${text}")
foreach(resident IN LISTS entries)
  string(REGEX MATCH "fh_resident ([A-Za-z0-9_]+) ([0-9]+)" ignored "${resident}")
  set(entry ${CMAKE_MATCH_1})
  set(blocks ${CMAKE_MATCH_2})
  if(NOT text MATCHES "fh_threads ${entry} ([0-9]+)")
    message(FATAL_ERROR "${PTX}: FH_RESIDENT names ${entry}, expected an entry of this text; found no \"fh_threads ${entry}\" in its PTX\n"
                        "  name one that FH_BLOCK, FH_BLOCK_DYNAMIC or FH_BLOCK_TENSORS defines")
  endif()
  set(threads ${CMAKE_MATCH_1})
  set(before "${text}")
  string(REGEX REPLACE "(\\.entry ${entry}\\([^)]*\\)[^\n]*\n)" "\\1.reqntid ${threads}, 1, 1\n.minnctapersm ${blocks}\n" text "${text}")
  if(text STREQUAL before)
    message(FATAL_ERROR "${PTX}: found no head of entry ${entry}, expected \".entry ${entry}(...)\" to state its ${threads} threads behind\n"
                        "  see how this clang writes entries, and mend the pattern in cmake/ptxDirectives.cmake")
  endif()
endforeach()
string(REGEX MATCH "fh_version ([0-9.]+)" version "${text}")
if(version)
  string(REGEX REPLACE "\n\\.version [0-9.]+" "\n.version ${CMAKE_MATCH_1}" text "${text}")
endif()
if(entries OR version)
  file(WRITE "${PTX}" "${text}")
endif()
