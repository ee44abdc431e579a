/* What a kernel promises: its name, operands, shape rule, costs, numerics, and how it is cut into
 * launches that every backend can run. One fh_kernel_contract per folder in kernels/.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The way of a launch: caller's views and parameters -> contract->bind() checks them and fills an
 * fh_bound (stages of items with plain operands) -> the planner picks a variant -> the backend turns
 * operands into pointers and runs the entry. Nothing below this line knows about shapes.
 */
#ifndef FOGHORN_KERNELS_CONTRACT_H_
#define FOGHORN_KERNELS_CONTRACT_H_

#include <string.h>

#include <foghorn/status.h>
#include <foghorn/types.h>

/* ---- entries: compiled functions ------------------------------------------------------------- */

/* One operand as a CPU entry sees it. */
typedef union fh_slot {
  void *p;
  const void *cp;
  int64_t i;
  double d;
  float f;
} fh_slot;

/* A dialect entry compiled for one ISA: runs the items [first, last). Items never write the same
 * memory, so any split over threads gives the same result. No libc, no globals, no allocation. */
typedef void (*fh_items_fn)(const fh_slot *slots, int64_t first, int64_t last);

/* What a tuned CPU entry may use of its worker team. */
typedef struct fh_team {
  int size;      /* threads that will share the work, >= 1 */
  void *scratch; /* fh_tuned.scratch_bytes() bytes, 64-byte aligned, shared by the team */
  /* Calls body(arg, i, worker) for every i in [0, count), worker in [0, size). Returns when all are done.
   * Not to be nested. */
  void (*parallel)(const struct fh_team *team, int64_t count, void (*body)(void *arg, int64_t i, int worker), void *arg);
  void *impl;
} fh_team;

/* A tuned CPU entry: does the whole of the kernel, all its stages, with the slots of the first. */
typedef void (*fh_team_fn)(const fh_slot *slots, const fh_team *team);

/* ---- operands and stages --------------------------------------------------------------------- */

typedef enum fh_operand_kind {
  FH_OPERAND_IN = 1,    /* pointer into a view that is read */
  FH_OPERAND_OUT = 2,   /* pointer into a view that is written */
  FH_OPERAND_INOUT = 3, /* pointer into a view that is read and written */
  FH_OPERAND_TEMP = 4,  /* pointer to scratch that lives from the first to the last stage */
  FH_OPERAND_I64 = 5,
  FH_OPERAND_F32 = 6,
} fh_operand_kind;

typedef struct fh_operand {
  fh_operand_kind kind;
  int32_t index; /* IN, OUT, INOUT: the view's index in the call; TEMP: the scratch buffer's */
  union {
    int64_t offset; /* bytes to add to the view's first element (or to the scratch) */
    int64_t i;
    float f;
  };
} fh_operand;

/* An entry's formal parameter: written once in the .k text, checked against what bind() fills. */
typedef struct fh_param {
  const char *name;
  fh_operand_kind kind;
} fh_param;

enum { FH_MAX_OPERANDS = 48, FH_MAX_STAGES = 4, FH_MAX_TEMPS = 4, FH_MAX_VIEWS = 12, FH_MAX_PARAMS = 8 };

typedef struct fh_stage {
  int32_t entry; /* index into contract->entries */
  int32_t operand_count;
  int64_t items;         /* independent pieces of work */
  double flops_per_item; /* for the grain of a CPU split; an estimate */
  fh_operand operands[FH_MAX_OPERANDS];
} fh_stage;

/* A checked call: what to run and what it costs. */
typedef struct fh_bound {
  int32_t stage_count; /* 0: nothing to do (an empty shape) */
  int32_t temp_count;
  fh_stage stages[FH_MAX_STAGES];
  size_t temp_bytes[FH_MAX_TEMPS];
  double flops;
  double bytes; /* least memory traffic: every input read once, every output written once */
} fh_bound;

/* A view as a contract sees it: shape and strides without the memory. Strides count elements. */
typedef struct fh_view_desc {
  fh_dtype dtype;
  int32_t rank;
  int64_t shape[FH_MAX_RANK];
  int64_t strides[FH_MAX_RANK];
} fh_view_desc;

enum { FH_NOTE = 160 }; /* bytes of what inspect() says of the data, the zero included */

/* A scalar parameter of a call; which member counts is stated by the contract. */
typedef union fh_value {
  int64_t i;
  double f;
} fh_value;

/* ---- variants -------------------------------------------------------------------------------- */

typedef enum fh_form {
  FH_FORM_DIALECT = 0, /* the .k text, compiled for the backend */
  FH_FORM_TEAM = 1,    /* a tuned CPU function */
} fh_form;

#define FH_NEEDS(feature) (UINT32_C(1) << (feature))

/* A tuned variant, next to the dialect ones that every kernel gets on every backend. */
typedef struct fh_tuned {
  const char *name; /* "tuned": shown as cpu/avx512/tuned */
  fh_isa isa;
  fh_numerics numerics;
  fh_team_fn fn;
  /* Bytes of scratch for this call, 64-byte granularity; NULL for none. */
  size_t (*scratch_bytes)(const fh_bound *bound, int team_size);
  /* NULL: fits every shape. Otherwise NULL when it fits and else the reason in words (static text). */
  const char *(*unfit)(const fh_bound *bound);
  double efficiency; /* prior for the cost model: fraction of the FMA or bandwidth limit, (0, 1] */
  uint32_t needs;    /* bits FH_NEEDS(feature) that the CPU must have beside `isa` */
} fh_tuned;

/* A launch of blocks: each of `threads` threads that share memory and meet at barriers. */
typedef struct fh_block_shape {
  uint32_t grid[3];      /* blocks, each at least 1 */
  uint32_t threads;      /* of a block */
  uint32_t shared_bytes; /* of a block, beside what the text declares itself */
  uint32_t cluster;      /* blocks that lie together along the first dimension of the grid, whose extent is a multiple of it; 0 and 1: each
                          * for itself. Only where the capability is 90 or more. */
} fh_block_shape;

enum { FH_MAX_TENSOR_RANK = 5, FH_MAX_TENSOR_MAPS = 4, FH_MAX_BLOCK_STEPS = 4 };

/* How a tensor lies in memory and which box of it one bulk copy brings (compute capability 9.0 on; CUDA's cuTensorMapEncodeTiled).
 * Dimension 0 is the one whose elements are neighbours. */
typedef struct fh_tensor_map {
  int32_t operand;                     /* of the first stage: an IN pointer; the tensor begins at it */
  int32_t rank;                        /* 1 to FH_MAX_TENSOR_RANK */
  fh_dtype dtype;                      /* FH_F32, FH_BF16, FH_F16, FH_I8, FH_U8 */
  uint32_t swizzle;                    /* bytes of a line whose chunks of 16 change places: 0, 32, 64 or 128 */
  uint64_t extent[FH_MAX_TENSOR_RANK]; /* elements; what lies past them reads as 0 */
  uint64_t stride[FH_MAX_TENSOR_RANK]; /* bytes from one to the next; [0] is the element's size, the others are multiples of 16 */
  uint32_t box[FH_MAX_TENSOR_RANK];    /* elements of a copy, each at most 256 */
} fh_tensor_map;

/* One launch of a block variant. */
typedef struct fh_block_step {
  const char *entry; /* of the variant's text, unique in the build */
  /* How it is launched on a device of so many multiprocessors (0: unknown). Pure. */
  void (*shape)(const fh_bound *bound, int multiprocessors, fh_block_shape *out);
} fh_block_step;

enum { FH_BLOCK_PORTABLE = 60 }; /* the capability of texts that OpenCL compiles too */

/* A tuned device function: blocks of threads with shared memory. It does the whole of the kernel with the operands of its first stage,
 * which are the parameters of the first dialect entry (see "device entries" below), in one launch or in a few: each sees what those
 * before it have written. */
typedef struct fh_block_variant {
  const char *name;  /* "tiles": shown as cuda:0/tiles */
  const char *entry; /* of the text, unique in the build: "matmul_tiles" */
  const char *text;  /* its file beside <kernel>.k, without the ending: "matmul_sm80" */
  int capability;    /* least CUDA compute capability, 10 * major + minor; FH_BLOCK_PORTABLE: OpenCL devices run it too, a work-group
                      * for a block */
  bool only;         /* this capability alone: texts for sm_90a */
  fh_numerics numerics;
  /* How a call is launched, on a device of so many multiprocessors (0: unknown). Pure. */
  void (*shape)(const fh_bound *bound, int multiprocessors, fh_block_shape *out);
  /* NULL: fits every call. Otherwise NULL when it fits and else the reason in words (static text). */
  const char *(*unfit)(const fh_bound *bound);
  double efficiency; /* prior for the cost model: fraction of the arithmetic limit, (0, 1]; a guess until it is measured */
  /* Launches behind the first one, in their order, of the same text and with the same operands; at most FH_MAX_BLOCK_STEPS - 1. */
  const fh_block_step *rest;
  int rest_count;
  /* Bytes of memory that the launches share, not cleared, on a boundary of 256; NULL: none. With it each entry has one more parameter, the
   * last of its operands: P(TEMP, scratch). Pure. */
  size_t (*scratch_bytes)(const fh_bound *bound, int multiprocessors);
  /* Tensor maps that each launch passes behind its operands, 128 bytes each: `map_count` of them, filled for a call. Only from capability
   * 90 on. */
  int map_count;
  void (*maps)(const fh_bound *bound, fh_tensor_map *out);
} fh_block_variant;

/* ---- the contract ---------------------------------------------------------------------------- */

typedef enum fh_view_role { FH_ROLE_IN = 1, FH_ROLE_OUT = 2, FH_ROLE_INOUT = 3 } fh_view_role;

typedef struct fh_view_param {
  const char *name;
  fh_view_role role;
  fh_dtype dtype;
  const char *shape;     /* in words, as the docs print it: "(rows, d)" */
  bool may_alias_output; /* an input that may be the very same view as the output (in place) */
} fh_view_param;

typedef struct fh_scalar_param {
  const char *name;
  char type;  /* 'i' or 'f' */
  double def; /* the default */
  const char *help;
} fh_scalar_param;

/* One conformance, self-test and benchmark case; written by the contract, filled by the tests. */
typedef struct fh_case {
  char label[48];
  fh_view_desc views[FH_MAX_VIEWS]; /* compact shapes; the tests also run them strided and offset */
  fh_value scalars[FH_MAX_PARAMS];
} fh_case;

#define FH_RANK(rank) (1u << (rank))

typedef struct fh_kernel_contract {
  const char *name;
  int version;         /* rises when the meaning of operands or results changes */
  const char *summary; /* one line for the docs */
  const char *formula; /* and its source */
  const fh_view_param *views;
  int view_count;
  /* The chunking rule, for jobs larger than a device's memory and jobs that several devices share: for each view, bits FH_RANK(r) of the
   * ranks at which its leading dimension counts rows that are computed by themselves; 0 where every row needs the whole of it. The call
   * on the rows [first, last) of all such views then gives, bit for bit, these rows of the results. It may not depend on where the rows
   * lie in the whole, nor on how many there are. Rank by rank, since a leading dimension is a batch here and a row of weights there.
   * NULL: never cut. */
  const uint16_t *chunks;
  const fh_scalar_param *scalars;
  int scalar_count;
  const char *const *entries; /* names of dialect entries, stage by stage */
  int entry_count;
  fh_numerics dialect_numerics; /* of the text, on every backend */
  /* BOUNDED results: |got - reference| <= rel * |reference| + abs. For EXACT variants the same
   * bound holds against the oracle and equality between variants. */
  double bound_rel, bound_abs;
  const char *bound_source; /* why this bound */
  /* Checks shapes, types and values and fills *out. A bad argument gives a status that says which
   * operand, what was expected and what was found. Pure: no memory is touched. */
  fh_status (*bind)(const fh_view_desc *views, const fh_value *scalars, fh_bound *out);
  /* Looks at the data of a bound call on the host, before each launch: refuses what no result is defined for (an index out of
   * range, named with its place), and may choose how the work is cut by what it measures: it changes *bound, never the bits
   * of the result, and says in `note`, unless NULL, what it saw and chose. A text must be safe without it: memory may change.
   * Pointers are to the first element of the views of `inspects` and NULL for the others. NULL: the data does not matter. */
  fh_status (*inspect)(const fh_view_desc *views, const void *const *data, const fh_value *scalars, fh_bound *bound, char note[FH_NOTE]);
  uint32_t inspects; /* bit v: inspect() reads view v */
  /* The oracle, in double precision, plain loops. Pointers are to the first element of each view. */
  void (*reference)(const fh_view_desc *views, void *const *data, const fh_value *scalars);
  /* Fills *out for i = 0, 1, ...; false past the last. Cases from 0 on are small and in order of
   * growing size; the first is the self-test's. */
  bool (*case_at)(int i, fh_case *out);
  /* The same for the shapes that are worth measuring, from one that fits the L1 cache to one that fits none. NULL: the
   * cases above. */
  bool (*bench_at)(int i, fh_case *out);
  /* Fills input view `index` of a case with data that makes sense for it (compact); NULL: uniform
   * random in [-1, 1) for floats, the full range for integers. */
  void (*fill)(int index, const fh_case *c, void *data, uint64_t seed);
  /* Compares where "same numbers within the bound" is not the right question (an argmin may pick
   * either of two equal distances). NULL: the bound is used on every output. Returns NULL when
   * right, else what is wrong (static text). */
  const char *(*compare)(const fh_case *c, void *const *got, void *const *want);
  const fh_tuned *tuned;
  int tuned_count;
  const fh_block_variant *blocks; /* for devices, as `tuned` for CPUs; only beside a text */
  int block_count;
} fh_kernel_contract;

/* Helpers for bind(). */
static inline fh_operand fh_op_view(fh_operand_kind kind, int index, int64_t offset) {
  return (fh_operand){.kind = kind, .index = index, .offset = offset};
}
static inline fh_operand fh_op_i64(int64_t v) { return (fh_operand){.kind = FH_OPERAND_I64, .i = v}; }
static inline fh_operand fh_op_f32(float v) { return (fh_operand){.kind = FH_OPERAND_F32, .f = v}; }
static inline fh_operand fh_op_temp(int index) { return (fh_operand){.kind = FH_OPERAND_TEMP, .index = index}; }

/* ---- device entries ----------------------------------------------------------------------------
 * An entry of the .k text compiled for a device is a kernel of the entry's name with the arguments, in this order:
 *   items                              long (64 bits)
 *   then operand by operand
 *     IN, OUT, INOUT, TEMP             global pointer, long byte offset to add to it
 *     I64                              long
 *     F32                              float
 * OpenCL: one work-item per item in one dimension; a global size above `items` is legal. Build options:
 *   -cl-std=CL1.2 -cl-fp32-correctly-rounded-divide-sqrt
 * PTX: 16 threads per item in a grid-stride loop; any one-dimensional grid of blocks whose size is a multiple of 32.
 *
 * An entry of a block text (kernels/block/) takes the arguments of the kernel's first entry in the same order. Its grid, threads and
 * dynamic shared memory are what shape() says:
 *   PTX     grid and block of a launch, dynamic shared memory of it
 *   OpenCL  a work-group for a block, of `threads` work-items in the first dimension; shared_bytes is 0: the text declares
 *           what it needs */

/* ---- what the build made of the dialect texts (generated: kernels/images.c) -------------------- */

typedef struct fh_entry_image {
  const char *entry;
  const fh_param *params; /* from the scalar build of the text */
  int param_count;
  fh_items_fn cpu[FH_ISA_COUNT]; /* NULL where the ISA is not of this architecture */
} fh_entry_image;

/* One block text of the kernel's folder. */
typedef struct fh_block_image {
  const char *text;      /* as fh_block_variant.text */
  const char *ptx;       /* NULL: not built */
  const char *missing;   /* why not, when ptx is NULL */
  const char *cl_source; /* of portable texts, as below; else NULL */
} fh_block_image;

typedef struct fh_kernel_image {
  const fh_kernel_contract *contract;
  const fh_entry_image *entries;
  int entry_count;
  const char *cl_source;   /* prelude and text, ready for clCreateProgramWithSource; zero-terminated */
  const char *ptx;         /* NULL: not built */
  const char *ptx_missing; /* why not built, when ptx is NULL */
  uint64_t hash;           /* of the texts and preludes: keys caches and calibration */
  const fh_block_image *blocks;
  int block_count;
} fh_kernel_image;

/* What the build made of a variant's text; NULL: the folder has no such text. */
static inline const fh_block_image *fh_block_image_of(const fh_kernel_image *image, const fh_block_variant *variant) {
  for (int i = 0; i < image->block_count; i++)
    if (strcmp(image->blocks[i].text, variant->text) == 0) return &image->blocks[i];
  return NULL;
}

/* All kernels of this build, in the order of kernels.def. Static. */
const fh_kernel_image *fh_kernel_images(int *out_count);

#endif /* FOGHORN_KERNELS_CONTRACT_H_ */
