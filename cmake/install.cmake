# What `cmake --install` puts where, and how others find it. SPDX-License-Identifier: Apache-2.0
#
#   find_package(foghorn)                     foghorn::foghorn (shared) and foghorn::foghorn_static
#   find_package(foghorn COMPONENTS static)   fails where the static library's own libraries are not installed
#   foghorn_add_kernel, foghorn_add_plugin    kernels of one's own: foghornKernel.cmake
#   pkg-config foghorn                        with --static: what libfoghorn.a needs besides
include(CMakePackageConfigHelpers)

set(FOGHORN_CMAKE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/foghorn)

set_target_properties(foghorn_shared PROPERTIES EXPORT_NAME foghorn)
install(TARGETS foghorn_shared EXPORT foghorn_shared
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
        INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(TARGETS foghorn_static EXPORT foghorn_static
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
        INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(DIRECTORY include/foghorn DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
# What a kernel's contract and text include, for kernels from outside the tree: the tree's own.
set(FOGHORN_SDK_DIR ${CMAKE_INSTALL_DATADIR}/foghorn)
file(GLOB sdk_headers CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/kernels/*.h)
list(REMOVE_ITEM sdk_headers ${PROJECT_SOURCE_DIR}/kernels/contracts.h) # those of the build
install(FILES ${sdk_headers} DESTINATION ${FOGHORN_SDK_DIR}/kernels)
install(DIRECTORY kernels/dialect kernels/block DESTINATION ${FOGHORN_SDK_DIR}/kernels FILES_MATCHING PATTERN "*.h")
install(FILES cmake/foghornKernel.cmake cmake/kernelCode.cmake cmake/embed.cmake cmake/ptxDirectives.cmake
        DESTINATION ${FOGHORN_CMAKE_DIR})
install(FILES LICENSE README.md CHANGELOG.md DESTINATION ${CMAKE_INSTALL_DOCDIR})

if(TARGET devprobe)
  install(TARGETS devprobe RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  if(EXISTS ${PROJECT_SOURCE_DIR}/tools/devprobe/devprobe.1)
    install(FILES tools/devprobe/devprobe.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
  endif()
endif()

# The package: one file of targets for each library, because only the static one brings dependencies along.
foreach(kind shared static)
  install(EXPORT foghorn_${kind} FILE foghorn-${kind}.cmake NAMESPACE foghorn:: DESTINATION ${FOGHORN_CMAKE_DIR})
endforeach()
configure_package_config_file(cmake/foghornConfig.cmake.in ${PROJECT_BINARY_DIR}/foghornConfig.cmake
                              INSTALL_DESTINATION ${FOGHORN_CMAKE_DIR} PATH_VARS FOGHORN_SDK_DIR)
# Before 1.0 a minor version may change the interface.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/foghornConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/foghornConfig.cmake ${PROJECT_BINARY_DIR}/foghornConfigVersion.cmake DESTINATION ${FOGHORN_CMAKE_DIR})

# foghorn.pc finds its prefix from where it lies, so that an installed tree can be moved.
file(RELATIVE_PATH FOGHORN_PC_PREFIX /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
# Not Requires.private: that would also ask for what hwloc's own static library needs, while libfoghorn.a is
# linked with the shared one.
string(JOIN " " FOGHORN_PC_PRIVATE ${JANSSON_LDFLAGS} ${HWLOC_LDFLAGS} ${ZLIB_LDFLAGS})
configure_file(cmake/foghorn.pc.in ${PROJECT_BINARY_DIR}/foghorn.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/foghorn.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
