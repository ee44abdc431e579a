/* Marks of the public interface. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_EXPORT_H_
#define FOGHORN_EXPORT_H_

#define FH_API __attribute__((visibility("default")))
#define FH_MUST_USE __attribute__((warn_unused_result))
#define FH_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))

/* Tells clang's analyzer that a status made for an error is an error, so that it does not follow paths on
 * which a function failed and its caller took that for success. */
#ifdef __clang_analyzer__
#define FH_NEVER_OK __attribute__((returns_nonnull))
#else
#define FH_NEVER_OK
#endif

#ifdef __cplusplus
#define FH_EXTERN_C_BEGIN extern "C" {
#define FH_EXTERN_C_END }
#else
#define FH_EXTERN_C_BEGIN
#define FH_EXTERN_C_END
#endif

#endif /* FOGHORN_EXPORT_H_ */
