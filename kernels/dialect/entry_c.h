/* The entries of a text in C: what prelude_c.h makes of FH_ENTRY, and the table of its parameters. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_KERNELS_DIALECT_ENTRY_C_H_
#define FOGHORN_KERNELS_DIALECT_ENTRY_C_H_

#define FH_PASTE_(a, b, c) a##b##_##c
#define FH_PASTE(a, b, c) FH_PASTE_(a, b, c)
#define FH_ENTRY_NAME(entry) FH_PASTE(fh_entry_, entry, FH_DIALECT_ISA)

#define FH_FETCH_IN cp
#define FH_FETCH_OUT p
#define FH_FETCH_INOUT p
#define FH_FETCH_TEMP p
#define FH_FETCH_IN_U8 cp
#define FH_FETCH_OUT_U8 p
#define FH_FETCH_IN_U16 cp
#define FH_FETCH_OUT_U16 p
#define FH_FETCH_IN_I32 cp
#define FH_FETCH_IN_I64 cp
#define FH_FETCH_OUT_I32 p
#define FH_FETCH_TEMP_I32 p
#define FH_FETCH_I64 i
#define FH_FETCH_F32 f
#define FH_FETCH(kind, name) const FH_TYPE_##kind name = (slot++)->FH_FETCH_##kind;

#define FH_KIND_IN FH_OPERAND_IN
#define FH_KIND_OUT FH_OPERAND_OUT
#define FH_KIND_INOUT FH_OPERAND_INOUT
#define FH_KIND_TEMP FH_OPERAND_TEMP
#define FH_KIND_IN_U8 FH_OPERAND_IN
#define FH_KIND_OUT_U8 FH_OPERAND_OUT
#define FH_KIND_IN_U16 FH_OPERAND_IN
#define FH_KIND_OUT_U16 FH_OPERAND_OUT
#define FH_KIND_IN_I32 FH_OPERAND_IN
#define FH_KIND_IN_I64 FH_OPERAND_IN
#define FH_KIND_OUT_I32 FH_OPERAND_OUT
#define FH_KIND_TEMP_I32 FH_OPERAND_TEMP
#define FH_KIND_I64 FH_OPERAND_I64
#define FH_KIND_F32 FH_OPERAND_F32
#define FH_FORMAL(kind, name) {#name, FH_KIND_##kind},

/* The table of formal parameters: for the generated file that asks for it (the scalar one). */
#define FH_FORMALS(entry) static const fh_param fh_formals_##entry[] = {entry##_PARAMS(FH_FORMAL)}

#define FH_ENTRY_THEN(entry, END)                                                                                                         \
  FH_INLINE void entry##_item(long fh_item, long fh_desk entry##_PARAMS(FH_ITEM_PARAM));                                                  \
  void FH_ENTRY_NAME(entry)(const fh_slot *slots, int64_t first, int64_t last);                                                           \
  void FH_ENTRY_NAME(entry)(const fh_slot *slots, int64_t first, int64_t last) {                                                          \
    const fh_slot *slot = slots;                                                                                                          \
    entry##_PARAMS(FH_FETCH) for (long item = first; item < last; item++) { entry##_item(item, first entry##_PARAMS(FH_ITEM_ARGUMENT)); } \
    END;                                                                                                                                  \
  }                                                                                                                                       \
  FH_INLINE void entry##_item(long fh_item FH_UNUSED, long fh_desk FH_UNUSED entry##_PARAMS(FH_ITEM_PARAM))
#define FH_ENTRY(entry) FH_ENTRY_THEN(entry, (void)0)
#define FH_ENTRY_STREAMING(entry) FH_ENTRY_THEN(entry, fh_stream_end())

#endif /* FOGHORN_KERNELS_DIALECT_ENTRY_C_H_ */
