/* In front of each text of the stand-in OpenCL GPU: what clang has not for this processor. SPDX-License-Identifier: Apache-2.0 */
#define fma(a, b, c) __builtin_elementwise_fma(a, b, c)
#define sqrt(a) __builtin_elementwise_sqrt(a)
#define min(a, b) __builtin_elementwise_min(a, b)
#define atomic_inc(p) __atomic_fetch_add(p, 1, __ATOMIC_RELAXED)
#define atomic_add(p, v) __atomic_fetch_add(p, v, __ATOMIC_RELAXED)
#define barrier(flags) fake_barrier()
#define sub_group_barrier(flags) fake_team_meet()
#define get_global_id(d) (get_group_id(d) * get_local_size(d) + get_local_id(d))

#pragma clang diagnostic ignored "-Wincompatible-library-redeclaration"
size_t fake_place(uint what, uint dimension);
#define get_local_id(d) fake_place(0, d)
#define get_group_id(d) fake_place(1, d)
#define get_local_size(d) fake_place(2, d)
#define get_num_groups(d) fake_place(3, d)
#define get_sub_group_local_id() ((uint)fake_place(4, 0))
#define get_sub_group_id() ((uint)fake_place(5, 0))
#define get_num_sub_groups() ((uint)fake_place(6, 0))

void fake_barrier(void) __attribute__((convergent));
void fake_team_meet(void) __attribute__((convergent));
/* The value of lane ((this & and) | or) ^ xor. */
int fake_exchange(int value, int and_mask, int or_mask, int xor_mask) __attribute__((convergent));
#define sub_group_shuffle(v, lane) fake_exchange(v, 0, (int)(lane), 0)
#define sub_group_shuffle_xor(v, mask) fake_exchange(v, 31, 0, (int)(mask))
#define intel_sub_group_shuffle(v, lane) fake_exchange(v, 0, (int)(lane), 0)
#define intel_sub_group_shuffle_xor(v, mask) fake_exchange(v, 31, 0, (int)(mask))
#define __builtin_amdgcn_ds_swizzle(v, pattern) fake_exchange(v, (pattern) & 31, (pattern) >> 5 & 31, (pattern) >> 10 & 31)
#define __builtin_amdgcn_fence(order, scope) ((void)0)
#define __builtin_amdgcn_wave_barrier() fake_team_meet()
/* Not in the compiler's list for this processor: as the drivers have it. */
#define intel_reqd_sub_group_size(size) convergent
