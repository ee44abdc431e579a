/* The stand-in CUDA driver: PTX is read for its entries and their parameters, checked against the calling convention, and the
 * work is done by the scalar build of the same text. SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake.h"

enum { MAX_PTX_PARAMS = FAKE_MAX_PARAMS, NAME_SIZE = 128, MAX_SHARED = 16, MOST_THREADS = 1024 };

/* An array of shared memory, declared before the functions that use it. */
typedef struct shared_array {
  char name[NAME_SIZE];
  int bytes;
} shared_array;

struct CUfunc_st {
  fake_object object;
  char name[NAME_SIZE];
  char params[MAX_PTX_PARAMS]; /* 'i': 64 bits, 'f': a float, 't': a tensor map */
  int param_count;
  const fh_entry_image *entry;   /* of a dialect text */
  const fake_block_entry *block; /* of a block text; both NULL: somebody else's */
  int threads;                   /* the most of a block, by .maxntid or .reqntid */
  bool exactly;                  /* .reqntid: no other number */
  int shared_static;             /* bytes */
  int shared_dynamic;            /* bytes that a launch may ask for */
  struct CUfunc_st *next;
};

struct CUmod_st {
  fake_object object;
  fake_function *functions;
  shared_array shared[MAX_SHARED];
  int shared_count;
};

/* A "cubin": what it was made for, a checksum, and the text it was made from. */
typedef struct cubin_head {
  char magic[12];
  int32_t capability;
  uint64_t bytes, sum;
} cubin_head;

static const char CUBIN_MAGIC[12] =
    "\x7f"
    "FAKECUBIN";

struct CUlinkState_st {
  fake_object object;
  char *log, *cubin;
  size_t log_size, bytes;
};

typedef struct reader {
  const char *at; /* in text without comments */
  char *log;
  size_t log_size;
} reader;

static fh_cu_result reject(const reader *r, fh_cu_result code, const char *format, ...) {
  va_list args;
  va_start(args, format);
  if (r->log_size) vsnprintf(r->log, r->log_size, format, args);
  va_end(args);
  return code;
}

/* ---- words ---------------------------------------------------------------------------------------------------------- */

static char *without_comments(const char *text) {
  char *copy = malloc(strlen(text) + 1), *to = copy;
  if (!copy) return NULL;
  while (*text) {
    if (text[0] == '/' && text[1] == '/') {
      while (*text && *text != '\n') text++;
    } else if (text[0] == '/' && text[1] == '*') {
      const char *end = strstr(text + 2, "*/");
      text = end ? end + 2 : text + strlen(text);
    } else {
      *to++ = *text++;
    }
  }
  *to = 0;
  return copy;
}

static bool is_word_char(char c) { return isalnum((unsigned char)c) || c == '_' || c == '.' || c == '$' || c == '%'; }

/* The next word, or one other character. False at the end of the text. */
static bool next_word(reader *r, char *out, size_t size) {
  while (isspace((unsigned char)*r->at)) r->at++;
  if (!*r->at) return false;
  size_t n = 0;
  do {
    if (n + 1 < size) out[n++] = *r->at;
  } while (is_word_char(*r->at++) && is_word_char(*r->at));
  out[n] = 0;
  return true;
}

/* ---- the head: .version, .target, .address_size ------------------------------------------------------------------------ */

/* The newest PTX that a driver of this CUDA version takes, as 10 * major + minor. */
static int newest_ptx(int cuda_version) {
  int major = cuda_version / 1000, minor = cuda_version % 1000 / 10;
  if (major >= 11) return 10 * (major - 4) + minor;
  return major == 10 ? 63 + minor : 60 + minor;
}

static fh_cu_result check_version(const reader *r, const char *word) {
  int major, minor;
  if (sscanf(word, "%d.%d", &major, &minor) != 2) return reject(r, FH_CUDA_ERROR_INVALID_PTX, ".version %s is not a version", word);
  int newest = newest_ptx(fake_get_settings()->version);
  if (10 * major + minor > newest)
    return reject(r, FH_CUDA_ERROR_UNSUPPORTED_PTX_VERSION, ".version %s is newer than %d.%d", word, newest / 10, newest % 10);
  return FH_CUDA_SUCCESS;
}

static fh_cu_result check_target(const reader *r, const char *word) {
  int target;
  char only = 0; /* sm_90a: instructions of one architecture, which no later one has */
  const int have = fake_get_settings()->capability;
  if (sscanf(word, "sm_%d%c", &target, &only) < 1) return reject(r, FH_CUDA_ERROR_INVALID_PTX, ".target %s is not a target", word);
  if (target > have) return reject(r, FH_CUDA_ERROR_NO_BINARY_FOR_GPU, ".target %s is above the device's %d", word, have);
  if (only == 'a' && target != have)
    return reject(r, FH_CUDA_ERROR_NO_BINARY_FOR_GPU, ".target %s is for that device alone, this is %d", word, have);
  return FH_CUDA_SUCCESS;
}

static fh_cu_result read_head(reader *r) {
  char word[NAME_SIZE];
  if (!next_word(r, word, sizeof word) || strcmp(word, ".version") != 0 || !next_word(r, word, sizeof word))
    return reject(r, FH_CUDA_ERROR_INVALID_PTX, "it does not begin with .version");
  fh_cu_result code = check_version(r, word);
  if (code) return code;
  if (!next_word(r, word, sizeof word) || strcmp(word, ".target") != 0 || !next_word(r, word, sizeof word))
    return reject(r, FH_CUDA_ERROR_INVALID_PTX, "no .target after .version");
  if ((code = check_target(r, word))) return code;
  while (next_word(r, word, sizeof word) && strcmp(word, ".address_size") != 0)
    if (strcmp(word, ".entry") == 0) return reject(r, FH_CUDA_ERROR_INVALID_PTX, "no .address_size before the first entry");
  if (!next_word(r, word, sizeof word) || strcmp(word, "64") != 0) return reject(r, FH_CUDA_ERROR_INVALID_PTX, "not for 64-bit addresses");
  return FH_CUDA_SUCCESS;
}

/* ---- entries ------------------------------------------------------------------------------------------------------------- */

static char type_letter(const char *type) {
  static const char *const wide[] = {".u64", ".s64", ".b64"}, *const real[] = {".f32", ".b32"};
  for (size_t i = 0; i < sizeof wide / sizeof *wide; i++)
    if (strcmp(type, wide[i]) == 0) return 'i';
  for (size_t i = 0; i < sizeof real / sizeof *real; i++)
    if (strcmp(type, real[i]) == 0) return 'f';
  return 0;
}

/* The type behind ".param": a word, or of a tensor map ".align 64 .b8". */
static char read_type(reader *r, char *word, size_t size) {
  if (!next_word(r, word, size)) return 0;
  if (strcmp(word, ".align") != 0) return type_letter(word);
  const bool is_map = next_word(r, word, size) && strcmp(word, "64") == 0 && next_word(r, word, size) && strcmp(word, ".b8") == 0;
  return is_map ? 't' : 0;
}

/* After "(": ".param TYPE [.ptr .global .align N] NAME" separated by commas, up to ")". */
static fh_cu_result read_params(reader *r, fake_function *function) {
  char word[NAME_SIZE];
  bool more = next_word(r, word, sizeof word) && strcmp(word, ")") != 0;
  while (more) {
    const char letter = strcmp(word, ".param") == 0 ? read_type(r, word, sizeof word) : 0;
    if (!letter)
      return reject(r, FH_CUDA_ERROR_INVALID_PTX, "%s: parameter %d has the unexpected type %s", function->name, function->param_count,
                    word);
    if (function->param_count == MAX_PTX_PARAMS) return reject(r, FH_CUDA_ERROR_INVALID_PTX, "%s: too many parameters", function->name);
    function->params[function->param_count++] = letter;
    do {
      if (!next_word(r, word, sizeof word)) return reject(r, FH_CUDA_ERROR_INVALID_PTX, "%s: its parameters have no end", function->name);
    } while (strcmp(word, ",") != 0 && strcmp(word, ")") != 0);
    more = strcmp(word, ",") == 0;
    if (more && !next_word(r, word, sizeof word))
      return reject(r, FH_CUDA_ERROR_INVALID_PTX, "%s: its parameters have no end", function->name);
  }
  return FH_CUDA_SUCCESS;
}

static const fh_entry_image *find_entry(const char *name) {
  int count;
  const fh_kernel_image *images = fh_kernel_images(&count);
  for (int i = 0; i < count; i++)
    for (int e = 0; e < images[i].entry_count; e++)
      if (strcmp(images[i].entries[e].entry, name) == 0) return &images[i].entries[e];
  return NULL;
}

/* What a function takes, by the text that it is of. */
static const fh_param *params_of(const fake_function *function, int *out_count) {
  *out_count = function->block ? function->block->param_count : function->entry ? function->entry->param_count : 0;
  return function->block ? function->block->params : function->entry ? function->entry->params : NULL;
}

/* Items, then a pointer as address and offset, an I64, an F32: "i", "ii", "i", "f"; then tensor maps, "t". */
static int expected_params(const fake_function *function, char *out) {
  int n = 0, count;
  const fh_param *params = params_of(function, &count);
  out[n++] = 'i';
  for (int i = 0; i < count && n + 2 <= MAX_PTX_PARAMS; i++) {
    fh_operand_kind kind = params[i].kind;
    out[n++] = kind == FH_OPERAND_F32 ? 'f' : 'i';
    if (kind != FH_OPERAND_F32 && kind != FH_OPERAND_I64) out[n++] = 'i';
  }
  const int maps = function->block ? function->block->map_count : 0;
  for (int i = 0; i < maps && n < MAX_PTX_PARAMS; i++) out[n++] = 't';
  return n;
}

static fh_cu_result check_entry(const reader *r, fake_function *function) {
  char expected[MAX_PTX_PARAMS];
  function->entry = find_entry(function->name);
  function->block = function->entry ? NULL : fake_block_find(function->name);
  if (!function->entry && !function->block) return FH_CUDA_SUCCESS; /* somebody else's: it loads, but cannot be launched here */
  int count = expected_params(function, expected);
  if (count == function->param_count && memcmp(expected, function->params, (size_t)count) == 0) return FH_CUDA_SUCCESS;
  return reject(r, FH_CUDA_ERROR_INVALID_PTX, "%s: parameters are \"%.*s\", the calling convention wants \"%.*s\"", function->name,
                function->param_count, function->params, count, expected);
}

/* Between the parameters and the body: .maxntid X[, Y[, Z]] and .reqntid likewise. */
static fh_cu_result read_directives(reader *r, fake_function *function) {
  char word[NAME_SIZE], number[NAME_SIZE];
  int product = 0;
  while (next_word(r, word, sizeof word) && strcmp(word, "{") != 0) {
    const bool most = strcmp(word, ".maxntid") == 0, exact = strcmp(word, ".reqntid") == 0, more = strcmp(word, ",") == 0;
    if (most || exact) product = 1;
    if (exact) function->exactly = true;
    if (!most && !exact && !more) {
      product = 0; /* another directive's numbers do not count */
      continue;
    }
    if (!product) continue;
    if (!next_word(r, number, sizeof number) || atoi(number) < 1)
      return reject(r, FH_CUDA_ERROR_INVALID_PTX, "%s: %s without a number", function->name, word);
    function->threads = product *= atoi(number);
  }
  if (function->threads > MOST_THREADS) return reject(r, FH_CUDA_ERROR_INVALID_PTX, "%s: %d threads", function->name, function->threads);
  return FH_CUDA_SUCCESS;
}

/* Which arrays of shared memory a body names: they are part of each of its blocks. */
static fh_cu_result read_body(reader *r, const fake_module *module, fake_function *function) {
  char word[NAME_SIZE];
  bool used[MAX_SHARED] = {false};
  for (int depth = 1; depth > 0 && next_word(r, word, sizeof word);) {
    depth += (strcmp(word, "{") == 0) - (strcmp(word, "}") == 0);
    for (int i = 0; i < module->shared_count; i++) used[i] |= strcmp(module->shared[i].name, word) == 0;
  }
  for (int i = 0; i < module->shared_count; i++) function->shared_static += used[i] ? module->shared[i].bytes : 0;
  if (function->shared_static > FAKE_SHARED_BYTES)
    return reject(r, FH_CUDA_ERROR_INVALID_PTX, "%s declares %d bytes of shared memory, at most %d", function->name,
                  function->shared_static, (int)FAKE_SHARED_BYTES);
  function->shared_dynamic = FAKE_SHARED_BYTES - function->shared_static;
  return FH_CUDA_SUCCESS;
}

/* After .shared: [.align N] .b8 NAME[BYTES], or NAME[], whose bytes the launch states. */
static fh_cu_result read_shared(reader *r, fake_module *module) {
  char word[NAME_SIZE];
  shared_array array = {.bytes = 0};
  int element = 0;
  while (next_word(r, word, sizeof word) && strcmp(word, ";") != 0) {
    if (strcmp(word, ".align") == 0)
      (void)next_word(r, word, sizeof word);
    else if (word[0] == '.' && strlen(word) > 2)
      element = atoi(word + 2) / 8;
    else if (strcmp(word, "[") == 0 && next_word(r, word, sizeof word))
      array.bytes = atoi(word) * element;
    else if (isalpha((unsigned char)word[0]) || word[0] == '_')
      snprintf(array.name, sizeof array.name, "%s", word);
  }
  if (module->shared_count == MAX_SHARED) return reject(r, FH_CUDA_ERROR_INVALID_PTX, "more than %d shared arrays", (int)MAX_SHARED);
  module->shared[module->shared_count++] = array;
  return FH_CUDA_SUCCESS;
}

static fh_cu_result read_entry(reader *r, fake_module *module) {
  char word[NAME_SIZE];
  fake_function *function = calloc(1, sizeof *function);
  if (!function) return FH_CUDA_ERROR_OUT_OF_MEMORY;
  function->next = module->functions;
  module->functions = function;
  if (!next_word(r, function->name, sizeof function->name) || !next_word(r, word, sizeof word) || strcmp(word, "(") != 0)
    return reject(r, FH_CUDA_ERROR_INVALID_PTX, ".entry without a name and parameters");
  function->threads = MOST_THREADS;
  fh_cu_result code = read_params(r, function);
  if (!code) code = check_entry(r, function);
  if (!code) code = read_directives(r, function);
  return code ? code : read_body(r, module, function);
}

/* ---- modules ---------------------------------------------------------------------------------------------------------------- */

static void free_functions(fake_module *module) {
  for (fake_function *f = module->functions, *next; f; f = next) {
    next = f->next;
    if (f->object.context) fake_object_remove(&f->object);
    free(f);
  }
}

static fh_cu_result read_module(reader *r, fake_module *module) {
  char word[NAME_SIZE];
  fh_cu_result code = read_head(r);
  while (!code && next_word(r, word, sizeof word)) {
    if (strcmp(word, ".entry") == 0) code = read_entry(r, module);
    if (strcmp(word, ".shared") == 0) code = read_shared(r, module);
  }
  if (!code && !module->functions) code = reject(r, FH_CUDA_ERROR_INVALID_PTX, "it has no entry");
  return code;
}

static uint64_t sum_of(const char *text, size_t bytes) {
  uint64_t sum = 5381;
  for (size_t i = 0; i < bytes; i++) sum = sum * 33 + (unsigned char)text[i];
  return sum;
}

/* The text inside a "cubin" for this device; NULL for another's. Bytes that are not as they were made crash a driver. */
static const char *text_of(const char *image) {
  cubin_head head;
  if (strncmp(image, CUBIN_MAGIC, sizeof CUBIN_MAGIC) != 0) return image;
  memcpy(&head, image, sizeof head);
  if (sum_of(image + sizeof head, head.bytes) != head.sum) abort();
  return head.capability == fake_get_settings()->capability ? image + sizeof head : NULL;
}

fh_cu_result fake_module_load(fh_cu_context context, const char *image, char *log, size_t log_size, fake_module **out_module) {
  const char *ptx = text_of(image);
  if (!ptx) return FH_CUDA_ERROR_NO_BINARY_FOR_GPU;
  fake_module *module = calloc(1, sizeof *module);
  char *text = without_comments(ptx);
  reader r = {.at = text, .log = log, .log_size = log_size};
  fh_cu_result code = module && text ? read_module(&r, module) : FH_CUDA_ERROR_OUT_OF_MEMORY;
  free(text);
  if (code) {
    if (module) free_functions(module);
    free(module);
    return code;
  }
  fake_object_add(&module->object, FAKE_MODULE, context);
  for (fake_function *f = module->functions; f; f = f->next) fake_object_add(&f->object, FAKE_FUNCTION, context);
  *out_module = module;
  return FH_CUDA_SUCCESS;
}

void fake_module_unload(fake_module *module) {
  fake_object_remove(&module->object);
  free_functions(module);
  free(module);
}

/* ---- linking ------------------------------------------------------------------------------------------------------------------ */

fh_cu_result fake_link_create(fh_cu_context context, char *log, size_t log_size, fake_link **out_link) {
  fake_link *link = calloc(1, sizeof *link);
  if (!link) return FH_CUDA_ERROR_OUT_OF_MEMORY;
  link->log = log;
  link->log_size = log_size;
  fake_object_add(&link->object, FAKE_LINK, context);
  *out_link = link;
  return FH_CUDA_SUCCESS;
}

/* Compiles, as the driver's does, when the text is added. */
fh_cu_result fake_link_add(fake_link *link, const char *ptx, size_t bytes) {
  fake_module *module;
  if (!bytes || ptx[bytes - 1]) return FH_CUDA_ERROR_INVALID_VALUE; /* the zero belongs to a PTX text */
  fh_cu_result code =
      link->cubin ? FH_CUDA_ERROR_INVALID_VALUE : fake_module_load(link->object.context, ptx, link->log, link->log_size, &module);
  if (code) return code;
  fake_module_unload(module);
  cubin_head head = {.capability = fake_get_settings()->capability, .bytes = bytes, .sum = sum_of(ptx, bytes)};
  memcpy(head.magic, CUBIN_MAGIC, sizeof head.magic);
  if (!(link->cubin = malloc(sizeof head + bytes))) return FH_CUDA_ERROR_OUT_OF_MEMORY;
  memcpy(link->cubin, &head, sizeof head);
  memcpy(link->cubin + sizeof head, ptx, bytes);
  link->bytes = sizeof head + bytes;
  return FH_CUDA_SUCCESS;
}

fh_cu_result fake_link_complete(fake_link *link, void **out_cubin, size_t *out_bytes) {
  if (!link->cubin) return FH_CUDA_ERROR_INVALID_VALUE;
  *out_cubin = link->cubin;
  *out_bytes = link->bytes;
  return FH_CUDA_SUCCESS;
}

void fake_link_destroy(fake_link *link) {
  fake_object_remove(&link->object);
  free(link->cubin); /* as the driver's: what it gave ends with it */
  free(link);
}

fake_function *fake_module_function(fake_module *module, const char *name) {
  for (fake_function *f = module->functions; f; f = f->next)
    if (strcmp(f->name, name) == 0) return f;
  return NULL;
}

/* ---- launches ---------------------------------------------------------------------------------------------------------------- */

/* An address that is none does what it does on a GPU: the kernel faults, later. */
static void bind_pointer(fh_cu_context context, const char *entry, const char *param, fh_cu_ptr base, int64_t offset, fake_command *out,
                         fh_slot *slot) {
  char *host = fake_translate(context, base, 0);
  if (host) {
    slot->p = host + offset;
    return;
  }
  fake_complain("%s: %s is 0x%llx, which is no device memory%s", entry, param, base,
                fake_is_device_address((void *)(uintptr_t)base) ? " (any more?)" : " but looks like a host pointer");
  out->act = (fake_act){.deed = FAKE_CODE, .late = true, .code = FH_CUDA_ERROR_ILLEGAL_ADDRESS};
}

static int64_t read_i64(const void *param) {
  int64_t value;
  memcpy(&value, param, sizeof value);
  return value;
}

/* By compute capability, as the programming guide's table has it. */
int fake_shared_optin(int capability) {
  static const struct {
    int capability, kibibytes;
  } rows[] = {{70, 96}, {72, 96}, {75, 64}, {80, 163}, {86, 99}, {87, 163}, {89, 99}, {90, 227}, {100, 227}, {120, 99}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if (rows[i].capability == capability) return rows[i].kibibytes << 10;
  return FAKE_SHARED_BYTES;
}

bool fake_function_attribute(const fake_function *function, fh_cu_function_attribute attribute, int *out_value) {
  switch (attribute) {
    case FH_CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
      *out_value = function->threads;
      return true;
    case FH_CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES:
      *out_value = function->shared_static;
      return true;
    case FH_CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES:
      *out_value = function->shared_dynamic;
      return true;
    case FH_CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES:
      *out_value = 0;
      return true;
    case FH_CU_FUNC_ATTRIBUTE_NUM_REGS:
      *out_value = 32;
      return true;
    default:
      return false;
  }
}

fh_cu_result fake_function_set(fake_function *function, fh_cu_function_attribute attribute, int value) {
  if (attribute != FH_CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES || value < 0) return FH_CUDA_ERROR_INVALID_VALUE;
  if (value > fake_shared_optin(fake_get_settings()->capability) - function->shared_static) return FH_CUDA_ERROR_INVALID_VALUE;
  function->shared_dynamic = value;
  return FH_CUDA_SUCCESS;
}

/* The limits of every launch, and of this function's. */
static fh_cu_result check_shape(const fake_function *function, const fh_block_shape *shape) {
  if ((int)shape->threads > function->threads || (function->exactly && (int)shape->threads != function->threads)) {
    fake_complain("%s: a block of %u threads, the function is for %d", function->name, shape->threads, function->threads);
    return FH_CUDA_ERROR_INVALID_VALUE;
  }
  if ((int64_t)shape->shared_bytes > function->shared_dynamic) {
    fake_complain("%s: %u bytes of dynamic shared memory; cuFuncSetAttribute allowed %d", function->name, shape->shared_bytes,
                  function->shared_dynamic);
    return FH_CUDA_ERROR_INVALID_VALUE;
  }
  /* The dialect: one dimension and whole warps, which is what its texts are written for. */
  const bool plain = shape->grid[1] == 1 && shape->grid[2] == 1 && shape->shared_bytes == 0;
  return function->block || plain ? FH_CUDA_SUCCESS : FH_CUDA_ERROR_INVALID_VALUE;
}

static void bind_params(fh_cu_context context, const fake_function *function, void **params, fake_command *out) {
  int at = 0, count;
  const fh_param *formal = params_of(function, &count);
  out->items = read_i64(params[at++]);
  for (int i = 0; i < count; i++) {
    fh_slot *slot = &out->slots[i];
    if (formal[i].kind == FH_OPERAND_I64) {
      slot->i = read_i64(params[at++]);
    } else if (formal[i].kind == FH_OPERAND_F32) {
      memcpy(&slot->f, params[at++], sizeof slot->f);
    } else {
      bind_pointer(context, function->name, formal[i].name, (fh_cu_ptr)read_i64(params[at]), read_i64(params[at + 1]), out, slot);
      at += 2;
    }
  }
  for (int i = 0; function->block && i < function->block->map_count; i++)
    if (!fake_tensor_bind(context, function->name, params[at++], &out->maps[i]))
      out->act = (fake_act){.deed = FAKE_CODE, .late = true, .code = FH_CUDA_ERROR_ILLEGAL_ADDRESS};
}

int fake_function_params(const fake_function *function, void **params, fake_argument out_arguments[FAKE_MAX_PARAMS]) {
  for (int i = 0; i < function->param_count; i++) {
    const char letter = function->params[i];
    const size_t bytes = letter == 't' ? FH_CU_TENSOR_MAP_BYTES : letter == 'f' ? sizeof(float) : sizeof(int64_t);
    memset(&out_arguments[i], 0, sizeof out_arguments[i]);
    memcpy(&out_arguments[i], params[i], bytes);
  }
  return function->param_count;
}

fh_cu_result fake_function_bind(fh_cu_context context, const fake_function *function, const fh_block_shape *shape, void **params,
                                fake_command *out) {
  const fh_entry_image *entry = function->entry;
  if (!function->block && (!entry || !entry->cpu[FH_ISA_SCALAR])) {
    fake_complain("%s is no kernel of this build: it cannot run here", function->name);
    return FH_CUDA_ERROR_NOT_SUPPORTED;
  }
  for (int i = 0; i < function->param_count; i++)
    if (!params || !params[i]) return FH_CUDA_ERROR_INVALID_VALUE;
  fh_cu_result code = check_shape(function, shape);
  if (code) return code;
  out->kind = FAKE_LAUNCH;
  out->run = entry ? entry->cpu[FH_ISA_SCALAR] : NULL;
  out->block = function->block;
  out->shape = *shape;
  bind_params(context, function, params, out);
  return FH_CUDA_SUCCESS;
}
