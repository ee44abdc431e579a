/* Kernels of your own: registered at run time, found by name and launched like the library's. SPDX-License-Identifier: Apache-2.0
 *
 * A kernel is a contract (operands, shape rule, numerics, reference, cases) and the code that keeps it. Both are in one fh_kernel_module,
 * which foghorn_add_kernel() of the CMake package makes of a folder; docs/your-own-kernel.md goes through it. A registered kernel takes
 * part in everything: each variant is tested against the reference before its first use, has its verdict and its reason in fh_explain,
 * falls back and is counted like any other.
 *
 * Thread-safety: every function here may be called from any thread, at the same time as any other and as launches.
 */
#ifndef FOGHORN_EXTEND_H_
#define FOGHORN_EXTEND_H_

#include <foghorn/context.h>

FH_EXTERN_C_BEGIN

/* Rises when the meaning of a contract or of the calling conventions changes. */
#define FH_KERNEL_ABI 3

/* Contract and code of a kernel: kernels/contract.h of the installed package, which only the kernel's own sources need. */
typedef struct fh_kernel_image fh_kernel_image;

/* What a kernel was compiled for, beside the kernel: a library with another idea of the structures refuses it. Static data. */
typedef struct fh_kernel_module {
  uint32_t abi;                         /* FH_KERNEL_ABI */
  uint32_t contract_bytes, image_bytes; /* sizes of fh_kernel_contract and fh_kernel_image */
  uint32_t layout;                      /* FH_KERNEL_LAYOUT: of all that these two point to */
  const fh_kernel_image *image;
} fh_kernel_module;

/* One number of the sizes and limits of what a contract, an image and bind() handle by pointer (FNV-1a; no size is above 2^32). */
#define FH_LAYOUT_MIX(hash, number) (((hash) ^ (uint32_t)(number)) * UINT32_C(16777619))
#define FH_LAYOUT_MIX4(hash, a, b, c, d) FH_LAYOUT_MIX(FH_LAYOUT_MIX(FH_LAYOUT_MIX(FH_LAYOUT_MIX(hash, a), b), c), d)
#define FH_LAYOUT_CODE FH_LAYOUT_MIX4(UINT32_C(2166136261), sizeof(fh_entry_image), sizeof(fh_tuned), sizeof(fh_param), sizeof(fh_team))
#define FH_LAYOUT_CONTRACT \
  FH_LAYOUT_MIX4(FH_LAYOUT_CODE, sizeof(fh_view_param), sizeof(fh_scalar_param), sizeof(fh_case), sizeof(fh_view_desc))
#define FH_LAYOUT_BOUND FH_LAYOUT_MIX4(FH_LAYOUT_CONTRACT, sizeof(fh_bound), sizeof(fh_stage), sizeof(fh_operand), sizeof(fh_slot))
#define FH_LAYOUT_LIMITS FH_LAYOUT_MIX4(FH_LAYOUT_BOUND, FH_MAX_OPERANDS, FH_MAX_STAGES, FH_MAX_TEMPS, FH_MAX_VIEWS)
#define FH_LAYOUT_WORDS FH_LAYOUT_MIX4(FH_LAYOUT_LIMITS, FH_MAX_PARAMS, FH_MAX_RANK, FH_ISA_COUNT, FH_NOTE)
#define FH_LAYOUT_BLOCKS \
  FH_LAYOUT_MIX4(FH_LAYOUT_WORDS, sizeof(fh_block_variant), sizeof(fh_block_image), sizeof(fh_block_shape), sizeof(fh_tensor_map))
#define FH_KERNEL_LAYOUT FH_LAYOUT_MIX(FH_LAYOUT_BLOCKS, sizeof(fh_block_step))

/* The initializer of a module, where kernels/contract.h is included. */
#define FH_KERNEL_MODULE(image) \
  {FH_KERNEL_ABI, (uint32_t)sizeof(fh_kernel_contract), (uint32_t)sizeof(fh_kernel_image), FH_KERNEL_LAYOUT, (image)}

/* Declares the module that foghorn_add_kernel() made of the kernel `name`. */
#define FH_DECLARE_KERNEL(name) extern const fh_kernel_module fh_module_##name

/* Registers a kernel in this process, for contexts that exist and that will. *out_kernel (NULL: not wanted) is its handle, valid until
 * it is unregistered; with an older handle a launch fails with FAILED_PRECONDITION. The module, its image and all that they point to are
 * borrowed until then. What a handle may still ask for (name, contract, image: a few KiB) stays for the process's life. Calls the
 * contract's case_at() and bind() for the first cases. Errors, each with the member, what was expected and what was found:
 *   INCOMPATIBLE        the module was compiled for another version of Foghorn
 *   INVALID_ARGUMENT    a member of the contract or of the image is missing or wrong, or bind() fills what the text does not take
 *   ALREADY_EXISTS      the name is taken, by the library or by a registered kernel
 *   RESOURCE_EXHAUSTED  256 kernels are registered, or there is no memory */
FH_API FH_MUST_USE fh_status fh_kernel_register(const fh_kernel_module *module, const fh_kernel **out_kernel);

/* Ends a registration: the name is free, and the module's memory is the caller's again. Errors:
 *   NOT_FOUND            no kernel has this name
 *   INVALID_ARGUMENT     it is a kernel of the library, or of a plug-in (fh_plugin_close ends those)
 *   FAILED_PRECONDITION  a context uses it: from the first launch or explanation in a context to that context's release */
FH_API FH_MUST_USE fh_status fh_kernel_unregister(const char *name);

/* ---- plug-ins: shared libraries with kernels ---------------------------------------------------------------- */

/* What a plug-in exports under the name foghorn_plugin; foghorn_add_plugin() of the CMake package writes it. */
typedef struct fh_plugin_table {
  uint32_t abi; /* FH_KERNEL_ABI */
  int32_t count;
  const fh_kernel_module *const *modules;
} fh_plugin_table;

typedef struct fh_plugin fh_plugin;

/* Loads a shared library and registers all its kernels, or none. Code of the file runs in this process: name only files that you trust.
 * A constructor of the file must not open a context: where the first fh_context_create loads it, that would wait for itself.
 * The plug-ins of FOGHORN_PLUGINS (files, separated by colons; not in programs that run with the rights of another user) are opened by
 * the first fh_context_create, which fails where one cannot be, and stay. Errors: NOT_FOUND when the file cannot be loaded, with the
 * loader's words; INCOMPATIBLE when it is no plug-in or one for another version; what fh_kernel_register finds wrong, with the file. */
FH_API FH_MUST_USE fh_status fh_plugin_open(const char *file, fh_plugin **out_plugin);

/* Unregisters the plug-in's kernels and unloads it. FAILED_PRECONDITION, and nothing is changed, while a context uses one of them. NULL is
 * allowed. */
FH_API FH_MUST_USE fh_status fh_plugin_close(fh_plugin *plugin);

FH_EXTERN_C_END

#endif /* FOGHORN_EXTEND_H_ */
