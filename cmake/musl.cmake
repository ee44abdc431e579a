# A toolchain of musl on Debian (packages musl-tools and musl-dev; for AArch64 gcc-aarch64-linux-gnu and musl-dev:arm64), for the
# static devprobe. FOGHORN_MUSL_ARCH: x86_64 (default) or aarch64. SPDX-License-Identifier: Apache-2.0
set(FOGHORN_MUSL_ARCH x86_64 CACHE STRING "Processor of the static devprobe: x86_64 or aarch64")
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES FOGHORN_MUSL_ARCH)
find_program(FOGHORN_MUSL_CC NAMES ${FOGHORN_MUSL_ARCH}-linux-musl-gcc REQUIRED)
set(CMAKE_C_COMPILER ${FOGHORN_MUSL_CC})
if(NOT FOGHORN_MUSL_ARCH STREQUAL CMAKE_HOST_SYSTEM_PROCESSOR)
  set(CMAKE_SYSTEM_NAME Linux)
  set(CMAKE_SYSTEM_PROCESSOR ${FOGHORN_MUSL_ARCH})
  set(CMAKE_CROSSCOMPILING_EMULATOR qemu-${FOGHORN_MUSL_ARCH})
endif()
