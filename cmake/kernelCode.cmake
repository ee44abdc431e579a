# From a kernel's text to code for every backend. SPDX-License-Identifier: Apache-2.0
#
# The tree's own kernels (kernels.cmake) and those of users (foghornKernel.cmake, installed) go through these functions. FOGHORN_SDK is
# the folder that holds kernels/ with the contract's headers and the dialect.
#
# <name>.k is built as C once per instruction set, embedded as OpenCL C and, where clang has an NVPTX target, compiled to PTX. Tuned
# sources *_<isa>.c get the flags of their ISA; those of another architecture are left out. A text may include headers of its folder and of
# kernels/dialect/; a device's compiler reads them before the text, so the #include stands between #ifndef and #endif with the header's
# own guard.
#
# Beside it, <name>_block.k, <name>_sm60.k, <name>_sm80.k and <name>_sm90a.k are texts for blocks of threads (fh_block_variant): PTX for what
# the ending says, for _block compute capability 6.0, and OpenCL C too of those that end in _block. Their preludes are in kernels/block/.

# ---- instruction sets of this architecture ----
set(FOGHORN_ISA_FLAGS_scalar "")
set(FOGHORN_ISA_FLAGS_sse42 -march=x86-64-v2)
set(FOGHORN_ISA_FLAGS_avx2 -march=x86-64-v3)
set(FOGHORN_ISA_FLAGS_avx512 -march=x86-64-v4 -mprefer-vector-width=512)
set(FOGHORN_ISA_FLAGS_neon "")
set(FOGHORN_ISA_FLAGS_avx512vnni ${FOGHORN_ISA_FLAGS_avx512} -mavx512vnni)
set(FOGHORN_ISA_FLAGS_avx512bf16 ${FOGHORN_ISA_FLAGS_avx512} -mavx512bf16)
set(FOGHORN_ISA_FLAGS_neondotprod -march=armv8.2-a+dotprod)
set(FOGHORN_ISA_FLAGS_neoni8mm -march=armv8.2-a+i8mm)
set(FOGHORN_ISA_FLAGS_neonbf16 -march=armv8.2-a+bf16)
set(FOGHORN_ISA_ALL scalar sse42 avx2 avx512 avx512vnni avx512bf16 neon neondotprod neoni8mm neonbf16)
set(FOGHORN_ISA_EXTENSIONS "") # of tuned sources alone: no text is compiled for them

# Of tuned NEON sources: tiles fill the registers, and what gcc loads ahead of them spills sums in the inner loops.
set(FOGHORN_TUNED_NEON_FLAGS $<$<C_COMPILER_ID:GNU>:-fno-schedule-insns>)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|amd64|AMD64)$")
  set(FOGHORN_ISAS scalar sse42 avx2 avx512)
  set(FOGHORN_ISA_FLAGS_scalar -march=x86-64)
  set(FOGHORN_ISA_EXTENSIONS avx512vnni avx512bf16)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
  set(FOGHORN_ISAS scalar neon)
  set(FOGHORN_ISA_EXTENSIONS neondotprod neoni8mm neonbf16)
else()
  set(FOGHORN_ISAS scalar)
endif()

# Code that must be as fast in a debug build: the tests run on it.
set(FOGHORN_KERNEL_FLAGS -O3 -fno-math-errno -fno-trapping-math)

# ---- PTX ----
# By the ending of a block text; the dialect's texts are built as "block". The oldest PTX that has the instructions: older drivers take it.
set(FOGHORN_PTX_TARGETS block sm60 sm80 sm90a)
set(FOGHORN_PTX_TARGET_block -march=sm_60 -Xclang -target-feature -Xclang +ptx60)
set(FOGHORN_PTX_TARGET_sm60 ${FOGHORN_PTX_TARGET_block})
set(FOGHORN_PTX_TARGET_sm80 -march=sm_80 -Xclang -target-feature -Xclang +ptx70)
set(FOGHORN_PTX_TARGET_sm90a -march=sm_90a -Xclang -target-feature -Xclang +ptx80)
set(FOGHORN_PTX_COMMON -x cl -cl-std=CL1.2 -target nvptx64-nvidia-cuda
    --cuda-path=/nonexistent -nogpulib -ffp-contract=off -cl-fp32-correctly-rounded-divide-sqrt -O2 -S
    -Wno-unknown-cuda-version -Wno-unused-command-line-argument)
set(FOGHORN_PTX_FLAGS ${FOGHORN_PTX_COMMON} ${FOGHORN_PTX_TARGET_block})

# Sets FOGHORN_CLANG, or FOGHORN_PTX_MISSING to why there is no PTX; says which, once.
function(foghorn_find_clang out)
  get_property(known GLOBAL PROPERTY FOGHORN_PTX_MISSING SET)
  if(known)
    get_property(missing GLOBAL PROPERTY FOGHORN_PTX_MISSING)
    set(FOGHORN_PTX_MISSING "${missing}" PARENT_SCOPE)
    return()
  endif()
  set(missing "")
  if(DEFINED FOGHORN_PTX AND NOT FOGHORN_PTX)
    set(missing "this build has no PTX: FOGHORN_PTX is OFF")
  else()
    find_program(FOGHORN_CLANG NAMES clang-20 clang-19 clang-18 clang-17 clang-16 clang
                 DOC "clang with the NVPTX target: compiles the kernels to PTX")
    if(NOT FOGHORN_CLANG)
      set(missing "this build has no PTX: no clang was found when it was configured")
    else()
      file(WRITE ${out}/probe.cl "__kernel void probe(__global float *x) { x[__nvvm_read_ptx_sreg_tid_x()] = __nvvm_shfl_sync_bfly_f32(-1, x[0], 1, 0x1f); }\n")
      execute_process(COMMAND ${FOGHORN_CLANG} ${FOGHORN_PTX_FLAGS} -o - ${out}/probe.cl
                      RESULT_VARIABLE failed OUTPUT_VARIABLE ptx ERROR_VARIABLE error)
      if(failed OR NOT ptx MATCHES "\\.version 6\\.0")
        message(STATUS "no PTX: ${FOGHORN_CLANG} cannot compile OpenCL C to it: ${error}")
        set(missing "this build has no PTX: the clang found when it was configured cannot compile OpenCL C to PTX 6.0")
      endif()
    endif()
  endif()
  if(missing)
    message(STATUS "${missing}")
  else()
    message(STATUS "PTX by ${FOGHORN_CLANG}")
  endif()
  set_property(GLOBAL PROPERTY FOGHORN_PTX_MISSING "${missing}")
  set(FOGHORN_PTX_MISSING "${missing}" PARENT_SCOPE)
endfunction()

# Sets `out_missing` to why this clang gives no PTX for one of FOGHORN_PTX_TARGETS; empty: it does. Asked once for each.
function(foghorn_find_ptx_target out target out_missing)
  get_property(known GLOBAL PROPERTY FOGHORN_PTX_MISSING_${target} SET)
  if(NOT known)
    set(missing "${FOGHORN_PTX_MISSING}")
    if(NOT missing AND NOT target STREQUAL block)
      file(WRITE ${out}/probe_${target}.cl "__kernel void probe(__global float *x) { x[__nvvm_read_ptx_sreg_tid_x()] = 0; }\n")
      execute_process(COMMAND ${FOGHORN_CLANG} ${FOGHORN_PTX_COMMON} ${FOGHORN_PTX_TARGET_${target}} -o - ${out}/probe_${target}.cl
                      RESULT_VARIABLE failed OUTPUT_QUIET ERROR_VARIABLE error)
      if(failed)
        message(STATUS "no PTX for ${target}: ${error}")
        set(missing "the clang found when this build was configured cannot compile for ${target}")
      endif()
    endif()
    set_property(GLOBAL PROPERTY FOGHORN_PTX_MISSING_${target} "${missing}")
  endif()
  get_property(missing GLOBAL PROPERTY FOGHORN_PTX_MISSING_${target})
  set(${out_missing} "${missing}" PARENT_SCOPE)
endfunction()

# ---- one kernel ----
set(FOGHORN_DIALECT ${FOGHORN_SDK}/kernels/dialect)
set(FOGHORN_CL_PRELUDE ${FOGHORN_DIALECT}/device_entry.h ${FOGHORN_DIALECT}/prelude_cl.h ${FOGHORN_DIALECT}/dialect.h)
set(FOGHORN_CL_LANES_PRELUDE ${FOGHORN_DIALECT}/prelude_cl_lanes.h ${FOGHORN_DIALECT}/lanes_in_threads.h)
set(FOGHORN_PTX_PRELUDE ${FOGHORN_DIALECT}/device_entry.h ${FOGHORN_DIALECT}/prelude_ptx.h ${FOGHORN_DIALECT}/lanes_in_threads.h
    ${FOGHORN_DIALECT}/dialect.h)
set(FOGHORN_BLOCK ${FOGHORN_SDK}/kernels/block)
set(FOGHORN_BLOCK_CL_PRELUDE ${FOGHORN_DIALECT}/device_entry.h ${FOGHORN_BLOCK}/block.h ${FOGHORN_BLOCK}/prelude_cl.h)
set(FOGHORN_BLOCK_PTX_PRELUDE ${FOGHORN_DIALECT}/device_entry.h ${FOGHORN_BLOCK}/block.h ${FOGHORN_BLOCK}/prelude_ptx.h)
set(FOGHORN_EMBED ${CMAKE_CURRENT_LIST_DIR}/embed.cmake)
set(FOGHORN_PTX_DIRECTIVES ${CMAKE_CURRENT_LIST_DIR}/ptxDirectives.cmake)

# The headers that a text includes: beside it, or those of the dialect.
function(foghorn_text_headers text out)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${text})
  get_filename_component(folder ${text} DIRECTORY)
  file(STRINGS ${text} lines REGEX "^#include \"")
  set(headers "")
  foreach(line IN LISTS lines)
    string(REGEX REPLACE "^#include \"([^\"]*)\".*$" "\\1" header "${line}")
    if(EXISTS ${folder}/${header})
      list(APPEND headers ${folder}/${header})
    else()
      list(APPEND headers ${FOGHORN_SDK}/${header})
    endif()
  endforeach()
  set(${out} "${headers}" PARENT_SCOPE)
endfunction()

function(foghorn_add_source target source isa)
  set_property(SOURCE ${source} APPEND PROPERTY COMPILE_OPTIONS ${FOGHORN_KERNEL_FLAGS} ${FOGHORN_ISA_FLAGS_${isa}})
  target_sources(${target} PRIVATE ${source})
endfunction()

# Contracts and tuned sources.
function(foghorn_add_sources target)
  foreach(source IN LISTS ARGN)
    get_filename_component(stem ${source} NAME_WE)
    set(isa "")
    foreach(each IN LISTS FOGHORN_ISA_ALL)
      if(stem MATCHES "_${each}$")
        set(isa ${each})
      endif()
    endforeach()
    if(NOT isa)
      target_sources(${target} PRIVATE ${source})
    elseif(isa IN_LIST FOGHORN_ISAS OR isa IN_LIST FOGHORN_ISA_EXTENSIONS)
      foghorn_add_source(${target} ${source} ${isa})
      if(isa MATCHES "^neon")
        set_property(SOURCE ${source} APPEND PROPERTY COMPILE_OPTIONS ${FOGHORN_TUNED_NEON_FLAGS})
      endif()
    endif()
  endforeach()
endfunction()

# The .k text as C for one ISA. The scalar file also holds the table of entries.
function(foghorn_add_dialect_c target out name text headers isa entries)
  set(code "/* Generated from ${FOGHORN_GENERATED_FROM}. */\n#define FH_DIALECT_ISA ${isa}\n")
  if(isa STREQUAL scalar)
    string(APPEND code "#define FH_DIALECT_SCALAR 1\n")
  endif()
  string(APPEND code "#include \"kernels/dialect/prelude_c.h\"\n#include \"${text}\"\n")
  if(isa STREQUAL scalar)
    set(table "")
    foreach(entry IN LISTS entries)
      string(APPEND code "FH_FORMALS(${entry});\n")
      string(APPEND table "    {\"${entry}\", fh_formals_${entry}, (int)(sizeof fh_formals_${entry} / sizeof *fh_formals_${entry}), {")
      foreach(each IN LISTS FOGHORN_ISAS)
        if(NOT each STREQUAL scalar)
          string(APPEND code "void fh_entry_${entry}_${each}(const fh_slot *slots, int64_t first, int64_t last);\n")
        endif()
        string(TOUPPER ${each} upper)
        string(APPEND table "[FH_ISA_${upper}] = fh_entry_${entry}_${each}, ")
      endforeach()
      string(APPEND table "}},\n")
    endforeach()
    string(APPEND code "extern const fh_entry_image fh_entries_${name}[];\nconst fh_entry_image fh_entries_${name}[] = {\n${table}};\n")
  endif()
  set(source ${out}/${name}_${isa}.c)
  file(GENERATE OUTPUT ${source} CONTENT "${code}")
  set(read ${text} ${headers} ${FOGHORN_DIALECT}/prelude_c.h ${FOGHORN_DIALECT}/entry_c.h ${FOGHORN_DIALECT}/dialect.h)
  set_property(SOURCE ${source} PROPERTY OBJECT_DEPENDS "${read}")
  foghorn_add_source(${target} ${source} ${isa})
endfunction()

# What else of a folder counts for a kernel's hash: whatever is measured or cached of a kernel is of all its code, tuned sources too.
function(foghorn_kernel_sources folder out)
  file(GLOB sources CONFIGURE_DEPENDS ${folder}/*.c ${folder}/*.h ${FOGHORN_SDK}/kernels/tile/*.h)
  set(${out} "${sources}" PARENT_SCOPE)
endfunction()

function(foghorn_embed out name files hash_name hash_files)
  string(REPLACE ";" "|" joined "${files}")
  string(REPLACE ";" "|" hash_joined "${hash_files}")
  add_custom_command(OUTPUT ${out}
    COMMAND ${CMAKE_COMMAND} -DOUT=${out} -DNAME=${name} "-DFILES=${joined}" -DHASH_NAME=${hash_name} "-DHASH_FILES=${hash_joined}" -P ${FOGHORN_EMBED}
    DEPENDS ${files} ${hash_files} ${FOGHORN_EMBED} VERBATIM)
endfunction()

# The PTX of a text, embedded as fh_ptx_<name>.
function(foghorn_add_ptx out name text headers prelude target)
  set(source ${out}/${name}.cl)
  set(code "")
  foreach(file IN LISTS prelude headers)
    string(APPEND code "#include \"${file}\"\n")
  endforeach()
  file(GENERATE OUTPUT ${source} CONTENT "${code}#include \"${text}\"\n")
  set(ptx ${out}/${name}.ptx)
  add_custom_command(OUTPUT ${ptx}
    COMMAND ${FOGHORN_CLANG} ${FOGHORN_PTX_COMMON} ${FOGHORN_PTX_TARGET_${target}} -o ${ptx} ${source}
    COMMAND ${CMAKE_COMMAND} -DPTX=${ptx} -P ${FOGHORN_PTX_DIRECTIVES}
    DEPENDS ${source} ${text} ${headers} ${prelude} ${FOGHORN_PTX_DIRECTIVES} COMMENT "PTX ${name}" VERBATIM)
  foghorn_embed(${out}/${name}.ptx.inc fh_ptx_${name} ${ptx} "" "")
endfunction()

# ---- texts for blocks of threads ----

# The block texts of a kernel's folder.
function(foghorn_find_blocks folder name out)
  file(GLOB texts CONFIGURE_DEPENDS ${folder}/*.k)
  list(REMOVE_ITEM texts ${folder}/${name}.k)
  foreach(text IN LISTS texts)
    get_filename_component(stem ${text} NAME_WE)
    string(REGEX REPLACE "^${name}_" "" target "${stem}")
    if(NOT target IN_LIST FOGHORN_PTX_TARGETS)
      message(FATAL_ERROR "${text}: for which device is this text? expected ${name}.k, or ${name}_ and one of ${FOGHORN_PTX_TARGETS}")
    endif()
  endforeach()
  set(${out} "${texts}" PARENT_SCOPE)
endfunction()

# One of them, whose files go to `out`. Sets FOGHORN_BLOCK_HEAD, FOGHORN_BLOCK_IMAGE and FOGHORN_BLOCK_DEPENDS as foghorn_add_text does, and
# FOGHORN_BLOCK_READ to the files that it is made of.
function(foghorn_add_block out name text)
  get_filename_component(stem ${text} NAME_WE)
  string(REGEX REPLACE "^${name}_" "" target "${stem}")
  foghorn_text_headers(${text} headers)
  set(head "")
  set(depends "")
  foghorn_find_ptx_target(${out} ${target} missing)
  if(missing)
    set(ptx "NULL, \"${missing}\"")
  else()
    foghorn_add_ptx(${out} ${stem} ${text} "${headers}" "${FOGHORN_BLOCK_PTX_PRELUDE}" ${target})
    string(APPEND head "#include \"${out}/${stem}.ptx.inc\"\n")
    list(APPEND depends ${out}/${stem}.ptx.inc)
    set(ptx "fh_ptx_${stem}, NULL")
  endif()
  set(read ${text} ${headers} ${FOGHORN_BLOCK_PTX_PRELUDE})
  set(cl NULL)
  if(target STREQUAL block)
    set(cl_files ${FOGHORN_BLOCK_CL_PRELUDE} ${headers} ${text})
    foghorn_embed(${out}/${stem}.cl.inc fh_cl_${stem} "${cl_files}" "" "")
    string(APPEND head "#include \"${out}/${stem}.cl.inc\"\n")
    list(APPEND depends ${out}/${stem}.cl.inc)
    list(APPEND read ${FOGHORN_BLOCK_CL_PRELUDE})
    set(cl fh_cl_${stem})
  endif()
  set(FOGHORN_BLOCK_HEAD "${head}" PARENT_SCOPE)
  set(FOGHORN_BLOCK_IMAGE "{\"${stem}\", ${ptx}, ${cl}}" PARENT_SCOPE)
  set(FOGHORN_BLOCK_DEPENDS "${depends}" PARENT_SCOPE)
  set(FOGHORN_BLOCK_READ "${read}" PARENT_SCOPE)
endfunction()

# All of them. Sets for foghorn_add_text: FOGHORN_BLOCKS_HEAD, with their table, FOGHORN_BLOCKS_IMAGE, table and count, FOGHORN_BLOCKS_DEPENDS
# and FOGHORN_BLOCKS_READ.
function(foghorn_add_blocks out name folder)
  foghorn_find_blocks(${folder} ${name} texts)
  set(head "")
  set(table "")
  set(depends "")
  set(read "")
  foreach(text IN LISTS texts)
    foghorn_add_block(${out} ${name} ${text})
    string(APPEND head "${FOGHORN_BLOCK_HEAD}")
    string(APPEND table "    ${FOGHORN_BLOCK_IMAGE},\n")
    list(APPEND depends ${FOGHORN_BLOCK_DEPENDS})
    list(APPEND read ${FOGHORN_BLOCK_READ})
  endforeach()
  list(LENGTH texts count)
  set(image "NULL, 0")
  if(texts)
    string(APPEND head "static const fh_block_image fh_blocks_${name}[] = {\n${table}};\n")
    set(image "fh_blocks_${name}, ${count}")
  endif()
  list(REMOVE_DUPLICATES read)
  set(FOGHORN_BLOCKS_HEAD "${head}" PARENT_SCOPE)
  set(FOGHORN_BLOCKS_IMAGE "${image}" PARENT_SCOPE)
  set(FOGHORN_BLOCKS_DEPENDS "${depends}" PARENT_SCOPE)
  set(FOGHORN_BLOCKS_READ "${read}" PARENT_SCOPE)
endfunction()

# ---- all of a kernel's folder ----

# Adds folder/name.k to `target`, generated files to `out`. Sets for the file that holds the kernel's fh_kernel_image: FOGHORN_CODE_HEAD,
# what stands before it, FOGHORN_CODE_IMAGE, its initializer, and FOGHORN_CODE_DEPENDS, what must be made before.
function(foghorn_add_text target out name folder entries)
  set(text ${folder}/${name}.k)
  list(LENGTH entries count)
  foghorn_text_headers(${text} headers)
  foreach(isa IN LISTS FOGHORN_ISAS)
    foghorn_add_dialect_c(${target} ${out} ${name} ${text} "${headers}" ${isa} "${entries}")
  endforeach()
  foghorn_kernel_sources(${folder} sources)
  foghorn_add_blocks(${out} ${name} ${folder})
  set(cl_files ${FOGHORN_CL_PRELUDE} ${headers} ${text})
  set(hash_files ${FOGHORN_DIALECT}/prelude_c.h ${FOGHORN_DIALECT}/entry_c.h ${FOGHORN_DIALECT}/prelude_ptx.h
      ${FOGHORN_DIALECT}/lanes_in_threads.h ${sources} ${FOGHORN_BLOCKS_READ})
  foghorn_embed(${out}/${name}.cl.inc fh_cl_${name} "${cl_files}" FH_HASH_${name} "${hash_files}")
  set(head "#include \"${out}/${name}.cl.inc\"\nextern const fh_entry_image fh_entries_${name}[];\n${FOGHORN_BLOCKS_HEAD}")
  set(depends ${out}/${name}.cl.inc ${FOGHORN_BLOCKS_DEPENDS})
  if(FOGHORN_PTX_MISSING)
    set(ptx "NULL, \"${FOGHORN_PTX_MISSING}\"")
  else()
    foghorn_add_ptx(${out} ${name} ${text} "${headers}" "${FOGHORN_PTX_PRELUDE}" block)
    list(APPEND depends ${out}/${name}.ptx.inc)
    string(APPEND head "#include \"${out}/${name}.ptx.inc\"\n")
    set(ptx "fh_ptx_${name}, NULL")
  endif()
  set(FOGHORN_CODE_HEAD "${head}" PARENT_SCOPE)
  set(FOGHORN_CODE_IMAGE
      "{&fh_contract_${name}, fh_entries_${name}, ${count}, fh_cl_${name}, ${ptx}, FH_HASH_${name}, ${FOGHORN_BLOCKS_IMAGE}}" PARENT_SCOPE)
  set(FOGHORN_CODE_DEPENDS "${depends}" PARENT_SCOPE)
endfunction()

# The same for a folder without text: only the hash of its sources.
function(foghorn_add_no_text out name folder)
  foghorn_find_blocks(${folder} ${name} texts)
  if(texts)
    message(FATAL_ERROR "${texts}: a text for blocks takes the parameters of the first entry of ${name}.k, and there is no such file")
  endif()
  foghorn_kernel_sources(${folder} sources)
  foghorn_embed(${out}/${name}.hash.inc "" "" FH_HASH_${name} "${sources}")
  set(FOGHORN_CODE_HEAD "#include \"${out}/${name}.hash.inc\"\n" PARENT_SCOPE)
  set(FOGHORN_CODE_IMAGE "{&fh_contract_${name}, NULL, 0, NULL, NULL, \"the kernel has no text\", FH_HASH_${name}, NULL, 0}" PARENT_SCOPE)
  set(FOGHORN_CODE_DEPENDS "${out}/${name}.hash.inc" PARENT_SCOPE)
endfunction()
