/* Entries that see a thread's whole share of the items. SPDX-License-Identifier: Apache-2.0
 *
 * FH_SHARE_ENTRY(entry): the body does the items fh_item to fh_last - 1: in C all of a thread's share, on a device one. */
#ifndef FOGHORN_KERNELS_DIALECT_SHARE_H_
#define FOGHORN_KERNELS_DIALECT_SHARE_H_

#ifdef FH_DIALECT_ISA
#define FH_SHARE_ENTRY(entry)                                                             \
  FH_INLINE void entry##_share(long fh_item, long fh_last entry##_PARAMS(FH_ITEM_PARAM)); \
  void FH_ENTRY_NAME(entry)(const fh_slot *slots, int64_t first, int64_t last);           \
  void FH_ENTRY_NAME(entry)(const fh_slot *slots, int64_t first, int64_t last) {          \
    const fh_slot *slot = slots;                                                          \
    entry##_PARAMS(FH_FETCH) entry##_share(first, last entry##_PARAMS(FH_ITEM_ARGUMENT)); \
  }                                                                                       \
  FH_INLINE void entry##_share(long fh_item, long fh_last entry##_PARAMS(FH_ITEM_PARAM))
#else
#define FH_SHARE_ENTRY(entry)                                                               \
  FH_INLINE void entry##_share(long fh_item, long fh_last entry##_PARAMS(FH_ITEM_PARAM));   \
  FH_ENTRY(entry) { entry##_share(fh_item, fh_item + 1 entry##_PARAMS(FH_ITEM_ARGUMENT)); } \
  FH_INLINE void entry##_share(long fh_item, long fh_last entry##_PARAMS(FH_ITEM_PARAM))
#endif

#endif /* FOGHORN_KERNELS_DIALECT_SHARE_H_ */
