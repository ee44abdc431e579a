/* Parameters of device entries (OpenCL and PTX): the calling convention of kernels/contract.h. SPDX-License-Identifier: Apache-2.0 */

/* ---- entries: fh_items, then per operand (pointer, byte offset) or a scalar ---- */
#define FH_BASE_IN(name) , __global const uchar *name##_base, long name##_offset
#define FH_BASE_OUT(name) , __global uchar *name##_base, long name##_offset
#define FH_BASE_INOUT FH_BASE_OUT
#define FH_BASE_TEMP FH_BASE_OUT
#define FH_BASE_IN_U8 FH_BASE_IN
#define FH_BASE_OUT_U8 FH_BASE_OUT
#define FH_BASE_IN_U16 FH_BASE_IN
#define FH_BASE_OUT_U16 FH_BASE_OUT
#define FH_BASE_IN_I32 FH_BASE_IN
#define FH_BASE_IN_I64 FH_BASE_IN
#define FH_BASE_OUT_I32 FH_BASE_OUT
#define FH_BASE_TEMP_I32 FH_BASE_OUT
#define FH_BASE_I64(name) , long name
#define FH_BASE_F32(name) , float name
#define FH_KERNEL_PARAM(kind, name) FH_BASE_##kind(name)

#define FH_PLACE_POINTER(kind, name) , (FH_TYPE_##kind)(name##_base + name##_offset)
#define FH_PLACE_IN FH_PLACE_POINTER
#define FH_PLACE_OUT FH_PLACE_POINTER
#define FH_PLACE_INOUT FH_PLACE_POINTER
#define FH_PLACE_TEMP FH_PLACE_POINTER
#define FH_PLACE_IN_U8 FH_PLACE_POINTER
#define FH_PLACE_OUT_U8 FH_PLACE_POINTER
#define FH_PLACE_IN_U16 FH_PLACE_POINTER
#define FH_PLACE_OUT_U16 FH_PLACE_POINTER
#define FH_PLACE_IN_I32 FH_PLACE_POINTER
#define FH_PLACE_IN_I64 FH_PLACE_POINTER
#define FH_PLACE_OUT_I32 FH_PLACE_POINTER
#define FH_PLACE_TEMP_I32 FH_PLACE_POINTER
#define FH_PLACE_I64(kind, name) , name
#define FH_PLACE_F32(kind, name) , name
#define FH_KERNEL_ARGUMENT(kind, name) FH_PLACE_##kind(kind, name)
