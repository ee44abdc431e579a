/* Which paths are about a GPU, and what they are in plain words. SPDX-License-Identifier: Apache-2.0 */
#include "tools/devprobe/trace/topic.h"

#include <stddef.h>
#include <string.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof(array)[0]))

/* Names of libraries before ".so"; a '*' at the end stands for more. The first that fits counts. */
static const fh_trace_topic libraries[] = {
    {FH_SORT_DRIVER, FH_TRACE_FAMILY_NVIDIA, "libcuda", "the library of NVIDIA's driver"},
    {FH_SORT_SUPPORT, FH_TRACE_FAMILY_NVIDIA, "libnvidia-ml", "NVIDIA's management library"},
    {FH_SORT_DRIVER, FH_TRACE_FAMILY_OPENCL, "libnvidia-opencl", "NVIDIA's OpenCL driver"},
    {FH_SORT_SUPPORT, FH_TRACE_FAMILY_NVIDIA, "libnvidia-*", "a part of NVIDIA's driver"},
    {FH_SORT_SUPPORT, FH_TRACE_FAMILY_NVIDIA, "libcudart", "the CUDA runtime"},
    {FH_SORT_SUPPORT, FH_TRACE_FAMILY_NVIDIA, "libcudadebugger", "a part of NVIDIA's driver"},
    {FH_SORT_SUPPORT, FH_TRACE_FAMILY_NVIDIA, "libcudnn*", "cuDNN, neural networks on NVIDIA GPUs"},
    {FH_SORT_SUPPORT, FH_TRACE_FAMILY_NVIDIA, "libcublas*", "cuBLAS, linear algebra on NVIDIA GPUs"},
    {FH_SORT_SUPPORT, FH_TRACE_FAMILY_NVIDIA, "libcufft*", "cuFFT, transforms on NVIDIA GPUs"},
    {FH_SORT_SUPPORT, FH_TRACE_FAMILY_NVIDIA, "libnvrtc*", "the CUDA compiler"},
    {FH_SORT_SUPPORT, FH_TRACE_FAMILY_NVIDIA, "libnccl", "NCCL, several NVIDIA GPUs together"},
    {FH_SORT_SUPPORT, FH_TRACE_FAMILY_NVIDIA, "libnvcuvid", "video on NVIDIA GPUs"},
    {FH_SORT_SUPPORT, FH_TRACE_FAMILY_NVIDIA, "libtorch_cuda*", "PyTorch's part for CUDA"},
    {FH_SORT_SUPPORT, FH_TRACE_FAMILY_NVIDIA, "libc10_cuda", "PyTorch's part for CUDA"},
    {FH_SORT_SUPPORT, FH_TRACE_FAMILY_NVIDIA, "libggml-cuda", "llama.cpp's part for CUDA"},
    {FH_SORT_SUPPORT, FH_TRACE_FAMILY_NVIDIA, "libonnxruntime_providers_cuda", "ONNX Runtime's part for CUDA"},
    {FH_SORT_SUPPORT, FH_TRACE_FAMILY_NVIDIA, "libonnxruntime_providers_tensorrt", "ONNX Runtime's part for TensorRT"},
    {FH_SORT_SUPPORT, FH_TRACE_FAMILY_NVIDIA, "libnvinfer*", "TensorRT"},
    {FH_SORT_SUPPORT, FH_TRACE_FAMILY_NVIDIA, "xla_cuda_plugin", "JAX's part for CUDA"},
    {FH_SORT_DRIVER, FH_TRACE_FAMILY_AMD, "libhsa-runtime64", "AMD's ROCm runtime"},
    {FH_SORT_SUPPORT, FH_TRACE_FAMILY_AMD, "libamdhip64", "AMD's HIP runtime"},
    {FH_SORT_SUPPORT, FH_TRACE_FAMILY_AMD, "libhsakmt", "AMD's way to its kernel driver"},
    {FH_SORT_SUPPORT, FH_TRACE_FAMILY_AMD, "librocm_smi64", "AMD's management library"},
    {FH_SORT_SUPPORT, FH_TRACE_FAMILY_AMD, "libamd_smi", "AMD's management library"},
    {FH_SORT_SUPPORT, FH_TRACE_FAMILY_AMD, "librocblas", "linear algebra on AMD GPUs"},
    {FH_SORT_SUPPORT, FH_TRACE_FAMILY_AMD, "libtorch_hip*", "PyTorch's part for ROCm"},
    {FH_SORT_SUPPORT, FH_TRACE_FAMILY_AMD, "libggml-hip", "llama.cpp's part for ROCm"},
    {FH_SORT_LOADER, FH_TRACE_FAMILY_INTEL, "libze_loader", "the loader of Level Zero drivers"},
    {FH_SORT_SUPPORT, FH_TRACE_FAMILY_INTEL, "libze_intel_*", "Intel's Level Zero driver"},
    {FH_SORT_SUPPORT, FH_TRACE_FAMILY_INTEL, "libggml-sycl", "llama.cpp's part for Intel GPUs"},
    {FH_SORT_LOADER, FH_TRACE_FAMILY_OPENCL, "libOpenCL", "the loader of OpenCL drivers"},
    {FH_SORT_DRIVER, FH_TRACE_FAMILY_OPENCL, "libpocl", "PoCL, OpenCL on the CPU"},
    {FH_SORT_DRIVER, FH_TRACE_FAMILY_OPENCL, "libintelocl", "Intel's OpenCL for CPUs"},
    {FH_SORT_DRIVER, FH_TRACE_FAMILY_OPENCL, "libigdrcl", "Intel's OpenCL driver"},
    {FH_SORT_DRIVER, FH_TRACE_FAMILY_OPENCL, "libamdocl64", "AMD's OpenCL driver"},
    {FH_SORT_DRIVER, FH_TRACE_FAMILY_OPENCL, "libMesaOpenCL", "Mesa's OpenCL driver"},
    {FH_SORT_DRIVER, FH_TRACE_FAMILY_OPENCL, "libRusticlOpenCL", "Mesa's OpenCL driver"},
    {FH_SORT_SUPPORT, FH_TRACE_FAMILY_OPENCL, "libggml-opencl", "llama.cpp's part for OpenCL"},
    {FH_SORT_LOADER, FH_TRACE_FAMILY_VULKAN, "libvulkan", "the loader of Vulkan drivers"},
    {FH_SORT_SUPPORT, FH_TRACE_FAMILY_VULKAN, "libvulkan_*", "a Vulkan driver"},
    {FH_SORT_SUPPORT, FH_TRACE_FAMILY_VULKAN, "libggml-vulkan", "llama.cpp's part for Vulkan"},
    {FH_SORT_SUPPORT, FH_TRACE_FAMILY_DRM, "libdxcore", "the way to the GPU of Windows"},
};

static const fh_trace_topic tools[] = {
    {FH_SORT_TOOL, FH_TRACE_FAMILY_NVIDIA, "nvidia-smi", "NVIDIA's management program"},
    {FH_SORT_TOOL, FH_TRACE_FAMILY_NVIDIA, "nvidia-modprobe", "the program that loads NVIDIA's driver"},
    {FH_SORT_TOOL, FH_TRACE_FAMILY_AMD, "rocminfo", "ROCm's list of devices"},
    {FH_SORT_TOOL, FH_TRACE_FAMILY_AMD, "rocm-smi", "AMD's management program"},
    {FH_SORT_TOOL, FH_TRACE_FAMILY_AMD, "amd-smi", "AMD's management program"},
    {FH_SORT_TOOL, FH_TRACE_FAMILY_INTEL, "xpu-smi", "Intel's management program"},
};

/* Whole paths: '#' stands for digits, a '*' at the end for anything. The first that fits counts. */
static const fh_trace_topic paths[] = {
    {FH_SORT_NODE, FH_TRACE_FAMILY_NVIDIA, "/dev/nvidiactl", "the control device of NVIDIA's driver"},
    {FH_SORT_NODE, FH_TRACE_FAMILY_NVIDIA, "/dev/nvidia-uvm", "the device for memory shared with NVIDIA GPUs"},
    {FH_SORT_NODE, FH_TRACE_FAMILY_NVIDIA, "/dev/nvidia#", "an NVIDIA GPU"},
    {FH_SORT_EXTRA_NODE, FH_TRACE_FAMILY_NVIDIA, "/dev/nvidia*", "a device of NVIDIA's driver"},
    {FH_SORT_NODE, FH_TRACE_FAMILY_NVIDIA, "/dev/nvmap", "GPU memory of a Jetson"},
    {FH_SORT_EXTRA_NODE, FH_TRACE_FAMILY_NVIDIA, "/dev/nvhost*", "a device of a Jetson"},
    {FH_SORT_EXTRA_NODE, FH_TRACE_FAMILY_NVIDIA, "/dev/nvgpu*", "a GPU of a Jetson"},
    {FH_SORT_NODE, FH_TRACE_FAMILY_AMD, "/dev/kfd", "AMD's compute device"},
    {FH_SORT_NODE, FH_TRACE_FAMILY_DRM, "/dev/dri/renderD#", "a GPU"},
    {FH_SORT_EXTRA_NODE, FH_TRACE_FAMILY_DRM, "/dev/dri*", "GPUs, or the way to their screens"},
    {FH_SORT_NODE, FH_TRACE_FAMILY_DRM, "/dev/dxg", "the GPU of Windows"},
    {FH_SORT_NODE, FH_TRACE_FAMILY_INTEL, "/dev/accel/accel#", "an accelerator"},
    {FH_SORT_EXTRA_NODE, FH_TRACE_FAMILY_INTEL, "/dev/accel*", "accelerators"},
    {FH_SORT_KERNEL, FH_TRACE_FAMILY_NVIDIA, "/proc/driver/nvidia*", "what NVIDIA's kernel driver tells of itself"},
    {FH_SORT_KERNEL, FH_TRACE_FAMILY_NVIDIA, "/sys/module/nvidia*", "whether NVIDIA's kernel driver is loaded"},
    {FH_SORT_KERNEL, FH_TRACE_FAMILY_AMD, "/sys/module/amdgpu*", "whether AMD's kernel driver is loaded"},
    {FH_SORT_KERNEL, FH_TRACE_FAMILY_AMD, "/sys/class/kfd*", "AMD's list of compute devices"},
    {FH_SORT_KERNEL, FH_TRACE_FAMILY_AMD, "/sys/devices/virtual/kfd*", "AMD's list of compute devices"},
    {FH_SORT_KERNEL, FH_TRACE_FAMILY_INTEL, "/sys/module/i915*", "whether Intel's kernel driver is loaded"},
    {FH_SORT_KERNEL, FH_TRACE_FAMILY_INTEL, "/sys/module/xe*", "whether Intel's kernel driver is loaded"},
    {FH_SORT_KERNEL, FH_TRACE_FAMILY_DRM, "/sys/class/drm*", "the kernel's list of GPUs"},
    {FH_SORT_REGISTRATION, FH_TRACE_FAMILY_OPENCL, "/etc/OpenCL*", "the list of OpenCL drivers"},
    {FH_SORT_REGISTRATION, FH_TRACE_FAMILY_VULKAN, "/etc/vulkan/icd.d*", "the list of Vulkan drivers"},
    {FH_SORT_REGISTRATION, FH_TRACE_FAMILY_VULKAN, "/usr/share/vulkan/icd.d*", "the list of Vulkan drivers"},
};

/* A registration that lies elsewhere, where a variable says so. */
static const fh_trace_topic icd_file = {FH_SORT_REGISTRATION, FH_TRACE_FAMILY_OPENCL, "*.icd", "an OpenCL driver's registration"};

static const char *file_name(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

static bool stem_fits(const char *pattern, const char *name, size_t stem) {
  size_t size = strlen(pattern);
  if (size && pattern[size - 1] == '*') return stem >= size - 1 && strncmp(pattern, name, size - 1) == 0;
  return stem == size && strncmp(pattern, name, size) == 0;
}

static bool ends_in(const char *name, const char *end) {
  size_t size = strlen(name), end_size = strlen(end);
  return size > end_size && strcmp(name + size - end_size, end) == 0;
}

/* "libcuda.so", "libcuda.so.1", "libcuda.so.550.54.14", and the hashed "libcudart-a1b2c3.so.12" of Python packages. */
static const fh_trace_topic *library_of(const char *name) {
  const char *so = strstr(name, ".so");
  if (!so || (so[3] && so[3] != '.')) return NULL;
  size_t stem = (size_t)(so - name);
  const char *hash = memrchr(name, '-', stem);
  size_t unhashed = hash && (size_t)(so - hash) == 9 ? (size_t)(hash - name) : stem;
  for (int i = 0; i < COUNT(libraries); i++)
    if (stem_fits(libraries[i].pattern, name, stem) || stem_fits(libraries[i].pattern, name, unhashed)) return &libraries[i];
  return NULL;
}

static bool path_fits(const char *pattern, const char *path) {
  for (; *pattern; pattern++) {
    if (*pattern == '*') return true;
    if (*pattern == '#') {
      size_t digits = strspn(path, "0123456789");
      if (!digits) return false;
      path += digits;
    } else if (*pattern != *path++) {
      return false;
    }
  }
  return *path == 0;
}

static const fh_trace_topic *path_of(const char *path) {
  for (int i = 0; i < COUNT(paths); i++)
    if (path_fits(paths[i].pattern, path)) return &paths[i];
  return NULL;
}

const fh_trace_topic *fh_trace_topic_of(const char *path) {
  const char *name = file_name(path);
  const fh_trace_topic *topic = path[0] == '/' ? path_of(path) : NULL;
  if (!topic) topic = library_of(name);
  if (!topic && ends_in(name, ".icd")) topic = &icd_file;
  for (int i = 0; i < COUNT(tools) && !topic; i++)
    if (strcmp(name, tools[i].pattern) == 0) topic = &tools[i];
  return topic;
}

bool fh_trace_is_library(const fh_trace_topic *topic) { return topic->sort <= FH_SORT_SUPPORT; }
bool fh_trace_is_node(const fh_trace_topic *topic) { return topic->sort == FH_SORT_NODE || topic->sort == FH_SORT_EXTRA_NODE; }

const char *fh_trace_subject(const fh_trace_topic *topic, const char *path) {
  return fh_trace_is_library(topic) || topic->sort == FH_SORT_TOOL ? file_name(path) : path;
}

bool fh_trace_is_variant(const char *path) {
  static const char *const folders[] = {"/glibc-hwcaps/", "/tls/",    "/haswell/", "/avx512_1/",
                                        "/xeon_phi/",     "/x86_64/", "/aarch64/", "/atomics/"};
  for (int i = 0; i < COUNT(folders); i++)
    if (strstr(path, folders[i])) return true;
  return false;
}

const char *fh_trace_family_name(fh_trace_family family) {
  static const char *const names[] = {"nvidia", "amd", "intel", "drm", "opencl", "vulkan"};
  return names[family];
}

const char *fh_trace_sort_name(fh_trace_sort sort) {
  static const char *const names[] = {"loader", "driver", "support", "node", "extra-node", "registration", "kernel", "tool"};
  return names[sort];
}
