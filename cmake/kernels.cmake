# Compiles every kernel of kernels/kernels.def. SPDX-License-Identifier: Apache-2.0
#
# kernels/<name>/<name>.k is built as C once per instruction set, embedded as OpenCL C and, where clang has an NVPTX target,
# compiled to PTX. All of it is listed in the generated images.c. Tuned sources *_<isa>.c get the flags of their ISA; those of
# another architecture are left out. A text may include headers of kernels/dialect/; a device's compiler reads them before the text,
# so the #include stands between #ifndef and #endif with the header's own guard.

set(FOGHORN_KERNEL_DIR ${PROJECT_SOURCE_DIR}/kernels)
set(FOGHORN_KERNEL_OUT ${PROJECT_BINARY_DIR}/kernels)
file(MAKE_DIRECTORY ${FOGHORN_KERNEL_OUT})

# ---- instruction sets of this architecture ----
set(FOGHORN_ISA_FLAGS_scalar "")
set(FOGHORN_ISA_FLAGS_sse42 -march=x86-64-v2)
set(FOGHORN_ISA_FLAGS_avx2 -march=x86-64-v3)
set(FOGHORN_ISA_FLAGS_avx512 -march=x86-64-v4 -mprefer-vector-width=512)
set(FOGHORN_ISA_FLAGS_neon "")
set(FOGHORN_ISA_FLAGS_avx512vnni ${FOGHORN_ISA_FLAGS_avx512} -mavx512vnni)
set(FOGHORN_ISA_FLAGS_avx512bf16 ${FOGHORN_ISA_FLAGS_avx512} -mavx512bf16)
set(FOGHORN_ISA_ALL scalar sse42 avx2 avx512 avx512vnni avx512bf16 neon)
set(FOGHORN_ISA_EXTENSIONS "") # of tuned sources alone: no text is compiled for them
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|amd64|AMD64)$")
  set(FOGHORN_ISAS scalar sse42 avx2 avx512)
  set(FOGHORN_ISA_FLAGS_scalar -march=x86-64)
  set(FOGHORN_ISA_EXTENSIONS avx512vnni avx512bf16)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
  set(FOGHORN_ISAS scalar neon)
else()
  set(FOGHORN_ISAS scalar)
endif()

# Code that must be as fast in a debug build: the tests run on it.
set(FOGHORN_KERNEL_FLAGS -O3 -fno-math-errno -fno-trapping-math)
if(FOGHORN_FUZZ) # no fuzz target runs a kernel
  set(FOGHORN_KERNEL_FLAGS -O0 -fno-sanitize=all -fno-sanitize=fuzzer-no-link)
elseif(FOGHORN_SANITIZE OR FOGHORN_COVERAGE) # what is added to every access takes minutes to optimise at -O3
  set(FOGHORN_KERNEL_FLAGS -O1 -fno-math-errno -fno-trapping-math)
endif()

# ---- PTX ----
set(FOGHORN_PTX_FLAGS -x cl -cl-std=CL1.2 -target nvptx64-nvidia-cuda -march=sm_60 -Xclang -target-feature -Xclang +ptx60
    --cuda-path=/nonexistent -nogpulib -ffp-contract=off -cl-fp32-correctly-rounded-divide-sqrt -O2 -S
    -Wno-unknown-cuda-version -Wno-unused-command-line-argument)
set(FOGHORN_PTX_MISSING "")

function(foghorn_find_clang)
  if(NOT FOGHORN_PTX)
    set(FOGHORN_PTX_MISSING "this build has no PTX: FOGHORN_PTX is OFF" PARENT_SCOPE)
    return()
  endif()
  find_program(FOGHORN_CLANG NAMES clang-20 clang-19 clang-18 clang-17 clang-16 clang
               DOC "clang with the NVPTX target: compiles the kernels to PTX")
  if(NOT FOGHORN_CLANG)
    set(FOGHORN_PTX_MISSING "this build has no PTX: no clang was found when it was configured" PARENT_SCOPE)
    return()
  endif()
  file(WRITE ${FOGHORN_KERNEL_OUT}/probe.cl "__kernel void probe(__global float *x) { x[__nvvm_read_ptx_sreg_tid_x()] = __nvvm_shfl_sync_bfly_f32(-1, x[0], 1, 0x1f); }\n")
  execute_process(COMMAND ${FOGHORN_CLANG} ${FOGHORN_PTX_FLAGS} -o - ${FOGHORN_KERNEL_OUT}/probe.cl
                  RESULT_VARIABLE failed OUTPUT_VARIABLE ptx ERROR_VARIABLE error)
  if(failed OR NOT ptx MATCHES "\\.version 6\\.0")
    message(STATUS "no PTX: ${FOGHORN_CLANG} cannot compile OpenCL C to it: ${error}")
    set(FOGHORN_PTX_MISSING "this build has no PTX: the clang found when it was configured cannot compile OpenCL C to PTX 6.0" PARENT_SCOPE)
  endif()
endfunction()
foghorn_find_clang()
if(FOGHORN_PTX_MISSING)
  message(STATUS "${FOGHORN_PTX_MISSING}")
else()
  message(STATUS "PTX by ${FOGHORN_CLANG}")
endif()

# ---- one kernel ----
set(FOGHORN_DIALECT ${FOGHORN_KERNEL_DIR}/dialect)
set(FOGHORN_CL_PRELUDE ${FOGHORN_DIALECT}/device_entry.h ${FOGHORN_DIALECT}/prelude_cl.h ${FOGHORN_DIALECT}/dialect.h)
set(FOGHORN_PTX_PRELUDE ${FOGHORN_DIALECT}/device_entry.h ${FOGHORN_DIALECT}/prelude_ptx.h ${FOGHORN_DIALECT}/dialect.h)
set(FOGHORN_EMBED ${PROJECT_SOURCE_DIR}/cmake/embed.cmake)

# The headers that a text includes.
function(foghorn_text_headers text out)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${text})
  file(STRINGS ${text} lines REGEX "^#include \"kernels/")
  set(headers "")
  foreach(line IN LISTS lines)
    string(REGEX REPLACE "^#include \"(.*)\".*$" "${PROJECT_SOURCE_DIR}/\\1" header "${line}")
    list(APPEND headers ${header})
  endforeach()
  set(${out} "${headers}" PARENT_SCOPE)
endfunction()

function(foghorn_add_source source isa)
  set_property(SOURCE ${source} APPEND PROPERTY COMPILE_OPTIONS ${FOGHORN_KERNEL_FLAGS} ${FOGHORN_ISA_FLAGS_${isa}})
  target_sources(foghorn_objects PRIVATE ${source})
endfunction()

# The .k text as C for one ISA. The scalar file also holds the table of entries.
function(foghorn_add_dialect_c name text headers isa entries)
  set(code "/* Generated from kernels.def. */\n#define FH_DIALECT_ISA ${isa}\n")
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
  set(source ${FOGHORN_KERNEL_OUT}/${name}_${isa}.c)
  file(GENERATE OUTPUT ${source} CONTENT "${code}")
  set(read ${text} ${headers} ${FOGHORN_DIALECT}/prelude_c.h ${FOGHORN_DIALECT}/entry_c.h ${FOGHORN_DIALECT}/dialect.h)
  set_property(SOURCE ${source} PROPERTY OBJECT_DEPENDS "${read}")
  foghorn_add_source(${source} ${isa})
endfunction()

function(foghorn_embed out name files hash_name hash_files)
  string(REPLACE ";" "|" joined "${files}")
  string(REPLACE ";" "|" hash_joined "${hash_files}")
  add_custom_command(OUTPUT ${out}
    COMMAND ${CMAKE_COMMAND} -DOUT=${out} -DNAME=${name} "-DFILES=${joined}" -DHASH_NAME=${hash_name} "-DHASH_FILES=${hash_joined}" -P ${FOGHORN_EMBED}
    DEPENDS ${files} ${hash_files} ${FOGHORN_EMBED} VERBATIM)
endfunction()

function(foghorn_add_ptx name text headers)
  set(source ${FOGHORN_KERNEL_OUT}/${name}.cl)
  set(code "")
  foreach(file IN LISTS FOGHORN_PTX_PRELUDE headers)
    string(APPEND code "#include \"${file}\"\n")
  endforeach()
  file(GENERATE OUTPUT ${source} CONTENT "${code}#include \"${text}\"\n")
  set(ptx ${FOGHORN_KERNEL_OUT}/${name}.ptx)
  add_custom_command(OUTPUT ${ptx} COMMAND ${FOGHORN_CLANG} ${FOGHORN_PTX_FLAGS} -o ${ptx} ${source}
    DEPENDS ${source} ${text} ${headers} ${FOGHORN_PTX_PRELUDE} COMMENT "PTX ${name}" VERBATIM)
  foghorn_embed(${FOGHORN_KERNEL_OUT}/${name}.ptx.inc fh_ptx_${name} ${ptx} "" "")
endfunction()

# ---- kernels.def ----
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${FOGHORN_KERNEL_DIR}/kernels.def)
file(STRINGS ${FOGHORN_KERNEL_DIR}/kernels.def lines REGEX "^FH_KERNEL\\(")
set(images_head "/* Generated from kernels.def. */\n#include \"kernels/contracts.h\"\n")
set(images_table "")
set(images_depends "")
foreach(line IN LISTS lines)
  string(REGEX MATCH "^FH_KERNEL\\(([a-z0-9_]+)," ignored "${line}")
  set(name ${CMAKE_MATCH_1})
  string(REGEX MATCHALL "FH_ENTRY\\([a-z0-9_]+\\)" entries "${line}")
  list(TRANSFORM entries REPLACE "FH_ENTRY\\(([a-z0-9_]+)\\)" "\\1")
  list(LENGTH entries count)
  set(folder ${FOGHORN_KERNEL_DIR}/${name})
  set(text ${folder}/${name}.k)
  if(NOT name OR count EQUAL 0)
    message(FATAL_ERROR "kernels.def: cannot read the line: ${line}")
  endif()
  if(NOT EXISTS ${text} OR NOT EXISTS ${folder}/${name}.c)
    message(FATAL_ERROR "kernels.def names ${name}, but ${folder} lacks ${name}.k or ${name}.c")
  endif()

  foghorn_text_headers(${text} headers)
  foreach(isa IN LISTS FOGHORN_ISAS)
    foghorn_add_dialect_c(${name} ${text} "${headers}" ${isa} "${entries}")
  endforeach()
  set(cl_files ${FOGHORN_CL_PRELUDE} ${headers} ${text})
  # Whatever is measured or cached of a kernel is of all its code, tuned sources too.
  file(GLOB sources CONFIGURE_DEPENDS ${folder}/*.c ${folder}/*.h ${FOGHORN_KERNEL_DIR}/tile/*.h)
  foghorn_embed(${FOGHORN_KERNEL_OUT}/${name}.cl.inc fh_cl_${name} "${cl_files}" FH_HASH_${name}
                "${FOGHORN_DIALECT}/prelude_c.h;${FOGHORN_DIALECT}/entry_c.h;${FOGHORN_DIALECT}/prelude_ptx.h;${sources}")
  list(APPEND images_depends ${FOGHORN_KERNEL_OUT}/${name}.cl.inc)
  string(APPEND images_head "#include \"${FOGHORN_KERNEL_OUT}/${name}.cl.inc\"\nextern const fh_entry_image fh_entries_${name}[];\n")
  if(FOGHORN_PTX_MISSING)
    set(ptx "NULL, \"${FOGHORN_PTX_MISSING}\"")
  else()
    foghorn_add_ptx(${name} ${text} "${headers}")
    list(APPEND images_depends ${FOGHORN_KERNEL_OUT}/${name}.ptx.inc)
    string(APPEND images_head "#include \"${FOGHORN_KERNEL_OUT}/${name}.ptx.inc\"\n")
    set(ptx "fh_ptx_${name}, NULL")
  endif()
  string(APPEND images_table "    {&fh_contract_${name}, fh_entries_${name}, ${count}, fh_cl_${name}, ${ptx}, FH_HASH_${name}},\n")
endforeach()

set(FOGHORN_IMAGES ${FOGHORN_KERNEL_OUT}/images.c)
file(GENERATE OUTPUT ${FOGHORN_IMAGES} CONTENT "${images_head}
static const fh_kernel_image images[] = {
${images_table}};

const fh_kernel_image *fh_kernel_images(int *out_count) {
  *out_count = (int)(sizeof images / sizeof *images);
  return images;
}
")
set_property(SOURCE ${FOGHORN_IMAGES} PROPERTY OBJECT_DEPENDS "${images_depends}")
target_sources(foghorn_objects PRIVATE ${FOGHORN_IMAGES})

# ---- contracts and tuned sources ----
file(GLOB kernel_sources CONFIGURE_DEPENDS ${FOGHORN_KERNEL_DIR}/*/*.c)
foreach(source IN LISTS kernel_sources)
  get_filename_component(stem ${source} NAME_WE)
  set(isa "")
  foreach(each IN LISTS FOGHORN_ISA_ALL)
    if(stem MATCHES "_${each}$")
      set(isa ${each})
    endif()
  endforeach()
  if(NOT isa)
    target_sources(foghorn_objects PRIVATE ${source})
  elseif(isa IN_LIST FOGHORN_ISAS OR isa IN_LIST FOGHORN_ISA_EXTENSIONS)
    foghorn_add_source(${source} ${isa})
  endif()
endforeach()
