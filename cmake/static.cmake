# The static devprobe and nothing else, by musl's compiler (cmake/musl.cmake). SPDX-License-Identifier: Apache-2.0
#
# It is made of the same sources as devprobe, without those that load drivers or need a library that there is only for glibc, and with
# tools/devprobe/static/ in place of three of them. What is compiled and not needed is left out by the linker.
# jansson and zlib are the distribution's own static libraries: tools/devprobe/static/checked.c says how they fit musl.
foreach(archive libjansson.a libz.a)
  find_file(FOGHORN_${archive} ${archive} PATHS /usr/lib/${FOGHORN_MUSL_ARCH}-linux-gnu /usr/local/lib NO_DEFAULT_PATH REQUIRED)
endforeach()
foreach(header jansson.h jansson_config.h zlib.h zconf.h) # alone: beside them are the headers of glibc
  find_file(FOGHORN_${header} ${header} PATHS /usr/include/${FOGHORN_MUSL_ARCH}-linux-gnu /usr/include /usr/local/include NO_DEFAULT_PATH
            REQUIRED)
  configure_file(${FOGHORN_${header}} ${PROJECT_BINARY_DIR}/headers/${header} COPYONLY)
endforeach()

# The kernel's own headers, which musl's compiler does not look for.
find_path(FOGHORN_KERNEL_HEADERS linux/seccomp.h PATHS /usr/include /usr/${FOGHORN_MUSL_ARCH}-linux-gnu/include NO_DEFAULT_PATH REQUIRED)
find_path(FOGHORN_KERNEL_ARCH_HEADERS asm/types.h PATHS /usr/include/${FOGHORN_MUSL_ARCH}-linux-gnu /usr/${FOGHORN_MUSL_ARCH}-linux-gnu/include
          NO_DEFAULT_PATH REQUIRED)
file(CREATE_LINK ${FOGHORN_KERNEL_HEADERS}/linux ${PROJECT_BINARY_DIR}/headers/linux SYMBOLIC)
file(CREATE_LINK ${FOGHORN_KERNEL_HEADERS}/asm-generic ${PROJECT_BINARY_DIR}/headers/asm-generic SYMBOLIC)
file(CREATE_LINK ${FOGHORN_KERNEL_ARCH_HEADERS}/asm ${PROJECT_BINARY_DIR}/headers/asm SYMBOLIC)

file(GLOB candidates CONFIGURE_DEPENDS runtime/base/*.c detect/*.c detect/rules/*.c tools/devprobe/*.c tools/devprobe/trace/*.c)
list(FILTER candidates EXCLUDE REGEX
     "tools/devprobe/(command_(kernels|explain|verify|bench|run|matrix)|shapes|run_[a-z]+)\\.c$") # they run kernels
set(sources "")
foreach(source IN LISTS candidates)
  file(STRINGS ${source} foreign REGEX "#include [<\"](hwloc|CL/|detect/drivers/opencl)")
  if(NOT foreign)
    list(APPEND sources ${source})
  endif()
endforeach()

add_library(foghorn_flags_static INTERFACE)
target_include_directories(foghorn_flags_static SYSTEM INTERFACE ${PROJECT_BINARY_DIR}/headers)
target_compile_options(foghorn_flags_static INTERFACE -Os -ffunction-sections -fdata-sections)
target_link_libraries(foghorn_flags_static INTERFACE foghorn_flags)

add_library(devprobe_parts STATIC ${sources}) # an archive: only what is called is linked
target_link_libraries(devprobe_parts PRIVATE foghorn_flags_static)

file(GLOB own CONFIGURE_DEPENDS tools/devprobe/static/*.c)
add_executable(devprobe-static tools/devprobe/main.c ${own})
target_link_libraries(devprobe-static PRIVATE foghorn_flags_static devprobe_parts ${FOGHORN_libjansson.a} ${FOGHORN_libz.a})
target_link_options(devprobe-static PRIVATE -static -s -Wl,--gc-sections)
set_target_properties(devprobe-static PROPERTIES POSITION_INDEPENDENT_CODE OFF RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR})
install(TARGETS devprobe-static RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
