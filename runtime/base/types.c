/* Names and sizes of small values. SPDX-License-Identifier: Apache-2.0 */
#include <foghorn/types.h>

#include <string.h>

static const struct {
  const char *name;
  size_t size;
} dtypes[] = {
    [FH_DTYPE_NONE] = {"?", 0}, [FH_F32] = {"f32", 4}, [FH_F64] = {"f64", 8}, [FH_F16] = {"f16", 2}, [FH_BF16] = {"bf16", 2},
    [FH_I8] = {"i8", 1},        [FH_U8] = {"u8", 1},   [FH_I32] = {"i32", 4}, [FH_I64] = {"i64", 8},
};

size_t fh_dtype_size(fh_dtype dtype) { return (unsigned)dtype < sizeof dtypes / sizeof dtypes[0] ? dtypes[dtype].size : 0; }
const char *fh_dtype_name(fh_dtype dtype) { return (unsigned)dtype < sizeof dtypes / sizeof dtypes[0] ? dtypes[dtype].name : "?"; }

static const char *const isas[FH_ISA_COUNT] = {"scalar", "sse42", "avx2", "avx512", "neon"};

static const char *const features[FH_FEATURE_COUNT] = {"avx512_vnni", "avx512_bf16", "asimddp", "i8mm", "bf16"};

const char *fh_cpu_feature_name(fh_cpu_feature feature) { return (unsigned)feature < FH_FEATURE_COUNT ? features[feature] : "?"; }

const char *fh_isa_name(fh_isa isa) { return (unsigned)isa < FH_ISA_COUNT ? isas[isa] : "?"; }

bool fh_isa_parse(const char *name, fh_isa *out_isa) {
  for (int i = 0; i < FH_ISA_COUNT; i++) {
    if (strcmp(name, isas[i]) == 0) {
      *out_isa = (fh_isa)i;
      return true;
    }
  }
  return false;
}
