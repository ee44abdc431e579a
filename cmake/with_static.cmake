# The static devprobe beside the ordinary build, where musl's compiler is installed: a build of its own (preset static) inside this
# one. SPDX-License-Identifier: Apache-2.0
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|aarch64)$")
  find_program(FOGHORN_MUSL_CC NAMES ${CMAKE_SYSTEM_PROCESSOR}-linux-musl-gcc)
endif()
if(NOT FOGHORN_MUSL_CC)
  message(STATUS "devprobe-static is left out: ${CMAKE_SYSTEM_PROCESSOR}-linux-musl-gcc is not installed (Debian: musl-dev)")
  return()
endif()

include(ExternalProject)
set(FOGHORN_STATIC_DIR ${PROJECT_BINARY_DIR}/static)
set(FOGHORN_STATIC_PROGRAM ${FOGHORN_STATIC_DIR}/devprobe-static)
ExternalProject_Add(
  devprobe_static
  SOURCE_DIR ${PROJECT_SOURCE_DIR}
  BINARY_DIR ${FOGHORN_STATIC_DIR}
  PREFIX ${FOGHORN_STATIC_DIR}/external
  CMAKE_ARGS -DCMAKE_TOOLCHAIN_FILE=${PROJECT_SOURCE_DIR}/cmake/musl.cmake -DFOGHORN_MUSL_ARCH=${CMAKE_SYSTEM_PROCESSOR}
             -DCMAKE_BUILD_TYPE=MinSizeRel -DFOGHORN_STATIC_ONLY=ON -DFOGHORN_WERROR=${FOGHORN_WERROR}
             -DCMAKE_C_COMPILER_LAUNCHER=${CMAKE_C_COMPILER_LAUNCHER}
  BUILD_ALWAYS ON # it knows best what has changed
  BUILD_BYPRODUCTS ${FOGHORN_STATIC_PROGRAM}
  INSTALL_COMMAND "")
install(PROGRAMS ${FOGHORN_STATIC_PROGRAM} DESTINATION ${CMAKE_INSTALL_BINDIR} OPTIONAL)
