# Compiles every kernel of kernels/kernels.def. SPDX-License-Identifier: Apache-2.0
#
# What becomes of a text stands in kernelCode.cmake. All kernels are listed in the generated images.c.

set(FOGHORN_SDK ${PROJECT_SOURCE_DIR})
set(FOGHORN_KERNEL_DIR ${PROJECT_SOURCE_DIR}/kernels)
set(FOGHORN_KERNEL_OUT ${PROJECT_BINARY_DIR}/kernels)
set(FOGHORN_GENERATED_FROM kernels.def)
file(MAKE_DIRECTORY ${FOGHORN_KERNEL_OUT})
include(cmake/kernelCode.cmake)

if(FOGHORN_FUZZ) # no fuzz target runs a kernel
  set(FOGHORN_KERNEL_FLAGS -O0 -fno-sanitize=all -fno-sanitize=fuzzer-no-link)
elseif(FOGHORN_SANITIZE OR FOGHORN_COVERAGE) # what is added to every access takes minutes to optimise at -O3
  set(FOGHORN_KERNEL_FLAGS -O1 -fno-math-errno -fno-trapping-math)
endif()
foghorn_find_clang(${FOGHORN_KERNEL_OUT})

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
  set(folder ${FOGHORN_KERNEL_DIR}/${name})
  if(NOT name OR NOT entries)
    message(FATAL_ERROR "kernels.def: cannot read the line: ${line}")
  endif()
  if(NOT EXISTS ${folder}/${name}.k OR NOT EXISTS ${folder}/${name}.c)
    message(FATAL_ERROR "kernels.def names ${name}, but ${folder} lacks ${name}.k or ${name}.c")
  endif()
  foghorn_add_text(foghorn_objects ${FOGHORN_KERNEL_OUT} ${name} ${folder} "${entries}")
  list(APPEND images_depends ${FOGHORN_CODE_DEPENDS})
  string(APPEND images_head "${FOGHORN_CODE_HEAD}")
  string(APPEND images_table "    ${FOGHORN_CODE_IMAGE},\n")
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

# What the OpenCL backend puts in front of a text for GPUs.
foghorn_embed(${FOGHORN_KERNEL_OUT}/lanes.inc lanes "${FOGHORN_CL_LANES_PRELUDE}" "" "")
file(GENERATE OUTPUT ${FOGHORN_KERNEL_OUT}/lanes.c CONTENT "/* Generated from prelude_cl_lanes.h and lanes_in_threads.h. */
#include \"backends/opencl/opencl_lanes.h\"
#include \"${FOGHORN_KERNEL_OUT}/lanes.inc\"
const char *fh_cl_lanes_prelude(void) { return lanes; }
")
set_property(SOURCE ${FOGHORN_KERNEL_OUT}/lanes.c PROPERTY OBJECT_DEPENDS ${FOGHORN_KERNEL_OUT}/lanes.inc)
target_sources(foghorn_objects PRIVATE ${FOGHORN_KERNEL_OUT}/lanes.c)

file(GLOB kernel_sources CONFIGURE_DEPENDS ${FOGHORN_KERNEL_DIR}/*/*.c)
foghorn_add_sources(foghorn_objects ${kernel_sources})
